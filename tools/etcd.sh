#!/usr/bin/env bash
# etcd for the sandbox, from the system's packages where that is possible; otherwise the sandbox
# downloads one itself.
set -euo pipefail

if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/etcd" ]; then exit 0; fi
if command -v etcd >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "etcd: installing the package etcd-server"
  # Debian's package starts a server of its own; the sandbox wants only the program.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  if apt-get update -q >/dev/null &&
    DEBIAN_FRONTEND=noninteractive apt-get install -qy etcd-server >/dev/null; then
    exit 0
  fi
  echo "etcd: the package could not be installed" >&2
fi
echo "etcd: not found on PATH; the sandbox will download it"
