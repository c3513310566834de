#!/usr/bin/env bash
# Verifies the units: systemd-analyze verify must say nothing at all, and the exposure must stay low.
#
#   deploy/systemd/test.sh        (make test-systemd)
#
# Exit code 77: skipped, with the reason.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
skip() { echo "skipped: $*"; exit 77; }
command -v systemd-analyze > /dev/null || skip "no systemd-analyze here"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The highest exposure that passes, times 10; systemd calls below 2 "OK", above 8 "unsafe".
limit=20
for role in coordinator worker; do
    unit=lockstep-$role.service
    # Verified before it is installed: the program stands where this folder has it.
    sed -e "s#^ExecStart=[^ ]*#ExecStart=/bin/true#" -e '/^Documentation=man:/d' "$here/$unit" > "$scratch/$unit"
    warnings=$(systemd-analyze verify "$scratch/$unit" 2>&1 | grep -F "$unit" || true)
    if [ -n "$warnings" ]; then printf '%s\n' "$warnings" >&2; exit 1; fi
    exposure=$(systemd-analyze security --offline=true "$scratch/$unit" 2> /dev/null \
        | sed -n 's/.*Overall exposure level for [^:]*: \([0-9.]*\).*/\1/p')
    [ -n "$exposure" ] || { echo "systemd: systemd-analyze names no exposure level of $unit" >&2; exit 1; }
    printf '%s: verified; exposure level %s of 10\n' "$unit" "$exposure"
    [ "$(printf '%.0f' "$(echo "$exposure" | tr -d .)")" -le $limit ] || { echo "systemd: more exposed than 2.0" >&2; exit 1; }
done

# A check that cannot fail proves nothing: a misspelt key must not pass.
sed 's/^NoNewPrivileges=/NoNewPrivilege=/' "$scratch/lockstep-worker.service" > "$scratch/lockstep-wrong.service"
systemd-analyze verify "$scratch/lockstep-wrong.service" 2>&1 | grep -q "NoNewPrivilege" \
    || { echo "systemd: a misspelt key passed" >&2; exit 1; }
echo "systemd: passed"
