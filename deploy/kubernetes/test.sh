#!/usr/bin/env bash
# Renders the manifests and holds them against Kubernetes' published schemas, strictly: an unknown field is an error. Then
# has the shell of a worker's pod told to go, and looks for budgets that would refuse every eviction.
#
#   deploy/kubernetes/test.sh        (make test-kubernetes)
#
# Needs kubectl, and python3 with venv and a package index. Exit code 77: skipped, with the reason.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=1.30

skip() { echo "skipped: $*"; exit 77; }
command -v kubectl > /dev/null || skip "no kubectl here to render the manifests"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
validate=$(command -v kubernetes-validate || true)
if [ -z "$validate" ]; then
    python3 -m venv "$scratch/venv" 2> /dev/null || skip "no kubernetes-validate and no python3 with venv here"
    "$scratch/venv/bin/pip" install -q kubernetes-validate==1.37.0 2> "$scratch/pip.log" \
        || skip "kubernetes-validate cannot be installed: $(tail -1 "$scratch/pip.log")"
    validate=$scratch/venv/bin/kubernetes-validate
fi
# Its Python reads YAML.
python=$(sed -n '1s/^#!\([^ ]*\).*/\1/p' "$validate")
"$python" -c 'import yaml' 2> /dev/null || skip "no Python with yaml behind $validate"

cat > "$scratch/manifests.py" << 'PYTHON'
import sys
import yaml

def jobs(objects):
    """The pod templates of Jobs that are made, with their names."""
    for item in objects:
        local = item["metadata"].get("annotations", {}).get("config.kubernetes.io/local-config") == "true"
        if item["kind"] == "Job" and not local:
            yield item["metadata"]["name"], item["spec"]["template"]
        if item["kind"] == "JobSet":
            for job in item["spec"]["replicatedJobs"]:
                yield job["name"], job["template"]["spec"]["template"]

def budgets(objects):
    """A Job has no scale, so a share of its pods is a share of nothing: a budget allows no disruption then."""
    for item in objects:
        spec = item["spec"] if item["kind"] == "PodDisruptionBudget" else {}
        if "maxUnavailable" not in spec and not str(spec.get("minAvailable", 0)).endswith("%"):
            continue
        wanted = spec["selector"]["matchLabels"].items()
        for name, template in jobs(objects):
            if wanted <= template["metadata"]["labels"].items():
                sys.exit(f"kubernetes: the budget {item['metadata']['name']} refuses evictions of the Job {name}")

with open(sys.argv[2]) as file:
    objects = [item for item in yaml.safe_load_all(file) if item]
if sys.argv[1] == "budgets":
    budgets(objects)
else:
    template = dict(jobs(objects))[sys.argv[1]]
    print(template["spec"]["containers"][0]["args"][0])
PYTHON

for name in base overlays/live overlays/jobset; do
    file=$scratch/${name//\//-}.yaml
    kubectl kustomize "$here/$name" > "$file"
    # The JobSet's schema is not Kubernetes' own: its two jobs are those of the base, which are validated there.
    awk 'BEGIN { RS = "---\n"; ORS = "---\n" } !/kind: JobSet\n/' "$file" > "$file.own"
    "$validate" --strict --kubernetes-version "$version" "$file.own" > "$scratch/out" 2>&1 || { cat "$scratch/out"; exit 1; }
    "$python" "$scratch/manifests.py" budgets "$file"
    printf '%s: %s objects valid for Kubernetes %s: %s\n' "$name" "$(grep -c '^kind:' "$file.own")" "$version" \
        "$(sed -n 's/^kind: //p' "$file" | xargs)"
done

"$validate" --strict --kubernetes-version "$version" "$here/copy-text.yaml" > "$scratch/out" 2>&1 || { cat "$scratch/out"; exit 1; }

# A check that cannot fail proves nothing: a misspelt field must not pass.
sed 's/backoffLimit:/backofLimit:/' "$scratch/base.yaml" > "$scratch/wrong.yaml"
if "$validate" --strict --kubernetes-version "$version" "$scratch/wrong.yaml" > /dev/null 2>&1; then
    echo "kubernetes: a misspelt field passed" >&2
    exit 1
fi
(cat "$scratch/base.yaml" && echo --- && cat "$here/overlays/live/disruption-budget.yaml") > "$scratch/wrong.yaml"
if "$python" "$scratch/manifests.py" budgets "$scratch/wrong.yaml" 2> /dev/null; then
    echo "kubernetes: a budget for the pods of a Job passed" >&2
    exit 1
fi
grep -q '^kind: PodDisruptionBudget' "$scratch/overlays-live.yaml" || { echo "kubernetes: no budget in overlays/live" >&2; exit 1; }

# The shell of a worker's pod, with a program that ends at SIGTERM with 0, as `lockstep worker` does. As process 1 of a PID
# namespace where that is allowed, as in a pod.
mkdir "$scratch/bin"
cat > "$scratch/bin/lockstep" << 'PROGRAM'
#!/bin/sh
trap 'echo told >> "$SEEN"; exit 0' TERM
echo "$*" >> "$SEEN"
[ -z "$CODE" ] || exit "$CODE"
while :; do sleep 0.05; done
PROGRAM
chmod +x "$scratch/bin/lockstep"
first=()
if unshare --pid --fork --kill-child true 2> /dev/null; then first=(unshare --pid --fork --kill-child); fi
# pod SIGNALLED CODE WANTED: runs it, has it told to go or not, and looks at its exit code.
pod() {
    local told=$1 program=$2 wanted=$3 code=0 pid shell
    : > "$scratch/seen"
    env PATH="$scratch/bin:$PATH" SEEN="$scratch/seen" CODE="$program" NODE=n1 JOB_COMPLETION_INDEX=3 \
        ${first[@]+"${first[@]}"} bash -c "$("$python" "$scratch/manifests.py" workers "$scratch/base.yaml")" &
    pid=$!
    if [ -n "$told" ]; then
        for _ in $(seq 100); do [ ! -s "$scratch/seen" ] || break; sleep 0.1; done
        shell=$pid
        # Of `unshare` the child.
        if [ ${#first[@]} -gt 0 ]; then read -r shell < "/proc/$pid/task/$pid/children" || true; fi
        kill -TERM "$shell"
    fi
    wait "$pid" || code=$?
    [ "$code" = "$wanted" ] || { echo "kubernetes: a worker's pod ended with $code, not with $wanted" >&2; exit 1; }
    grep -qx 'worker --name n1-3' "$scratch/seen" || { echo "kubernetes: the worker was called otherwise" >&2; exit 1; }
    [ -z "$told" ] || grep -qx told "$scratch/seen" || { echo "kubernetes: the signal did not reach the worker" >&2; exit 1; }
}
pod "" 0 0
pod "" 64 64
pod "" 1 1
pod yes "" 143

# Promises of the guide that no schema checks.
for wanted in "runAsNonRoot: true" "readOnlyRootFilesystem: true" "type: RuntimeDefault" "secretName: lockstep-worker-keys"; do
    grep -q "$wanted" "$scratch/base.yaml" || { echo "kubernetes: no $wanted in the base" >&2; exit 1; }
done
grep -q "local-config" "$scratch/overlays-jobset.yaml" && { echo "kubernetes: the Jobs are in the JobSet overlay" >&2; exit 1; }
[ "$(grep -c 'image: localhost/lockstep' "$scratch/overlays-jobset.yaml")" = 2 ]
echo "kubernetes: passed"
