#!/usr/bin/env bash
# Builds tenantry at the commit of this action, unless the job has it already.
set -euo pipefail

if command -v tenantry >/dev/null; then
    tenantry --version
    exit
fi
root="$(cd "$(dirname "$0")/../../.." && pwd)"
cargo install --locked --path "$root"
