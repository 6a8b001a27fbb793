# Sourced: where manifests and control planes lie beside the checkout, as flags; says what it found.
# Sets the arrays mirror and control_plane, which stay empty when upstream's own addresses are used.
mirror=()
control_plane=()
if [ -d ../shared/upstream ]; then
  mirror=(--mirror ../shared/upstream)
  echo "manifests: from ../shared/upstream beside this checkout, checked against their checksums"
else
  echo "manifests: from upstream's own addresses"
fi
if [ -d ../shared/control-plane ]; then
  control_plane=(--control-plane ../shared/control-plane)
  echo "control plane: from ../shared/control-plane beside this checkout"
else
  echo "control plane: from PATH, the cache, or a download"
fi
