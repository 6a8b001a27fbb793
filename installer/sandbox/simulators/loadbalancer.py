"""A cloud's load balancer: addresses for Services of type LoadBalancer, when the script says so."""

from __future__ import annotations

import zlib

from installer.core.objects import dig
from installer.sandbox.simulators.api import MERGE, path_of
from installer.sandbox.simulators.world import World

MANAGER = "cloud-controller-manager"


class LoadBalancer:
    """Gives and takes addresses of 172.31.0.0/16: data only, nothing listens there."""

    def __init__(self, world: World):
        self._world = world
        world.reconcile("load-balancer", self._reconcile, world.services)

    def _reconcile(self) -> None:
        wanted = self._world.script.current().load_balancer
        for service in self._world.services.all():
            metadata = service["metadata"]
            balanced = wanted and dig(service, "spec", "type") == "LoadBalancer"
            told = dig(service, "status", "loadBalancer", "ingress")
            if bool(told) == balanced:
                continue
            number = zlib.crc32(metadata["uid"].encode())
            address = f"172.31.{number % 256}.{number // 256 % 254 + 1}"
            ingress = [{"ip": address}] if balanced else None
            path = path_of("v1", "services", metadata["namespace"], metadata["name"])
            patch = {"status": {"loadBalancer": {"ingress": ingress}}}
            self._world.api.patch(f"{path}/status", patch, MANAGER, MERGE)
