#!/usr/bin/env bash
# Makes the virtual environment given as $1: pinned dependencies by hash, then this checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${1:-.venv}

fits() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

python=
for candidate in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
  if [ -n "$candidate" ] && command -v "$candidate" >/dev/null && fits "$candidate"; then
    python=$candidate
    break
  fi
done
if [ -z "$python" ]; then
  echo "setup: Python 3.11 or later is needed and is not on PATH (PYTHON=/path/to/python chooses one)" >&2
  exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing python3-venv, which this Python comes without"
    apt-get update -q >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get install -qy python3-venv >/dev/null
  else
    echo "setup: this Python has no venv module; as root: apt-get install python3-venv" >&2
    exit 1
  fi
fi

if ! { [ -x "$venv/bin/python" ] && fits "$venv/bin/python"; }; then
  echo "setup: making $venv with $("$python" --version)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
fi
pip=("$venv/bin/python" -m pip --disable-pip-version-check --quiet)
echo "setup: installing pinned dependencies (requirements-dev.txt, by hash)"
"${pip[@]}" install --require-hashes -r requirements-dev.txt
"${pip[@]}" install --no-deps --no-build-isolation -e .
echo "setup: $venv/bin/kserve-installer is ready"
