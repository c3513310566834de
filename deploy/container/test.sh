#!/usr/bin/env bash
# Builds the image over a Debian from debootstrap, with a program that was built already, and trains in three containers;
# then in those that the compose file describes, stopped and started again on the way.
#
#   deploy/container/test.sh LOCKSTEP        (make test-containers)
#
# LOCKSTEP needs its Swift runtime inside, as deploy/package/build.sh builds it. WHOLE=1 builds the program in the image too,
# with this machine's Swift, which takes minutes. ROOT=DIR takes an unpacked Debian in place of a new one. Needs root,
# buildah, podman and runc; for the compose file podman-compose, netavark and aardvark-dns. Exit code 77: skipped, with the
# reason.
set -euo pipefail
lockstep=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
skip() { echo "skipped: $*"; exit 77; }
for tool in buildah podman runc; do command -v $tool > /dev/null || skip "no $tool here"; done
[ "$(id -u)" = 0 ] || skip "these containers need root"
scratch=$(mktemp -d)
project=lockstep$$
export CONTAINERS_CONF=$scratch/containers.conf CONTAINERS_STORAGE_CONF=$scratch/storage.conf BUILDAH_ISOLATION=chroot
# Low limits: raising them may not be allowed here.
cat > "$CONTAINERS_CONF" << 'CONF'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
CONF
network=$(command -v netavark || ls /usr/lib/podman/netavark /usr/libexec/podman/netavark 2> /dev/null | head -1 || true)
if [ -n "$network" ]; then
    printf '[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "%s"\n' "$scratch/networks" >> "$CONTAINERS_CONF"
fi
cat > "$CONTAINERS_STORAGE_CONF" << CONF
[storage]
driver = "vfs"
graphroot = "$scratch/storage"
runroot = "$scratch/run"
CONF
cleanup() {
    local code=$?
    podman rm -f -a -t 1 > /dev/null 2>&1 || true
    podman network rm -f "${project}_default" > /dev/null 2>&1 || true
    rm -rf "$scratch" 2> /dev/null || true
    exit $code
}
trap cleanup EXIT

hadolint=$(command -v hadolint || true)
if [ -n "$hadolint" ]; then
    "$hadolint" --ignore DL3008 "$here/Containerfile"
else
    echo "not linted: no hadolint here"
fi

root=${ROOT:-$scratch/root}
if [ -z "${ROOT:-}" ]; then
    command -v debootstrap > /dev/null || skip "no debootstrap here to make a base image"
    debootstrap --variant=minbase bookworm "$root" > "$scratch/debootstrap.log" 2>&1 || skip "debootstrap failed"
fi
tar -C "$root" --exclude=./proc/* --exclude=./sys/* -c . | podman import -q - localhost/base:12 > /dev/null
image=(buildah build -q --pull=never --network=host --build-arg BASE_IMAGE=localhost/base:12 -t localhost/lockstep)
if [ -n "${WHOLE:-}" ]; then
    # This machine's toolchain stands in for the image of swift.org, which has these packages.
    usr=$(dirname "$(dirname "$(realpath "$(command -v swiftc)")")")
    cache=$HOME/.cache/org.swift.swiftpm
    mkdir -p "$cache"
    cat > "$scratch/Swiftfile" << SWIFT
FROM localhost/base:12
RUN apt-get update -q && apt-get install -q -y --no-install-recommends binutils ca-certificates gcc git libc6-dev \\
    libcurl4 libedit2 libgcc-12-dev libncurses6 libpython3.11 libsqlite3-0 libstdc++-12-dev libxml2 libz3-dev tzdata zlib1g
ENV PATH=$usr/bin:/usr/sbin:/usr/bin:/sbin:/bin
SWIFT
    buildah build -q --pull=never --network=host -f "$scratch/Swiftfile" -t localhost/swift "$scratch" > /dev/null
    "${image[@]}" --build-arg SWIFT_IMAGE=localhost/swift -v "$usr:$usr:ro" -v "$cache:/root/.cache/org.swift.swiftpm" \
        -f "$here/Containerfile" "$here/../.." > /dev/null
else
    mkdir -p "$scratch/program/out"
    cp "$lockstep" "$scratch/program/out/lockstep"
    tar -C "$scratch/program" -c . | podman import -q - localhost/program:test > /dev/null
    # The stage that builds needs an image with Swift: here the program that is there already stands in for it.
    # shellcheck disable=SC2016
    sed '/^FROM ${SWIFT_IMAGE} AS build/,/^$/c FROM localhost/program:test AS build\n' "$here/Containerfile" \
        > "$scratch/Containerfile"
    "${image[@]}" -f "$scratch/Containerfile" "$scratch" > /dev/null
fi
echo "built: $(podman image inspect localhost/lockstep --format '{{.Size}} bytes, user {{.User}}')"
podman run --rm --network=none --read-only localhost/lockstep --version

"$lockstep" keys "$scratch/keys" > /dev/null
mkdir "$scratch/runs"
chown -R 10001:10001 "$scratch/keys" "$scratch/runs"
chmod 755 "$scratch"
model=(--hidden 32 --layers 1 --batch 16 --window 32 --seed 3 --sample-every 0)
flags=(--network=host --read-only --cap-drop=all --security-opt=no-new-privileges)
port=$((20000 + RANDOM % 10000))
podman run -d --name coordinator "${flags[@]}" -v "$scratch/keys/coordinator:/keys:ro" -v "$scratch/runs:/runs" \
    localhost/lockstep coordinator --run /runs/run --listen "tcp://127.0.0.1:$port" --keys /keys --minimum-workers 2 \
    --steps 200 "${model[@]}" > /dev/null
for name in alpha beta; do
    podman run -d --name $name "${flags[@]}" -v "$scratch/keys/worker:/keys:ro" \
        localhost/lockstep worker --connect "tcp://127.0.0.1:$port" --keys /keys --threads 1 --name $name > /dev/null
done
code=$(timeout 120 podman wait coordinator)
podman logs coordinator
podman logs alpha
[ "$code" = 0 ] || { echo "containers: the coordinator ended with $code" >&2; exit 1; }
[ "$(podman inspect coordinator --format '{{.Config.User}}')" = 10001:10001 ]
"$lockstep" train --run "$scratch/reference" --workers 1 --threads 1 --steps 200 "${model[@]}" --quiet
last() { tail -1 "$1/metrics.jsonl" | sed 's/.*"digest" *: *"\([0-9a-f]*\)".*/\1/'; }
[ "$(last "$scratch/runs/run")" = "$(last "$scratch/reference")" ] || { echo "containers: other bits" >&2; exit 1; }
echo "three containers, the same bits as one process pair: $(last "$scratch/reference")"
podman rm -f -a -t 1 > /dev/null

# Nobody has this address: a question to it fails at once, or stays without an answer for many seconds, as the network has it.
podman run -d --name lost "${flags[@]}" --dns=192.0.2.1 localhost/lockstep worker --connect tcp://coordinator.invalid:5757 \
    > /dev/null
for _ in $(seq 100); do ! podman logs lost 2>&1 | grep -q waits: || break; sleep 0.1; done
podman logs lost
podman stop -t 20 lost > /dev/null
code=$(podman inspect lost --format '{{.State.ExitCode}}')
[ "$code" = 0 ] || { echo "containers: a worker that waits for a name server ended with $code when stopped" >&2; exit 1; }
podman rm -f -a -t 1 > /dev/null

if ! command -v podman-compose > /dev/null || [ -z "$network" ]; then
    echo "the compose file was not run: no podman-compose (PyPI) or no netavark here"
    echo "containers: passed, but for the compose file"
    exit 0
fi
steps=4000
export KEYS=$scratch/keys FLAGS="--steps $steps --minimum-workers 3 ${model[*]}" CORPUS=$scratch/corpus.txt
seq 1 60000 > "$CORPUS"
compose() { podman-compose -p "$project" -f "$here/compose.yaml" "$@" > "$scratch/compose.log" 2>&1 || { cat "$scratch/compose.log" >&2; exit 1; }; }
compose up -d --no-build --scale worker=3
volume=$(podman volume inspect "${project}_runs" --format '{{.Mountpoint}}')
lines() { { wc -l < "$volume/run/metrics.jsonl"; } 2> /dev/null || echo 0; }
for _ in $(seq 300); do [ "$(lines)" -lt 100 ] || break; sleep 0.1; done
compose stop
seen=$(lines)
echo "compose: stopped at step $seen"
[ "$seen" -ge 100 ] && [ "$seen" -lt $steps ] || { podman logs "${project}_coordinator_1" >&2; exit 1; }
compose up -d --no-build --scale worker=3
code=$(timeout 120 podman wait "${project}_coordinator_1")
podman logs "${project}_coordinator_1" 2>&1 | grep -v '%  step'
[ "$code" = 0 ] || { echo "containers: the coordinator of the compose file ended with $code" >&2; exit 1; }
"$lockstep" train "$CORPUS" --run "$scratch/text" --workers 1 --threads 1 --steps $steps "${model[@]}" --quiet
[ "$(last "$volume/run")" = "$(last "$scratch/text")" ] || { echo "containers: other bits by compose" >&2; exit 1; }
echo "four containers of the compose file, stopped and started again, the same bits: $(last "$scratch/text")"
compose up -d --no-build --scale worker=3
code=$(timeout 60 podman wait "${project}_coordinator_1")
sleep 1
state=$(podman inspect "${project}_coordinator_1" --format '{{.State.Status}} {{.RestartCount}}')
[ "$code $state" = "0 exited 0" ] || { echo "containers: a finished run: $code, $state" >&2; exit 1; }
podman logs --tail 1 "${project}_coordinator_1" 2>&1 | grep 'already finished'
compose down -v
echo "containers: passed"
