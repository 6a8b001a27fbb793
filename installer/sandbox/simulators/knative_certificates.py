"""Knative's controller fills the Secrets for encryption inside the cluster (Knative 1.0 and later).

Not recorded: after the public descriptions of `serving-certs-ctrl-ca` (4 keys) and
`knative-serving-certs` (6 keys). Each value is there under its old and its new key.
"""

from __future__ import annotations

from installer.core.objects import Object
from installer.sandbox.simulators import roles
from installer.sandbox.simulators.api import MERGE, path_of
from installer.sandbox.simulators.certificates import Keys, Pair, authority, issue
from installer.sandbox.simulators.identity import encoded, secret_data
from installer.sandbox.simulators.world import World

MANAGER = "controller"
LABEL = "serving-certs-ctrl"
AUTHORITY = "serving-certs-ctrl-ca"


class KnativeCertificates:
    """Level-triggered on pods and Secrets."""

    def __init__(self, world: World, keys: Keys):
        self._world = world
        self._keys = keys
        world.reconcile(roles.KNATIVE_CONTROLLER, self._reconcile, world.pods, world.secrets)

    def _reconcile(self) -> None:
        for pod in self._world.running(roles.KNATIVE_CONTROLLER):
            namespace = pod["metadata"]["namespace"]
            ca = self._world.secrets.get(namespace, AUTHORITY)
            if ca is None:
                continue
            if not ca.get("data"):
                made = authority(self._keys.rsa(), name="control-plane", organisation="knative.dev")
                ca = self._fill(ca, made, b"")
            root = Pair(secret_data(ca, "tls.crt"), secret_data(ca, "tls.key"))
            for secret in self._world.secrets.all():
                metadata = secret["metadata"]
                ours = LABEL in (metadata.get("labels") or {}) and metadata["name"] != AUTHORITY
                if ours and metadata["namespace"] == namespace and not secret.get("data"):
                    served = issue(root, self._keys.rsa(), ["kn-routing", "data-plane.knative.dev"])
                    self._fill(secret, served, root.certificate)

    def _fill(self, secret: Object, pair: Pair, root: bytes) -> Object:
        data = {
            "tls.crt": pair.certificate,
            "public-cert.pem": pair.certificate,
            "tls.key": pair.key,
            "private-key.pem": pair.key,
        }
        if root:
            data |= {"ca.crt": root, "ca-cert.pem": root}
        metadata = secret["metadata"]
        path = path_of("v1", "secrets", metadata["namespace"], metadata["name"])
        done = self._world.api.patch(path, {"data": encoded(data)}, MANAGER, MERGE)
        self._world.secrets.put(done)
        return done
