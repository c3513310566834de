#!/usr/bin/env bash
# What CURVE costs on this machine: steps of a coordinator and two workers over TCP on loopback, with keys and without, in
# turn.
#
#   deploy/hosts/curve-cost.sh LOCKSTEP [CORPUS]
#
# Variables: HIDDEN (default 128), STEPS (of a run, 12; the first 3 do not count), PAIRS (5), THREADS (of each worker, 1).
# Prints the median step of each run, and the medians of both ways. Both ends share the machine: on hosts of their own each
# pays its side.
set -euo pipefail
lockstep=$(realpath "$1")
corpus=()
if [ -n "${2:-}" ]; then corpus=("$(realpath "$2")"); fi
hidden=${HIDDEN:-128}
steps=${STEPS:-12}
scratch=$(mktemp -d)
processes=()
finish() {
    local code=$?
    trap - EXIT
    if [ ${#processes[@]} -gt 0 ]; then { kill -KILL "${processes[@]}"; wait; } 2> /dev/null || true; fi
    rm -rf "$scratch"
    exit "$code"
}
trap finish EXIT
"$lockstep" keys "$scratch/keys" > /dev/null

# median FILE...: of all their numbers.
median() { sort -g "$@" | awk '{ a[NR] = $1 } END { print NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2 }'; }

# run NAME COORDINATOR-FLAGS -- WORKER-FLAGS: prints the median step.
run() {
    local name=$1 n mine=() theirs=() coordinator workers=()
    shift
    while [ "$1" != -- ]; do mine+=("$1"); shift; done
    shift
    theirs=("$@")
    rm -rf "${scratch:?}/$name" "$scratch/endpoint"
    "$lockstep" coordinator ${corpus[@]+"${corpus[@]}"} --run "$scratch/$name" --listen tcp://127.0.0.1:0 \
        --endpoint-file "$scratch/endpoint" --minimum-workers 2 --hidden "$hidden" --layers 2 --batch 128 --window 100 \
        --dropout 0 --steps "$steps" --evaluate-every 0 --sample-every 0 --checkpoint-every 0 --dashboard off --quiet \
        ${mine[@]+"${mine[@]}"} < /dev/null &
    coordinator=$!
    for n in 1 2; do
        "$lockstep" worker --endpoint-file "$scratch/endpoint" --threads "${THREADS:-1}" --name "w$n" --quiet \
            --retry-for 5s ${theirs[@]+"${theirs[@]}"} < /dev/null &
        workers+=($!)
    done
    processes=("$coordinator" "${workers[@]}")
    wait "$coordinator"
    wait "${workers[@]}" || true
    processes=()
    grep '"digest"' "$scratch/$name/metrics.jsonl" | sed 1,3d | sed 's/.*"step_seconds" *: *\([0-9.e-]*\).*/\1/' \
        > "$scratch/$name.seconds"
    median "$scratch/$name.seconds"
}

for pair in $(seq "${PAIRS:-5}"); do
    run plain -- >> "$scratch/plain.medians"
    run curve --keys "$scratch/keys/coordinator" -- --keys "$scratch/keys/worker" >> "$scratch/curve.medians"
    printf '2 x %s, pair %s: %s s without keys, %s s with\n' "$hidden" "$pair" "$(tail -1 "$scratch/plain.medians")" "$(tail -1 "$scratch/curve.medians")"
done
printf '%s %s\n' "$(median "$scratch/plain.medians")" "$(median "$scratch/curve.medians")" | awk -v h="$hidden" \
    '{ printf "2 x %s, medians: %.4f s without keys, %.4f s with: %+.1f %%\n", h, $1, $2, ($2 / $1 - 1) * 100 }'
