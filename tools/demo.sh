#!/usr/bin/env bash
# The quick start: a sandbox, its preflight, the plan, an install, the same again, the status,
# proof that it serves, the way of a request, and what load does.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/beside.sh

release=kfserving-0.5.1
name=demo
command=.venv/bin/kserve-installer

show() {
  printf '\n$ %s\n' "kserve-installer $*"
  "$command" "$@"
}

stop() {
  code=$?
  if [ "$code" != 0 ]; then
    echo "the demo stopped with exit code $code; taking the sandbox down" >&2
    "$command" sandbox down --name "$name" || true
  fi
  exit "$code"
}
trap stop EXIT

show sandbox up --name "$name" --kubernetes 1.20.2 "${control_plane[@]}"
kubeconfig=$("$command" sandbox status -o json | .venv/bin/python -c '
import json, sys
print(next(s["kubeconfig"] for s in json.load(sys.stdin) if s["name"] == sys.argv[1]))' "$name")

show preflight "$release" --kubeconfig "$kubeconfig" "${mirror[@]}"
show plan "$release" --kubeconfig "$kubeconfig" "${mirror[@]}"
show install "$release" --kubeconfig "$kubeconfig" "${mirror[@]}" --yes
echo
echo "# once more: what is there already is not written again"
show install "$release" --kubeconfig "$kubeconfig" "${mirror[@]}" --yes
show status --kubeconfig "$kubeconfig"

echo
echo "# a model must answer through the ingress; it stays, to be looked at"
show verify --kubeconfig "$kubeconfig" --isvc tools/demo-model.yaml --keep
model=$(.venv/bin/python tools/kept_model.py "$kubeconfig")
show trace "$model" --kubeconfig "$kubeconfig"
show autoscaling "$model" --kubeconfig "$kubeconfig" --concurrency 25

echo
echo "# 25 requests at a time want 25 / (10 × 70 %) pods: 4, and 1 again when they have ended"
show bench "$model" --kubeconfig "$kubeconfig" -z 20s -c 25

cat <<EOF

The sandbox keeps running. Its API server, etcd and controller manager are real; nodes, pods,
webhooks and models are simulated. To try next:

  export PATH=$PWD/.venv/bin:\$PATH KUBECONFIG=$kubeconfig
  kserve-installer status -o json
  kserve-installer trace $model --html trace.html
  kserve-installer bench $model --rate 100 -z 20s --slo p99=500ms --html load.html
  kserve-installer uninstall --dry-run --delete-inferenceservices
  kubectl get pods --all-namespaces
  kserve-installer sandbox down --name $name
EOF
