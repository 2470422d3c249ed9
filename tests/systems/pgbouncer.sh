#!/usr/bin/env bash
# Puts armp behind a pooler in transaction mode, as its application will be: pgbouncer with one connection to the server for
# everybody. Each transaction names its organization, reads and writes what is its own, and leaves nothing to the next.
#
#   tests/systems/pgbouncer.sh    installs pgbouncer with apt where it is missing
set -euo pipefail
cd "$(dirname "$0")/../.."

tests/deps.sh
system=armp
spec=specs/$system.yaml
work=$(mktemp -d "${TMPDIR:-/tmp}/tenantry-pgbouncer.XXXXXX")
log=$work/cutover.txt
PATH=$PATH:$(tests/deps.sh bindir):/usr/sbin

told() { sed -n "s/^$1: //p" "$log"; }
tenantry() { cargo run --locked --quiet -- "$@"; }

clean_up() {
    [ ! -s "$work/pgbouncer.pid" ] || kill "$(cat "$work/pgbouncer.pid")" || true
    if [ -s "$log" ] && [ -n "$(told stop)" ]; then
        bash -c "$(told stop)" >/dev/null || echo "the scratch server did not stop: $(told stop)" >&2
    fi
    rm -rf "$work"
}
trap clean_up EXIT

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

cat "fixtures/$system/schema.sql" "fixtures/$system/rows.sql" | sqlite3 -bail "$work/source.db"
tenantry cutover "$spec" --source "$work/source.db" --target scratch --keep >"$log" 2>/dev/null
server=$(told connect | sed -n "s/^psql -h '\{0,1\}\([^' ]*\).*/\1/p")

# Its socket stands beside its settings. One connection to the server, which all clients share, transaction by transaction.
cat >"$work/pgbouncer.ini" <<INI
[databases]
; auth_type = any takes the user from here.
armp = host=$server port=5432 dbname=tenantry user=armp_app
[pgbouncer]
unix_socket_dir = $work
listen_addr =
listen_port = 6432
auth_type = any
pool_mode = transaction
default_pool_size = 1
ignore_startup_parameters = extra_float_digits, options
logfile = $work/pgbouncer.log
pidfile = $work/pgbouncer.pid
INI
as_user=()
if [ "$(id -u)" = 0 ]; then
    # It refuses to run as root.
    chown -R postgres "$work"
    chmod 755 "$work"
    as_user=(-u postgres)
fi
pgbouncer -q -d "${as_user[@]}" "$work/pgbouncer.ini"
for _ in $(seq 50); do [ ! -S "$work/.s.PGSQL.6432" ] || break; sleep 0.1; done

# One session through the pooler, which reads statements and prints rows.
pooled() { psql -X -q -At -v ON_ERROR_STOP=1 -h "$work" -p 6432 -U armp_app armp "$@"; }
transaction() { printf "BEGIN; SELECT set_config('app.organization_id', '%s', true) \\\\g /dev/null\n%s\nCOMMIT;\n" "$1" "$2" | pooled; }

[ "$(pooled -c 'SELECT current_user')" = armp_app ] || fail 'the pooler has not let the application in'
read_through=0
for organization in $(sqlite3 "$work/source.db" 'SELECT id FROM organization'); do
    for table in publication project harvest_log; do
        expected=$(sqlite3 "$work/source.db" "SELECT count(*) FROM $table WHERE organization_id = $organization")
        seen=$(transaction "$organization" "SELECT count(*) FROM $table;")
        [ "$seen" = "$expected" ] || fail "organization $organization sees $seen rows of $table, and not $expected"
        read_through=$((read_through + 1))
    done
done
echo "read through the pooler: $read_through counts, each organization its own"

left=$(printf "BEGIN; SELECT set_config('app.organization_id', '3', true) \\\\g /dev/null\nCOMMIT;\nSELECT count(*) FROM publication;\n" | pooled)
[ "$left" = 0 ] || fail "after its transaction a session still sees $left publications"
echo 'a transaction over, its organization is gone'

# Two sessions at once: each transaction gets the one connection, whoever had it before.
for organization in 1 2; do
    for _ in $(seq 25); do
        printf "BEGIN; SELECT set_config('app.organization_id', '%s', true) \\\\g /dev/null\n" "$organization"
        printf "SELECT pg_backend_pid() || ' ' || (SELECT string_agg(DISTINCT organization_id::text, ' ') FROM publication);\nCOMMIT;\n"
    done | pooled >"$work/seen.$organization" &
done
wait %1 %2
[ "$(cut -d ' ' -f 1 "$work"/seen.? | sort -u | wc -l)" = 1 ] || fail 'they have not shared a connection'
for organization in 1 2; do
    [ "$(wc -l <"$work/seen.$organization")" = 25 ] || fail "session $organization has not done all of its transactions"
    [ "$(cut -d ' ' -f 2- "$work/seen.$organization" | sort -u)" = "$organization" ] || fail 'one has seen the other'
done
echo 'two sessions, 50 transactions, one connection: neither saw the other'

transaction 3 "INSERT INTO project (organization_id, name) VALUES (3, 'pooled');"
[ "$(transaction 3 "SELECT count(*) FROM project WHERE name = 'pooled';")" = 1 ] || fail 'what was written is not there'
[ "$(transaction 4 "SELECT count(*) FROM project WHERE name = 'pooled';")" = 0 ] || fail 'another organization sees it'
for refused in "INSERT INTO project (organization_id, name) VALUES (4, 'pooled')" \
    "UPDATE project SET organization_id = 4 WHERE name = 'pooled'"; do
    if transaction 3 "$refused;" >"$work/said.txt" 2>&1; then fail "accepted: $refused"; fi
    grep -q 'row-level security' "$work/said.txt" || fail "refused for another reason: $(cat "$work/said.txt")"
done
transaction 3 "DELETE FROM project WHERE name = 'pooled';"
echo 'written through the pooler: its own rows, and no other organization'"'"'s'

url="postgresql://armp_app@/armp?host=$work&port=6432"
tenantry doctor --target "$url" >"$work/said.txt" 2>&1 && fail 'doctor has not seen the pooler'
grep -q 'pooler' "$work/said.txt" || fail "doctor says nothing of a pooler: $(cat "$work/said.txt")"
echo 'doctor knows it for a pooler, behind which no cutover is begun'
