#!/usr/bin/env bash
# Makes sure that the tools for building, testing and the demo are there: installs them where apt can do so without
# asking, and says what to install elsewhere.
#
#   tests/deps.sh              check and install; silent when nothing is missing
#   tests/deps.sh pgbouncer    the same, and pgbouncer with it
#   tests/deps.sh bindir       print the directory of the newest PostgreSQL's server programs
set -euo pipefail

# ON DELETE SET NULL (column), which the generated DDL relies on, came with this version.
oldest_postgres=15

# Prints "VERSION DIRECTORY" for every PostgreSQL server on the machine, the newest first. The programs a server needs
# are often not in PATH.
postgres_servers() {
    local initdb version
    for initdb in "$(command -v initdb)" "$(pg_config --bindir 2>/dev/null)/initdb" /usr/lib/postgresql/*/bin/initdb \
        /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb /usr/local/opt/postgresql*/bin/initdb; do
        [ -x "$initdb" ] || continue
        version=$("$initdb" --version | sed 's/.*(PostgreSQL) \([0-9]*\).*/\1/')
        # A link in PATH stands alone; the programs beside what it points to are those of the server.
        echo "$version $(dirname "$(readlink -f "$initdb")")"
    done | sort -rn
}

newest_postgres() {
    postgres_servers | awk -v oldest="$oldest_postgres" '$1 >= oldest && !found { print $2; found = 1 }'
}

# Prints what is missing, one word a line, in the names of apt's packages.
missing() {
    command -v cc >/dev/null || printf '%s\n' gcc libc6-dev
    command -v sqlite3 >/dev/null || echo sqlite3
    [ -n "$(newest_postgres)" ] || echo postgresql
    [ "$with" != pgbouncer ] || [ -n "$(PATH=$PATH:/usr/sbin command -v pgbouncer)" ] || echo pgbouncer
}

with=${1-}

if [ "${1-}" = bindir ]; then
    newest_postgres
    exit
fi

if ! command -v cargo >/dev/null; then
    echo "cargo is missing: install Rust from https://rustup.rs, then try again" >&2
    exit 1
fi

packages=$(missing)
[ -n "$packages" ] || exit 0

if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    # shellcheck disable=SC2086
    echo "installing with apt-get:" $packages >&2
    "${as_root[@]}" apt-get update -qq >&2
    # shellcheck disable=SC2086 # one word a package
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >&2
    packages=$(missing)
    [ -n "$packages" ] || exit 0
fi

cat >&2 <<HELP
missing: ${packages//$'\n'/ } (PostgreSQL has to be $oldest_postgres or newer)
  Debian, Ubuntu  sudo apt-get install postgresql sqlite3 gcc libc6-dev
                  (where that is too old: https://wiki.postgresql.org/wiki/Apt)
  Fedora          sudo dnf install postgresql-server sqlite gcc
  Arch            sudo pacman -S postgresql sqlite gcc
  Alpine          sudo apk add postgresql sqlite gcc musl-dev bash
  macOS           brew install postgresql sqlite, and xcode-select --install
HELP
exit 1
