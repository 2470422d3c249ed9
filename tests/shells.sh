#!/usr/bin/env bash
# Tries what only other programs can tell: manual pages in groff, completions in bash, zsh and fish. Installs those that are
# missing where apt can do so without asking.
#
#   tests/shells.sh TENANTRY    the built program
set -euo pipefail

program=$(realpath "${1:?the built program}")
missing=()
for name in groff zsh fish; do command -v "$name" >/dev/null || missing+=("$name"); done
if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
        echo "missing: ${missing[*]}" >&2
        exit 2
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/tenantry-shells.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/zsh"
ln -s "$program" "$work/bin/tenantry"
export PATH="$work/bin:$PATH" HOME="$work" LC_ALL=C.UTF-8

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# expect NAME ANSWER WORD…: the answer has to hold each word.
expect() {
    local name=$1 answer=$2 word
    shift 2
    for word in "$@"; do
        [[ $answer == *"$word"* ]] || fail "$name: $word is not in: $answer"
    done
    echo "ok  $name: $*"
}

# `-ww` gives all warnings; what is said on stderr is one.
tenantry man --out-dir "$work/man1"
pages=0
for page in "$work"/man1/*.1; do
    said=$(groff -man -ww -Tutf8 -P-cbou "$page" 2>&1 >"$work/page.txt")
    [ -z "$said" ] || fail "$(basename "$page"): $said"
    grep -q SYNOPSIS "$work/page.txt" || fail "$(basename "$page") shows no synopsis"
    pages=$((pages + 1))
done
[ "$pages" -gt 12 ] || fail "$pages manual pages"
echo "ok  $pages manual pages render without a warning"

tenantry completions bash >"$work/tenantry.bash"
# shellcheck disable=SC2016 # the inner shell expands it
answer=$(bash --norc -c 'source "$1"; COMP_WORDS=(tenantry cut); COMP_CWORD=1; _tenantry tenantry cut tenantry
    echo "${COMPREPLY[*]}"' - "$work/tenantry.bash")
expect bash "$answer" cutover

tenantry completions fish >"$work/tenantry.fish"
expect 'fish, a verb' "$(fish --no-config -c "source '$work/tenantry.fish'; complete -C 'tenantry cut'")" cutover
expect 'fish, a flag' "$(fish --no-config -c "source '$work/tenantry.fish'; complete -C 'tenantry graph --ar'")" --around

tenantry completions zsh >"$work/zsh/_tenantry"
# A zsh of its own on a pseudo terminal, because completion is for an interactive one; the answer is what stands on its line.
cat >"$work/try.zsh" <<'ZSH'
zmodload zsh/zpty
zpty shell zsh -f -i
# type KEYS WORD: types, and reads until the word is on the screen.
type() {
    local got= part=
    zpty -w -n shell "$1"
    repeat 100; do
        while zpty -r -t shell part; do got+=$part; done
        [[ $got == *$2* ]] && break
        sleep 0.1
    done
    print -r -- "$got"
}
type "PS1=; TERM=dumb; fpath=($1 \$fpath); autoload -Uz compinit; compinit -u -D; print rea''dy"$'\n' ready >/dev/null
type $'tenantry cut\t' cutover
type $'\x15tenantry graph --aro\t' --around
zpty -d shell
ZSH
expect zsh "$(zsh -f "$work/try.zsh" "$work/zsh" 2>&1)" 'tenantry cutover' '--around'
