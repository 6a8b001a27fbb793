"""A cloud's load balancer: addresses for Services of type LoadBalancer, when the script says so.

The ingress gateway's is a loopback address that answers, where this process may listen on port 80.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from installer.core.objects import Object, dig
from installer.sandbox.simulators.api import MERGE, path_of
from installer.sandbox.simulators.nodes import node_address
from installer.sandbox.simulators.serving.routes import INGRESS, ISTIO
from installer.sandbox.simulators.world import World

MANAGER = "cloud-controller-manager"
_LAST = 252
"""No sandbox has so many nodes."""


class LoadBalancer:
    """Gives and takes addresses; but for the gateway's of 172.31.0.0/16: nothing listens there.

    listen: opens the gateway's port at an address, False where that is not possible.
    """

    def __init__(self, world: World, listen: Callable[[str, int], bool]):
        self._world = world
        self._listen = listen
        world.reconcile("load-balancer", self._reconcile, world.services)

    def _reconcile(self) -> None:
        wanted = self._world.script.current().load_balancer
        for service in self._world.services.all():
            metadata = service["metadata"]
            balanced = wanted and dig(service, "spec", "type") == "LoadBalancer"
            told = dig(service, "status", "loadBalancer", "ingress")
            if bool(told) == balanced:
                continue
            ingress = [{"ip": self._address(service)}] if balanced else None
            path = path_of("v1", "services", metadata["namespace"], metadata["name"])
            patch = {"status": {"loadBalancer": {"ingress": ingress}}}
            self._world.api.patch(f"{path}/status", patch, MANAGER, MERGE)

    def _address(self, service: Object) -> str:
        metadata = service["metadata"]
        if (metadata["namespace"], metadata["name"]) == (ISTIO, INGRESS):
            address = node_address(self._world.context.gateway_port, _LAST)
            if self._listen(address, 80):
                return address
        number = zlib.crc32(metadata["uid"].encode())
        return f"172.31.{number % 256}.{number // 256 % 254 + 1}"
