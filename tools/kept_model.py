"""Prints NAMESPACE/NAME of the InferenceService that `verify --keep` left; for the demo."""

from __future__ import annotations

import sys

from installer.cluster.client import Cluster
from installer.core.objects import ref_of
from installer.serving.inference_service import KIND, served_versions

cluster = Cluster.connect(kubeconfig=sys.argv[1])
found = [ref_of(item) for item in cluster.list(served_versions(cluster)[0], KIND).items]
print(f"{found[-1].namespace}/{found[-1].name}")
