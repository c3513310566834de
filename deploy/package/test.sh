#!/usr/bin/env bash
# Installs the .deb into a clean Debian root without a Swift toolchain, runs it there, and boots that root with both
# services.
#
#   deploy/package/test.sh [PACKAGE]        (make test-package; PACKAGE: default the newest in dist/)
#
# ROOT=DIR takes an unpacked Debian with systemd in place of a new one from debootstrap; it is changed. Needs root and
# debootstrap; the boot needs systemd-nspawn. Exit code 77: skipped, with the reason.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$here"
skip() { echo "skipped: $*"; exit 77; }
# shellcheck disable=SC2012
package=${1:-$(ls -t dist/*.deb 2> /dev/null | head -1 || true)}
[ -e "$package" ] || { echo "package: there is no package: run make package" >&2; exit 1; }
[ "$(id -u)" = 0 ] || skip "a clean root needs root"
scratch=$(mktemp -d)
root=${ROOT:-$scratch/root}
cleanup() {
    local code=$?
    mountpoint -q "$root/proc" && umount "$root/proc"
    rm -rf --one-file-system "$scratch"
    exit $code
}
trap cleanup EXIT
if [ -z "${ROOT:-}" ]; then
    command -v debootstrap > /dev/null || skip "no debootstrap here to make a clean root"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,bash-completion,man-db bookworm "$root" \
        > "$scratch/debootstrap.log" 2>&1 || { tail -5 "$scratch/debootstrap.log"; skip "debootstrap failed"; }
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }

cp "$package" "$root/tmp/lockstep.deb"
inside apt-get update -q > "$scratch/apt.log" 2>&1
inside apt-get purge -y -q lockstep >> "$scratch/apt.log" 2>&1 || true
# Its dependencies first, so that dpkg -i alone installs it.
depends=$(dpkg-deb -f "$package" Depends | tr ',' '\n' | sed 's/ *(.*//; s/ *//')
# shellcheck disable=SC2086
inside apt-get install -y -q --no-install-recommends $depends >> "$scratch/apt.log" 2>&1
inside dpkg -i /tmp/lockstep.deb
! inside sh -c 'command -v swift' || { echo "package: there is a Swift toolchain in the clean root" >&2; exit 1; }

echo "== run"
inside lockstep --version
rm -rf "$root/tmp/run"
inside lockstep train --run /tmp/run --workers 2 --threads 1 --hidden 32 --layers 1 --batch 16 --window 32 --steps 100 \
    --sample-every 0
inside lockstep sample /tmp/run --length 60 --seed 1
for page in lockstep lockstep-train lockstep-worker lockstep-keys; do
    [ -s "$root/usr/share/man/man1/$page.1.gz" ] || { echo "package: no man page $page" >&2; exit 1; }
done
doc=$root/usr/share/doc/lockstep
while IFS=: read -r page link; do
    [ -e "$(dirname "$page")/$link" ] || { echo "package: ${page#"$doc/"} links to $link, which is not there" >&2; exit 1; }
done < <(grep -roE '\]\([^) :#]+[./][^) :#]+\)' --include='*.md' "$doc" | sed 's/\](//; s/)$//')
inside bash -c '. /usr/share/bash-completion/completions/lockstep && complete -p lockstep' | grep -q lockstep

command -v systemd-nspawn > /dev/null || { echo "the boot is left out: no systemd-nspawn here"; exit 0; }
[ -x "$root/lib/systemd/systemd" ] || { echo "the boot is left out: no systemd in $root"; exit 0; }
echo "== boot with both services"
rm -rf "$root/etc/lockstep/keys" "$root/var/lib/private/lockstep" "$root/var/lib/lockstep" "$root/result"
inside lockstep keys /etc/lockstep/keys
cp "$root/etc/lockstep/keys/coordinator/allow" "$root/etc/lockstep/allow"
cat > "$root/etc/lockstep/coordinator.env" << 'ENV'
LOCKSTEP_STEPS=400
LOCKSTEP_HIDDEN=32
LOCKSTEP_LAYERS=1
LOCKSTEP_BATCH=16
LOCKSTEP_WINDOW=32
LOCKSTEP_SAMPLE_EVERY=0
ENV
printf 'LOCKSTEP_CONNECT=tcp://127.0.0.1:5757\nLOCKSTEP_THREADS=1\nLOCKSTEP_NAME=service\n' > "$root/etc/lockstep/worker.env"
cat > "$root/check.sh" << 'CHECK'
#!/bin/sh
# Restarts the coordinator on the way, and writes down how it ended.
run=/var/lib/private/lockstep/run
lines() { wc -l < $run/metrics.jsonl 2> /dev/null || echo 0; }
for _ in $(seq 300); do [ "$(lines)" -gt 30 ] && break; sleep 0.2; done
systemctl restart lockstep-coordinator
for _ in $(seq 300); do [ "$(lines)" -ge 400 ] && break; sleep 0.2; done
sleep 1
{
    echo "lines $(lines)"
    systemctl show -p ActiveState,Result,NRestarts lockstep-coordinator
    systemctl show -p ActiveState,Result lockstep-worker
    cat $run/log.txt
    journalctl --no-pager -u lockstep-coordinator -u lockstep-worker | tail -40
} > /result 2>&1
systemctl poweroff
CHECK
chmod +x "$root/check.sh"
cat > "$root/etc/systemd/system/check.service" << 'UNIT'
[Unit]
After=lockstep-coordinator.service
[Service]
ExecStart=/check.sh
[Install]
WantedBy=multi-user.target
UNIT
for unit in lockstep-coordinator lockstep-worker check; do inside systemctl enable -q $unit; done
umount "$root/proc"
timeout 240 systemd-nspawn -q --register=no --keep-unit --private-network --machine=lockstep-test -D "$root" --boot \
    < /dev/null > "$scratch/boot.log" 2>&1 || true
[ -s "$root/result" ] || { tail -30 "$scratch/boot.log"; echo "package: the booted root left no result" >&2; exit 1; }
cat "$root/result"
grep -q '^lines 400$' "$root/result"
grep -q 'service joined from' "$root/result"
grep -q 'resuming after step' "$root/result"
echo "package: passed"
