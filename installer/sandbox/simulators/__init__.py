"""What is simulated in the sandbox: nodes, pods, webhooks and what controllers write.

etcd, the API server and the controller manager are real. Everything here pretends, after what the
real controllers were recorded to do, and says so: each node carries the label and annotation
`kserve-installer/simulated`.
"""

from __future__ import annotations

import logging
import threading

from installer.core.cancel import Cancel
from installer.core.errors import InstallerError
from installer.sandbox.context import SimulatorContext
from installer.sandbox.simulators import kfserving, validators
from installer.sandbox.simulators.admission import Admission
from installer.sandbox.simulators.api import Api
from installer.sandbox.simulators.cainjector import CaInjector
from installer.sandbox.simulators.certificates import Keys
from installer.sandbox.simulators.certmanager import (
    CertManager,
    CertManagerKinds,
    CertManagerWebhook,
)
from installer.sandbox.simulators.egress import Egress
from installer.sandbox.simulators.events import Events
from installer.sandbox.simulators.identity import Identities
from installer.sandbox.simulators.istiod import Istiod
from installer.sandbox.simulators.knative import KnativeWebhooks
from installer.sandbox.simulators.knative_certificates import KnativeCertificates
from installer.sandbox.simulators.kubelet import Kubelet
from installer.sandbox.simulators.loadbalancer import LoadBalancer
from installer.sandbox.simulators.nodes import Nodes
from installer.sandbox.simulators.port_forward import PortForwards
from installer.sandbox.simulators.serving.plane import ServingPlane
from installer.sandbox.simulators.world import World

log = logging.getLogger(__name__)

RSA_STOCK = 10


def run(context: SimulatorContext, cancel: Cancel) -> None:
    """Simulate until `cancel` is stopped. The API server may come and go meanwhile."""
    world = World(context, Api.from_kubeconfig(context.kubeconfig))
    events = Events(world.api)
    keys = Keys(RSA_STOCK)
    nodes = Nodes(world, events)
    Kubelet(world, nodes, events)
    kinds = CertManagerKinds(world)
    CertManagerWebhook(world)
    CertManager(world, kinds, keys, events)
    CaInjector(world, kinds)
    KnativeWebhooks(world, keys)
    KnativeCertificates(world, keys)
    Istiod(world, keys)
    plane = ServingPlane(world, events, list(nodes.addresses.values()))
    LoadBalancer(world, plane.gateway.serve)
    admission = Admission()
    kfserving.register(admission, world)
    validators.register(admission)
    kubelets = PortForwards(plane.gateway.dial)
    egress = Egress(world, Identities(world), admission.answer, kubelets.serve)
    stopped = threading.Event()
    follower = threading.Thread(target=world.follow_script, args=(stopped,), daemon=True)
    egress.start()
    events.start()
    world.start()
    follower.start()
    nodes.start()
    plane.start()
    log.info("simulating %d nodes", len(nodes.names))
    try:
        while True:
            cancel.sleep(3600, "simulating")
    except InstallerError:
        log.info("simulators stop")
    finally:
        stopped.set()
        plane.stop()
        egress.stop()
        world.stop()
        events.stop()
