#!/usr/bin/env bash
# Checks the specs of $SPECS, one path or pattern a line: annotations to stdout, SARIF into $SARIF where that is given.
set -euo pipefail
shopt -s nullglob
# The bash of macOS has no `**`, and fails on an empty array.
shopt -s globstar 2>/dev/null || true

specs=()
deny=()
# Words are not split, so that a path may hold spaces; patterns are looked up.
IFS=
while read -r pattern; do
    case $pattern in
        '') ;;
        *[*?[]*) specs+=($pattern) ;;
        *) specs+=("$pattern") ;;
    esac
done <<<"${SPECS:-}"
while read -r code; do
    [ -z "$code" ] || deny+=(--deny "$code")
done <<<"${DENY:-}"
if [ ${#specs[@]} -eq 0 ]; then
    echo "::error title=tenantry::no spec is named or found"
    exit 2
fi

if [ -n "${SARIF:-}" ]; then
    tenantry check "${specs[@]}" ${deny[@]+"${deny[@]}"} --format sarif >"$SARIF" || true
fi
tenantry check "${specs[@]}" ${deny[@]+"${deny[@]}"} --format github
