#!/usr/bin/env bash
# Runs molecule's scenarios, all or those that are named, against sandboxes.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/beside.sh

PATH=$PWD/.venv/bin:$PATH
if [ "${#mirror[@]}" -gt 0 ]; then
  KSERVE_MIRROR=${KSERVE_MIRROR:-$(realpath "${mirror[1]}")}
fi
if [ "${#control_plane[@]}" -gt 0 ]; then
  KSERVE_CONTROL_PLANE=${KSERVE_CONTROL_PLANE:-$(realpath "${control_plane[1]}")}
fi
export PATH KSERVE_MIRROR="${KSERVE_MIRROR:-}" KSERVE_CONTROL_PLANE="${KSERVE_CONTROL_PLANE:-}"
if [ "$#" = 0 ]; then
  set -- default upgrade hosts
fi
for scenario in "$@"; do
  molecule test -s "$scenario"
done
