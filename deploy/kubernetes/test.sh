#!/usr/bin/env bash
# Renders the manifests and holds them against Kubernetes' published schemas, strictly: an unknown field is an error.
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

for name in base overlays/live overlays/jobset; do
    file=$scratch/${name//\//-}.yaml
    kubectl kustomize "$here/$name" > "$file"
    # The JobSet's schema is not Kubernetes' own: its two jobs are those of the base, which are validated there.
    awk 'BEGIN { RS = "---\n"; ORS = "---\n" } !/kind: JobSet\n/' "$file" > "$file.own"
    "$validate" --strict --kubernetes-version "$version" "$file.own" > "$scratch/out" 2>&1 || { cat "$scratch/out"; exit 1; }
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
# Promises of the guide that no schema checks.
for wanted in "runAsNonRoot: true" "readOnlyRootFilesystem: true" "type: RuntimeDefault" "secretName: lockstep-worker-keys"; do
    grep -q "$wanted" "$scratch/base.yaml" || { echo "kubernetes: no $wanted in the base" >&2; exit 1; }
done
grep -q "local-config" "$scratch/overlays-jobset.yaml" && { echo "kubernetes: the Jobs are in the JobSet overlay" >&2; exit 1; }
[ "$(grep -c 'image: localhost/lockstep' "$scratch/overlays-jobset.yaml")" = 2 ]
echo "kubernetes: passed"
