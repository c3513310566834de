#!/usr/bin/env bash
# Holds what `lockstep plan` predicts against steps that are measured: hosts of this machine, each a network namespace, on
# links of a given rate. Says the time of a step and what went over the coordinator's link, and what plain TCP streams get over
# the same links, both ways at once: should that be less than the link's name, look there first.
#
#   deploy/hosts/measure.sh LOCKSTEP
#
# Variables: RATES (default "100mbit 1gbit"), WORKERS ("2 4 8"), STEPS (60, of which the first 10 do not count), MODEL (its
# flags), INSECURE=1 (without keys). All hosts share this machine's cores, as hosts do not: take a model whose step is short
# against its time on the link. Needs root, iproute2 and python3.
set -euo pipefail
lockstep=$(realpath "$1")
rates=${RATES:-100mbit 1gbit}
counts=${WORKERS:-2 4 8}
steps=${STEPS:-60}
read -ra model <<< "${MODEL:---hidden 128 --layers 1 --batch 32 --window 32}"
lab=lockstep$$
net=198.18.76
scratch=$(mktemp -d)
processes=()
namespaces=()
clear_hosts() {
    local name
    if [ ${#processes[@]} -gt 0 ]; then { kill -KILL "${processes[@]}"; wait; } 2> /dev/null || true; fi
    processes=()
    for name in "${namespaces[@]}"; do ip netns del "$name" 2> /dev/null || true; done
    namespaces=()
}
finish() {
    local code=$?
    trap - EXIT
    clear_hosts
    rm -rf "$scratch"
    exit "$code"
}
trap finish EXIT
on() { local name=$lab-h$1; shift; exec nsenter --net="/run/netns/$name" "$@"; }

# hosts COUNT RATE: host 1 for the coordinator and one for each worker, around a switch.
hosts() {
    local n side burst=20kb whole=16000
    # What may go at once is small, as a step gains the time of it each way; but a fast link's timer comes late by more.
    case $2 in *gbit) burst=64kb whole=24000 ;; esac
    namespaces=("$lab-switch")
    ip netns add "$lab-switch"
    ip -n "$lab-switch" link add br0 type bridge stp_state 0 forward_delay 0
    ip -n "$lab-switch" link set br0 up
    for n in $(seq $(($1 + 1))); do
        namespaces+=("$lab-h$n")
        ip netns add "$lab-h$n"
        # Not bbr, which some machines have as their default: with short turns of several senders it keeps below the rate.
        ip netns exec "$lab-h$n" sysctl -qw net.ipv4.tcp_congestion_control=reno
        ip -n "$lab-h$n" link set lo up
        ip -n "$lab-h$n" link add eth0 type veth peer name "v$n" netns "$lab-switch"
        ip -n "$lab-h$n" addr add "$net.$n/24" dev eth0
        # TCP hands over runs of packets, up to 64 KB, for a network card to cut. Any that are more than may go at once tbf
        # cuts itself, at more than the cost of all else: 7 s of the processor for a GB here, where whole ones take 1 s.
        ip -n "$lab-h$n" link set eth0 gso_max_size $whole up
        ip -n "$lab-switch" link set "v$n" master br0 up
        for side in "$lab-h$n eth0" "$lab-switch v$n"; do
            # shellcheck disable=SC2086
            set -- "$1" "$2" $side
            tc -n "$3" qdisc replace dev "$4" root tbf rate "$2" burst "$burst" latency 100ms
        done
    done
}
# wire: bytes of frames that went in and out at the coordinator, as the links counted them.
wire() {
    tc -n "$lab-switch" -s -j qdisc show dev v1 | sed 's/.*"bytes":\([0-9]*\).*/\1/'
    tc -n "$lab-h1" -s -j qdisc show dev eth0 | sed 's/.*"bytes":\([0-9]*\).*/\1/'
}
cat > "$scratch/link.py" << 'PYTHON'
# link.py ADDRESS STREAMS: at the coordinator. link.py ADDRESS: at a worker. Both send and receive for two seconds, with a
# process for each direction of a stream; the coordinator's print how many bytes they moved.
import os, socket, sys, time

address, streams = (sys.argv[1], 5000), int(sys.argv[2]) if len(sys.argv) > 2 else 0
block = bytearray(1 << 18)
if streams:
    server = socket.create_server(address)
    ends = [server.accept()[0] for _ in range(streams)]
else:
    for _ in range(100):
        try:
            ends = [socket.create_connection(address)]
            break
        except OSError:
            time.sleep(0.05)
start = time.monotonic()
for one in ends:
    for name, move in (("in", one.recv_into), ("out", one.send)):
        if os.fork() == 0:
            count = 0
            one.settimeout(1)
            try:
                while (now := time.monotonic()) < start + 2.3:
                    done = move(block)
                    # The first data only fill buffers.
                    if now > start + 0.3:
                        count += done
            except OSError:
                pass
            if streams:
                os.write(1, f"{name} {count}\n".encode())
            os._exit(0)
for _ in range(2 * len(ends)):
    os.wait()
PYTHON
# link COUNT: the rate of plain streams between the coordinator's host and that many others.
link() {
    local n
    for n in $(seq "$1"); do (on $((n + 1)) python3 "$scratch/link.py" $net.1 > /dev/null 2>&1) & processes+=($!); done
    # In Mbit/s with all headers, of the slower direction.
    (on 1 python3 "$scratch/link.py" $net.1 "$1") | awk '{ sum[$1] += $2 }
        END { printf "%.1f", (sum["in"] < sum["out"] ? sum["in"] : sum["out"]) * 8 / 2e6 * 1538 / 1448 }' > "$scratch/rate"
}
lines() { { wc -l < "$1"; } 2> /dev/null || echo 0; }

security=(--insecure)
if [ -z "${INSECURE:-}" ]; then
    "$lockstep" keys "$scratch/keys" > /dev/null
    security=(--keys "$scratch/keys/coordinator")
fi
step=$("$lockstep" bench --json --dropout 0 --workers 1 --threads 1 --steps 200 "${model[@]}" < /dev/null \
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["step_seconds"])')
echo "model: ${model[*]}; a step on one host takes $step s; ${security[0]#--}"
printf '%-8s %7s %9s  %12s %12s %6s  %23s %23s\n' link workers Mbit/s predicted measured ratio "MB in: plan, wire" "MB out: plan, wire"
for rate in $rates; do
    "$lockstep" plan --json --step-seconds "$step" --bandwidth "$rate" --latency 0 --distinct 41 "${model[@]}" \
        ${INSECURE:+--insecure} > "$scratch/plan.json"
    for count in $counts; do
        hosts "$count" "$rate"
        link "$count"
        plain=$(cat "$scratch/rate")
        run=$scratch/$rate-$count
        (on 1 "$lockstep" coordinator --run "$run" --listen tcp://0.0.0.0:5757 "${security[@]}" --minimum-workers "$count" \
            --steps "$steps" --dropout 0 --sample-every 0 --checkpoint-every 0 --dashboard off --worker-timeout 30 \
            "${model[@]}" > "$run.log" 2>&1 < /dev/null) &
        coordinator=$!
        processes+=("$coordinator")
        for n in $(seq "$count"); do
            (on $((n + 1)) "$lockstep" worker --connect tcp://$net.1:5757 --threads 1 --name "w$n" --retry-for 30s \
                ${security[1]:+--keys "$scratch/keys/worker"} > "$run-$n.log" 2>&1 < /dev/null) &
            processes+=($!)
        done
        until [ "$(lines "$run/metrics.jsonl")" -ge 10 ]; do
            kill -0 "$coordinator" 2> /dev/null || { tail -5 "$run.log" >&2; exit 1; }
            sleep 0.02
        done
        before=$(wire); first=$(lines "$run/metrics.jsonl")
        until [ "$(lines "$run/metrics.jsonl")" -ge $((steps - 5)) ]; do
            kill -0 "$coordinator" 2> /dev/null || { tail -5 "$run.log" >&2; exit 1; }
            sleep 0.02
        done
        after=$(wire); last=$(lines "$run/metrics.jsonl")
        wait "$coordinator" || { tail -5 "$run.log" >&2; exit 1; }
        # shellcheck disable=SC2086
        python3 - "$scratch/plan.json" "$run/metrics.jsonl" "$rate" "$count" $before $after "$first" "$last" "$plain" << 'PYTHON'
import json, statistics, sys

plan, metrics, rate, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
in0, out0, in1, out1, first, last = map(int, sys.argv[5:11])
row = next(row for row in json.load(open(plan))["predictions"] if row["workers"] == count)
lines = [json.loads(line) for line in open(metrics)]
measured = statistics.median(line["step_seconds"] for line in lines[10:] if "digest" in line)
wire = [(in1 - in0) / (last - first) / 1e6, (out1 - out0) / (last - first) / 1e6]
print(
    f"{rate:8} {count:7} {sys.argv[11]:>9}  {row['step_seconds'] * 1e3:9.2f} ms {measured * 1e3:9.2f} ms {measured / row['step_seconds']:6.2f}"
    f"  {row['bytes_in'] / 1e6:15.3f} {wire[0]:7.3f} {row['bytes_out'] / 1e6:15.3f} {wire[1]:7.3f}", flush=True)
PYTHON
        clear_hosts
    done
done
