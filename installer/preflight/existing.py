"""What is in the cluster already, and whether the release can live with it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from installer.catalog.foreign import load_foreign
from installer.cluster.deletion import why_still_there
from installer.core.checks import Detail, failed, note, warning
from installer.core.objects import Object, Ref, dig, ref_of
from installer.preflight.check import Check
from installer.preflight.dead_conversions import conversion_verdicts, unconverted
from installer.preflight.existing_external import EXTERNAL_CHECKS
from installer.preflight.existing_halves import halves
from installer.preflight.existing_handover import (
    handover_verdicts,
    unfit_for_adoption,
    unlike_keepers,
)
from installer.preflight.existing_inventory import Inventory
from installer.preflight.existing_read import (
    configurations,
    definitions,
    inventory,
    reachable,
    settled,
    what_runs,
)
from installer.preflight.existing_requests import requests_of
from installer.preflight.existing_verdicts import (
    duplicates,
    foreign,
    side_by_side,
    torn_definitions,
)
from installer.preflight.stale_webhooks import own_verdicts, stale_entries, verdicts
from installer.preflight.world import LEDGER, World

_DEFINITION = "CustomResourceDefinition"


def _release(world: World) -> Iterator[Detail]:
    yield from world.unseen(LEDGER)
    ledger, release = world.ledger, world.target.release
    obstacle = ledger.in_the_way_of(release.name)
    if obstacle is not None:
        yield failed(obstacle.reason, obstacle.remedy, release=ledger.release)
    elif ledger.state == "installing":
        yield warning(
            f"an install of {ledger.release} has not ended",
            "install it again: it goes on where that one stopped",
            release=ledger.release,
        )
    elif ledger.release:
        yield note(f"{ledger.release} is installed here", release=ledger.release)


def _components(world: World) -> Iterator[Detail]:
    (stock, lacking), data = what_runs(world), load_foreign()
    external = {component.name for component in world.target.external}
    wanted = {item.ref.identity for item in world.target.wanted}
    for component in world.target.components:
        project = data.of_component(component.name)
        if project is None or component.name in external:
            continue
        found = stock.of(project)
        if any(installation.ours for installation in found):
            continue
        for installation in found:
            yield foreign(component, installation, world.target.adopt)
            if component.name in world.target.adopt and wanted:
                yield from unfit_for_adoption(
                    installation, wanted, component.name, world.target.handovers
                )
    yield from unlike_keepers(stock, world.target.handovers, external)
    yield from handover_verdicts(world)
    yield from _bystanders(stock, world)
    yield from lacking


def _bystanders(stock: Inventory, world: World) -> Iterator[Detail]:
    """What is here and not of this release: worth knowing."""
    data = load_foreign()
    names = {component.name for component in world.target.components}
    for installation in stock.installations:
        if installation.project.component not in names and not installation.ours:
            yield note(
                f"{installation} is in namespace {installation.namespace}, from "
                f"{installation.owner.title}",
                f"Namespace {installation.namespace}",
            )
    gateway_api = data.project("gateway-api")
    crds = stock.definitions_of(gateway_api)
    if crds:
        owner = crds[0].owner.title
        yield note(f"{len(crds)} CRDs of Gateway API are here, from {owner}", crds[0].name)


def _duplicates(world: World) -> Iterator[Detail]:
    stock, lacking = what_runs(world)
    yield from duplicates(stock)
    yield from side_by_side(stock, [component.name for component in world.target.components])
    yield from lacking
    if lacking:
        return
    yield from torn_definitions(stock)
    if any(obj["metadata"]["name"] == "profiles.kubeflow.org" for obj in definitions(world)):
        yield warning(
            "Kubeflow is here, with an Istio gateway, sign-in and namespaces (profiles) of its own",
            "keep its Istio, Knative and cert-manager with `external`, and expect that models in "
            "a profile are reached only with sign-in",
            f"{_DEFINITION} profiles.kubeflow.org",
        )


def _gateways(world: World) -> Iterator[Detail]:
    ours = settled(world) | {item.ref.identity for item in world.target.wanted}
    brings = any(component.name == "istio" for component in world.target.components)
    own = [item.ref for item in world.target.wanted if item.ref.kind == "Deployment"]
    for workload in world.listed("apps/v1", "Deployment") if brings else ():
        labels = dig(workload, "spec", "template", "metadata", "labels", default={})
        ref = ref_of(workload)
        if labels.get("istio") != "ingressgateway" or ref.identity in ours:
            continue
        if any(component.name == "istio" for component in world.target.external):
            continue  # that is the one to be used
        count = "a second ingress gateway" if own else "an ingress gateway"
        yield warning(
            f"{ref} is {count}: Gateways select pods with istio: ingressgateway in every "
            "namespace, so both would serve the hosts of models",
            "remove one, or give the other gateway's pods another label",
            str(ref),
        )
    yield from _addressed(world)


def _addressed(world: World) -> Iterator[Detail]:
    """Services of gateways that the model controller's configuration points at."""
    wanted = {item.ref.identity for item in world.target.wanted}
    for item in world.target.wanted:
        if item.ref.kind != "ConfigMap" or item.ref.name != "inferenceservice-config":
            continue
        for key, host in _gateway_hosts(item.body).items():
            name, _, rest = host.partition(".")
            service = Ref("v1", "Service", rest.partition(".")[0], name)
            if service.identity not in wanted and world.get(service) is None:
                yield failed(
                    f"{item.ref} sends requests to {service} ({key}), which does not exist",
                    "create that gateway, or name another with `inferenceservice.ingress` in the "
                    "settings",
                    str(service),
                )


def _gateway_hosts(config: Object) -> Mapping[str, str]:
    try:
        ingress = json.loads(dig(config, "data", "ingress", default="{}"))
    except ValueError:
        return {}
    keys = ("ingressService", "localGatewayService")
    hosts = {key: str(ingress.get(key) or "") for key in keys}
    return {key: host for key, host in hosts.items() if host.count(".") >= 2}


def _halves(world: World) -> Iterator[Detail]:
    yield from halves(
        inventory(world),
        load_foreign(),
        recorded=sorted({*world.ledger.components, *world.ledger.lost}),
        wanted=[component.name for component in world.target.components],
        external=[component.name for component in world.target.external],
        adopt=world.target.adopt,
    )


def _terminating(world: World) -> Iterator[Detail]:
    wanted = {item.ref.identity for item in world.target.wanted}
    used = {component.namespace for component in world.target.components}
    used |= {item.ref.namespace for item in world.target.wanted}
    for namespace in world.namespaces:
        name = namespace["metadata"]["name"]
        if name in used and namespace["metadata"].get("deletionTimestamp"):
            whole = {**namespace, "kind": "Namespace"}
            yield failed(
                f"Namespace {name} is being deleted: {why_still_there(whole)}",
                _unheld(world, "wait until it is gone, or remove what holds it"),
                f"Namespace {name}",
            )
    ours = {definition.name for definition in inventory(world).definitions}
    for obj in definitions(world):
        ref = ref_of(obj)
        if not obj["metadata"].get("deletionTimestamp"):
            continue
        if ref.identity not in wanted and ref.name not in ours:
            continue
        detail = failed if ref.identity in wanted else warning
        yield detail(
            f"{ref} is being deleted: {_why(world, ref, obj)}",
            _unheld(
                world,
                "remove the custom resources that hold it, or their finalizers where their "
                "controller is gone",
                ref,
            ),
            str(ref),
        )


def _unheld(world: World, remedy: str, crd: Ref | None = None) -> str:
    """The remedy, behind what is to be done first where a conversion webhook holds it up."""
    dead = next((d for d in unconverted(world) if crd is None or d.ref.name == crd.name), None)
    if dead is None:
        return remedy
    return (
        f"first the conversion webhook of {dead.ref} must answer ({dead.why}): bring it back with "
        f"an install, or {dead.command}; then {remedy}"
    )


def _why(world: World, ref: Ref, metadata: Object) -> str:
    whole = world.get(ref) or metadata
    for condition in dig(whole, "status", "conditions", default=[]):
        if condition.get("type") == "Terminating" and condition.get("message"):
            return str(condition["message"])
    return why_still_there(metadata)


def _webhooks(world: World) -> Iterator[Detail]:
    stock, mine = inventory(world), settled(world)
    every = stale_entries(
        configurations(world), lambda *service: reachable(world, *service), load_foreign()
    )
    external = {component.name for component in world.target.external}
    others = [item for item in every if item.ref.identity not in mine]
    found = [s for s in others if not (s.project and s.project.component in external)]
    brought = {
        (item.ref.namespace, item.ref.name): item.component
        for item in world.target.wanted
        if item.ref.kind == "Service"
    }
    yield from own_verdicts([item for item in every if item.ref.identity in mine], brought)
    yield from conversion_verdicts(unconverted(world), brought)
    if not found:
        return
    needs = {c.name: frozenset(c.needs) for c in world.target.components}
    running = [installation.project.name for installation in stock.installations]
    yield from verdicts(found, requests_of(world), running=running, brought=brought, needs=needs)


def _check(id: str, sentence: str, look: Any, *, objects: bool = True) -> Check:
    return Check(id, "existing", sentence, look, objects=objects)


CHECKS = (
    _check(
        "existing-release",
        "no other release is installed, and no uninstall is half-way",
        _release,
        objects=False,
    ),
    _check(
        "existing-components",
        "no component is there already from somebody else",
        _components,
        objects=False,
    ),
    *EXTERNAL_CHECKS,
    _check(
        "existing-duplicates", "nothing of the stack is there twice", _duplicates, objects=False
    ),
    _check("existing-gateways", "one ingress gateway serves models, and it exists", _gateways),
    _check("existing-halves", "nothing of the stack is there by halves", _halves, objects=False),
    _check("existing-webhooks", "a pod serves every webhook", _webhooks),
    _check("existing-terminating", "nothing that is needed is being deleted", _terminating),
)
