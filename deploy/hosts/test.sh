#!/usr/bin/env bash
# Trains across five "hosts" of this machine, each a network namespace with its own address: a coordinator and four
# workers with CURVE keys, over links of 100 Mbit/s with delay and loss. One worker is cut off on the way and comes back.
# Ends on the bits of a run on one machine, and says what went over the wire.
#
#   deploy/hosts/test.sh LOCKSTEP        (make test-hosts)
#
# Needs root, iproute2 and nftables, and python3 where the kernel has no netem to delay frames. Exit code 77: skipped, with
# the reason.
set -euo pipefail
lockstep=$(realpath "$1")
skip() { echo "skipped: $*"; exit 77; }
[ "$(id -u)" = 0 ] || skip "network namespaces need root"
for tool in ip tc nft unshare; do command -v $tool > /dev/null || skip "no $tool here: install iproute2 and nftables"; done
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab=lockstep$$
net=198.18.76
scratch=$(mktemp -d)
ip netns add "$lab-switch" 2> /dev/null || { rm -rf "$scratch"; skip "network namespaces are not allowed here"; }
processes=()
down() {
    local code=$? name
    trap - EXIT
    if [ ${#processes[@]} -gt 0 ]; then { kill -KILL "${processes[@]}"; wait; } 2> /dev/null || true; fi
    if [ "$code" -ne 0 ] && [ "$code" -ne 77 ]; then tail -n 15 "$scratch"/*.log "$scratch/run/log.txt" >&2 || true; fi
    for name in h1 h2 h3 h4 h5 switch; do ip netns del "$lab-$name" 2> /dev/null || true; done
    rm -rf "$scratch"
    exit "$code"
}
trap down EXIT
switch() { ip netns exec "$lab-switch" "$@"; }
# host N COMMAND...: in its namespace. The shell goes over into the command, so that $! is the command's.
on() { local name=$lab-h$1; shift; exec nsenter --net="/run/netns/$name" "$@"; }

# A switch in a namespace of its own: nothing leaves through this machine's interfaces.
switch ip link add br0 type bridge stp_state 0 forward_delay 0 2> /dev/null || skip "this kernel has no bridges"
switch ip link set br0 up
switch nft -f - << 'NFT'
table bridge lab {
  set alone { type ether_addr; }
  chain between {
    type filter hook forward priority 0; policy accept;
    ether saddr @alone drop
    ether daddr @alone drop
    numgen random mod 10000 < 30 drop
  }
}
NFT
delay="5 ms of delay each way"
for n in 1 2 3 4 5; do
    ip netns add "$lab-h$n"
    ip -n "$lab-h$n" link set lo up
    ip -n "$lab-h$n" link add eth0 address 02:00:00:00:00:0$n type veth peer name "v$n" netns "$lab-switch"
    ip -n "$lab-h$n" addr add $net.$n/24 dev eth0
    # Packets of the wire's size, so that one loss is one packet.
    ip -n "$lab-h$n" link set eth0 gso_max_size 1514 gso_max_segs 1 up
    switch ip link set "v$n" master br0 up
    for side in "$lab-h$n eth0" "$lab-switch v$n"; do
        # shellcheck disable=SC2086
        set -- $side
        if tc -n "$1" qdisc replace dev "$2" root netem delay 5ms rate 100mbit limit 2000 2> /dev/null; then
            continue
        else
            tc -n "$1" qdisc replace dev "$2" root tbf rate 100mbit burst 64kb latency 100ms
        fi
    done
    if ! tc -n "$lab-switch" qdisc show dev "v$n" | grep -q netem; then
        if [ -c /dev/net/tun ] && command -v python3 > /dev/null; then
            (exec nsenter --net="/run/netns/$lab-switch" python3 "$here/relay.py" "v$n" "p$n" 0.005 > "$scratch/relay$n") &
            processes+=($!)
            for _ in $(seq 100); do [ -s "$scratch/relay$n" ] && break; sleep 0.05; done
            [ -s "$scratch/relay$n" ] || { echo "hosts: the relay of host $n does not start" >&2; exit 1; }
            switch ip link set "v$n" nomaster
            switch ip link set "p$n" master br0 up
        else
            delay="no delay (no netem in this kernel, and no python3 or /dev/net/tun)"
        fi
    fi
done
echo "five hosts, 100 Mbit/s, 0.3 % loss, $delay"

flags=(--hidden 64 --layers 2 --dropout 0.3 --batch 32 --window 32 --steps 250 --seed 11 --sample-every 0)
"$lockstep" train --run "$scratch/reference" --workers 1 --threads 1 --quiet "${flags[@]}" < /dev/null
"$lockstep" keys "$scratch/keys" --worker alpha --worker beta --worker gamma --worker delta > /dev/null

number=2
for name in alpha beta gamma delta; do
    (on $number "$lockstep" worker --connect tcp://$net.1:5757 --keys "$scratch/keys/$name" --threads 1 --name $name \
        --retry-for 60s > "$scratch/$name.log" 2>&1) &
    processes+=($!)
    number=$((number + 1))
done
(on 1 "$lockstep" coordinator --run "$scratch/run" --listen tcp://0.0.0.0:5757 --keys "$scratch/keys/coordinator" \
    --minimum-workers 4 "${flags[@]}" > "$scratch/coordinator.log" 2>&1) &
coordinator=$!
processes+=("$coordinator")

lines() { { wc -l < "$scratch/run/metrics.jsonl"; } 2> /dev/null || echo 0; }
# reach STEPS SECONDS
reach() {
    local end=$((SECONDS + $2))
    until [ "$(lines)" -ge "$1" ]; do
        kill -0 $coordinator 2> /dev/null || break
        [ "$SECONDS" -lt $end ] || { echo "hosts: no step $1 within $2 s" >&2; exit 1; }
        sleep 0.1
    done
}
bytes() { ip netns exec "$lab-h$1" awk '$1 == "eth0:" { print $2, $10 }' /proc/net/dev; }
reach 20 90
before=$(bytes 2); first=$(lines)
reach 60 90
after=$(bytes 2); last=$(lines)
echo "$before $after $first $last" | awk '{ n = $6 - $5; printf "worker alpha: %.1f kB in and %.1f kB out a step on the wire\n", ($3 - $1) / n / 1e3, ($4 - $2) / n / 1e3 }'
echo "cutting delta off at step $(lines)"
switch nft add element bridge lab alone "{ 02:00:00:00:00:05 }"
reach 110 90
grep -q "lost delta" "$scratch/run/log.txt" || { echo "hosts: nobody missed delta" >&2; exit 1; }
echo "healing at step $(lines)"
switch nft "flush set bridge lab alone"
code=0
wait $coordinator || code=$?
cat "$scratch/coordinator.log"
[ $code = 0 ] || { echo "hosts: the coordinator ended with $code" >&2; exit 1; }
grep -c "delta joined" "$scratch/run/log.txt" | grep -q 2 || { echo "hosts: delta did not come back" >&2; exit 1; }
digest() { "$lockstep" inspect --json "$1" | tr ',{' '\n\n' | sed -n 's/.*"state_digest" *: *"\([0-9a-f]*\)".*/\1/p'; }
[ "$(digest "$scratch/run")" = "$(digest "$scratch/reference")" ] || { echo "hosts: other bits" >&2; exit 1; }
echo "the same state as on one machine: $(digest "$scratch/reference")"
echo "hosts: passed"
