#!/usr/bin/env bash
# Runs lockstep.sbatch on a real Slurm of this machine: a controller and three nodes, set up and taken down again.
#
#   deploy/slurm/test.sh LOCKSTEP        (make test-slurm)
#
# Five jobs on two nodes: one loses the node of a worker and goes on; one loses the node of its coordinator, is requeued
# and resumes; one gets the signal of its time limit, is requeued and resumes. Each of these must end on the bits of an
# undisturbed run on one machine. One is cancelled, and must leave a checkpoint of its last step; one has workers that
# cannot start, and must end. Needs root, slurm-wlm, munge and procps. Exit code 77: skipped, with the reason.
set -euo pipefail

lockstep=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
skip() { echo "skipped: $*"; exit 77; }
for tool in slurmctld slurmd sbatch munged mungekey ps pgrep; do
    command -v "$tool" > /dev/null || skip "no $tool here: install slurm-wlm, munge and procps (Debian, Ubuntu)"
done
[ "$(id -u)" = 0 ] || skip "a Slurm of one's own needs root"
[ ! -e /etc/slurm/slurm.conf ] || skip "this machine belongs to a Slurm cluster"

lab=$(mktemp -d "${TMPDIR:-/tmp}/lockstep-slurm-XXXXXX")
export SLURM_CONF=$lab/slurm.conf
started_munge=

pid_of() { cat "$lab/run/$1.pid" 2> /dev/null || true; }
# Ends a node as a power cut does: its daemon, its step managers, and all of the job's processes there. The managers go
# before the processes, or they would report an end.
kill_node() {
    local file pid parent steps=() processes=()
    for file in /proc/[0-9]*/environ; do
        grep -qzx "SLURM_CONF=$SLURM_CONF" "$file" 2> /dev/null || continue
        grep -qzx "SLURMD_NODENAME=$1" "$file" 2> /dev/null || continue
        pid=${file//[!0-9]/}
        processes+=("$pid")
        parent=$(ps -o ppid= -p "$pid" | tr -d ' ' || true)
        if [ "$(cat "/proc/${parent:-0}/comm" 2> /dev/null)" = slurmstepd ]; then steps+=("$parent"); fi
    done
    # Stopped first: who dies before another could still tell of it, as srun's companion cancels the step of a killed srun.
    kill -STOP "${processes[@]}" 2> /dev/null || true
    kill -KILL "$(pid_of "slurmd-$1")" "${steps[@]}" "${processes[@]}" 2> /dev/null || true
}
down() {
    local code=$? pid daemon
    trap - EXIT
    if [ "$code" -ne 0 ] && [ "$code" -ne 77 ]; then
        {
            scontrol show job "${job:-}" || true
            sinfo || true
            pgrep -af 'slurmstepd|lockstep worker' || true
            tail -n 40 "$lab"/*.out "$lab"/log/slurmctld.log || true
            tail -n 15 "$lab"/log/slurmd-*.log || true
        } >&2
    fi
    scancel --user=root --quiet 2> /dev/null || true
    sleep 1
    for daemon in slurmd-node1 slurmd-node2 slurmd-node3 slurmctld; do
        pid=$(pid_of "$daemon")
        if [ -n "$pid" ]; then kill "$pid" 2> /dev/null || true; fi
    done
    for pid in $(pgrep -f "$lab" || true); do if [ "$pid" != $$ ]; then kill "$pid" 2> /dev/null || true; fi; done
    if [ -n "$started_munge" ]; then kill "$(cat /run/munge/munged.pid)" 2> /dev/null || true; fi
    sleep 1
    rm -rf "$lab"
    exit "$code"
}
trap down EXIT

mkdir -p "$lab"/ctld "$lab"/log "$lab"/run
host=$(hostname -s)
cat > "$SLURM_CONF" << CONF
ClusterName=lockstep
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
SlurmctldPidFile=$lab/run/slurmctld.pid
SlurmdPidFile=$lab/run/slurmd-%n.pid
StateSaveLocation=$lab/ctld
SlurmdSpoolDir=$lab/spool-%n
SlurmctldLogFile=$lab/log/slurmctld.log
SlurmdLogFile=$lab/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=0,bf_interval=1
MpiDefault=none
ReturnToService=2
JobRequeue=1
KillWait=10
SlurmdTimeout=20
InactiveLimit=0
SlurmdParameters=config_overrides
CONF
for node in 1 2 3; do
    mkdir -p "$lab/spool-node$node"
    echo "NodeName=node$node NodeHostname=$host NodeAddr=127.0.0.1 Port=$((17100 + node)) CPUs=2 RealMemory=2000"
done >> "$SLURM_CONF"
echo "PartitionName=main Nodes=node[1-3] Default=YES MaxTime=1:00:00 State=UP OverSubscribe=NO" >> "$SLURM_CONF"

mkdir -p /run/munge
chown munge:munge /run/munge
[ -s /etc/munge/munge.key ] || runuser -u munge -- mungekey -c
if ! munge -n > /dev/null 2>&1; then
    runuser -u munge -- munged
    started_munge=1
fi
start_node() { slurmd -N "$1" -f "$SLURM_CONF"; }
slurmctld -f "$SLURM_CONF"
for node in node1 node2 node3; do start_node "$node"; done

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local seconds=$1 what=$2 end
    shift 2
    end=$((SECONDS + seconds))
    until "$@"; do
        if [ "$SECONDS" -gt "$end" ]; then echo "slurm: gave up waiting for $what after $seconds s" >&2; return 1; fi
        sleep 0.2
    done
}
idle() { [ "$(sinfo -h -N -t idle -o %N | sort -u | wc -l)" = "$1" ]; }
wait_for 60 "three idle nodes" idle 3
sinfo -N

flags="--hidden 64 --layers 1 --dropout 0.2 --batch 32 --window 32 --sample-every 0 --checkpoint-every 20 --quiet --seed 5"
reached() { [ "$({ wc -l < "$1/metrics.jsonl"; } 2> /dev/null || echo 0)" -ge "$2" ]; }
# The controller keeps jobs that have ended for minutes. No answer from it means nothing.
state() { scontrol show job "$1" --oneliner 2> /dev/null | sed -n 's/.* JobState=\([^ ]*\).*/\1/p'; }
ended() { case $(state "$1") in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL | BOOT_FAIL | OUT_OF_MEMORY) ;; *) return 1 ;; esac }
restarted() { scontrol show job "$1" --oneliner 2> /dev/null | grep -q ' Restarts=[1-9]'; }
digest() { "$lockstep" inspect --json "$1" | tr ',{' '\n\n' | sed -n 's/.*"state_digest" *: *"\([0-9a-f]*\)".*/\1/p'; }
# Requeued jobs are held for two minutes. This does not wait for them, but for a few seconds: a node refuses a job's new start
# of the second in which the last one was cancelled.
release_held() { scontrol update JobId="$1" StartTime=now > /dev/null 2>&1 || true; ended "$1" || reached "$2" "$3"; }

steps=1500
echo "== the undisturbed run"
# shellcheck disable=SC2086
"$lockstep" train --run "$lab/reference" --workers 1 --threads 1 --steps $steps $flags < /dev/null
reference=$(digest "$lab/reference")

# submit NAME [THREADS]: a job on two nodes, into the run folder of that name.
submit() {
    wait_for 60 "three idle nodes" idle 3
    job=$(cd "$lab" && RUN=$lab/$1 LOCKSTEP=$lockstep THREADS=${2-1} RETRY=3s FLAGS="--steps $steps $flags" \
        sbatch --parsable --nodes=2 --export=ALL "$here/lockstep.sbatch")
    wait_for 60 "the first steps" reached "$lab/$1" 60
    mapfile -t nodes < <(scontrol show hostnames "$(squeue -h -j "$job" -o %N)")
    echo "job $job trains on ${nodes[*]}, and is at step $(wc -l < "$lab/$1/metrics.jsonl")"
}
# finish NAME: the job's end, and the undisturbed run's bits.
finish() {
    wait_for 180 "the end of the job" ended "$job"
    cat "$lab/lockstep-$job.out"
    [ "$(state "$job")" = COMPLETED ] || { echo "slurm: the job ended as $(state "$job")" >&2; exit 1; }
    [ "$(digest "$lab/$1")" = "$reference" ] || { echo "slurm: another state than the undisturbed run's" >&2; exit 1; }
    [ "$(wc -l < "$lab/$1/metrics.jsonl")" = $steps ] || { echo "slurm: steps are missing or double" >&2; exit 1; }
    echo "the same state as the undisturbed run's: $reference"
}
# resumed NAME: waits until the requeued job trains on.
resumed() {
    if ! wait_for 120 "the requeue" restarted "$job"; then
        # At times Slurm takes a step's end for that of the batch step, says that this should never happen, and has the job
        # run on without its first node. An administrator requeues it.
        grep -q "batch step received for JobId=$job" "$lab/log/slurmctld.log" \
            || { echo "slurm: job $job was not requeued" >&2; exit 1; }
        echo "Slurm lost the batch step of job $job: requeueing it by hand"
        scontrol requeue "$job"
        wait_for 60 "the requeue by hand" restarted "$job"
    fi
    sleep 4
    seen=$(wc -l < "$lab/$1/metrics.jsonl")
    wait_for 120 "the second start" release_held "$job" "$lab/$1" $((seen + 1))
}

echo "== a job that loses the node of a worker"
submit worker
echo "killing ${nodes[1]}"
kill_node "${nodes[1]}"
seen=$(wc -l < "$lab/worker/metrics.jsonl")
wait_for 60 "steps without ${nodes[1]}" reached "$lab/worker" $((seen + 60))
echo "still training at step $(wc -l < "$lab/worker/metrics.jsonl")"
finish worker
restarts=$(grep -c ': start ' "$lab/lockstep-$job.out")
[ "$restarts" = 1 ] || { echo "slurm: the job was started $restarts times" >&2; exit 1; }
start_node "${nodes[1]}"

echo "== a job that loses the node of its coordinator"
submit coordinator
echo "killing ${nodes[0]}"
kill_node "${nodes[0]}"
resumed coordinator
finish coordinator
start_node "${nodes[0]}"

echo "== a job that its time limit interrupts"
submit limit
# What --signal does a minute before the limit, without the wait.
scancel --batch --signal=TERM "$job"
resumed limit
finish limit
grep -q "it will resume" "$lab/lockstep-$job.out" || { echo "slurm: the job did not say that it will resume" >&2; exit 1; }

echo "== a job that is cancelled"
# With the threads that the script gives each worker.
submit cancelled ""
scancel "$job"
says() { grep -q "$1" "$lab/lockstep-$job.out"; }
wait_for 60 "the end of the job" ended "$job"
wait_for 30 "its last words" says "a checkpoint stands in"
cat "$lab/lockstep-$job.out"
if says "it will resume"; then echo "slurm: a cancelled job came back" >&2; exit 1; fi
seen=$(wc -l < "$lab/cancelled/metrics.jsonl")
kept=$("$lockstep" inspect --json "$lab/cancelled" | tr ',{' '\n\n' | sed -n 's/^ *"step" *: *\([0-9]*\).*/\1/p' | head -1)
[ "$kept" = "$seen" ] || { echo "slurm: the checkpoint is of step $kept, and step $seen was done" >&2; exit 1; }
echo "a checkpoint of its last step, $seen"

echo "== a job whose workers cannot start"
wait_for 60 "three idle nodes" idle 3
job=$(cd "$lab" && RUN=$lab/useless LOCKSTEP=$lockstep THREADS=none FLAGS="--steps $steps $flags" \
    sbatch --parsable --nodes=2 --export=ALL "$here/lockstep.sbatch")
wait_for 90 "the end of the job" ended "$job"
cat "$lab/lockstep-$job.out"
says "the workers of all nodes are given up" || { echo "slurm: its workers were not given up" >&2; exit 1; }
[ "$(state "$job")" = FAILED ] || { echo "slurm: the job ended as $(state "$job")" >&2; exit 1; }
echo "slurm: passed"
