"""`rbac`: the rights that a release takes, as roles. Asks no cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from installer.catalog.load import load
from installer.catalog.manifests import load_each
from installer.catalog.model import Component
from installer.core.cancel import Cancel
from installer.core.events import Emit
from installer.core.objects import Object, ObjectId, Ref
from installer.operations.choice import Choice
from installer.plan.contents import stands, way
from installer.plan.hop import Hop
from installer.plan.wanted import Wanted, wanted_of
from installer.preflight.rbac import documents, namespaces_for
from installer.preflight.rights_needed import Right, grants, needed, without_covered
from installer.preflight.rights_upgrade import asking, upgrading

_ISTIO = "istio-system"
_CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PodSecurityPolicy",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    }
)
"""Built-in kinds without a namespace: no cluster is asked here. Source: `namespaced: false` in the
discovery of Kubernetes 1.20, 1.25 and 1.34."""


@dataclass(frozen=True, slots=True)
class Rbac:
    """rights: sorted, those to write and bind the release's roles included. documents: roles that
    give them and their bindings, in the order to apply them. namespaces: must be there first.
    origin: the release to upgrade from, if any; moves: InferenceServices change their API group."""

    release: str
    rights: Sequence[Right]
    documents: Sequence[Object]
    origin: str = ""
    moves: bool = False

    @property
    def namespaces(self) -> list[str]:
        """Namespaces of the documents that do not come with Kubernetes."""
        return namespaces_for(self.documents)

    def to_dict(self) -> Object:
        """The JSON form: a List that `kubectl apply -f` takes."""
        return {"apiVersion": "v1", "kind": "List", "items": list(self.documents)}


def rbac(
    choice: Choice,
    subject: Mapping[str, str],
    emit: Emit,
    cancel: Cancel,
    *,
    custom_resources: bool = False,
    origin: str = "",
    backup: bool = True,
) -> Rbac:
    """Roles with which a release can be installed, watched and removed, and nothing else.

    custom_resources: to remove what users made of its kinds as well. origin: a release to upgrade
    from, and to go back to, as well; backup: each hop writes one. Raises UsageError where no
    upgrade leads from there, and what loading sources raises.
    """
    hops: Sequence[Hop] = ()
    if origin:
        choice = replace(choice, catalog=load(choice.options.catalog))
        hops = way(choice.catalog, origin, choice.release.name)
        gateways = [c.namespace for c in choice.components if c.name == "istio"]
        rights = rights_of_way(
            choice, hops, emit, cancel, custom_resources=custom_resources, backup=backup
        )
        rights |= asking(gateways[0] if gateways else _ISTIO)
    else:
        wanted = wanted_objects(choice, _ours(choice, choice.components), emit, cancel)
        rights = _rights(choice, choice.components, wanted, custom_resources)
    every = sorted(without_covered(rights))
    return Rbac(
        choice.release.name,
        every,
        documents(every, subject),
        hops[0].origin if hops else "",
        any(hop.moves for hop in hops),
    )


def rights_of_way(
    choice: Choice,
    hops: Sequence[Hop],
    emit: Emit,
    cancel: Cancel,
    *,
    custom_resources: bool = False,
    backup: bool = True,
) -> set[Right]:
    """To go these hops and back, to install at each end, and to write and bind all roles between.

    choice: whose sources and settings are used. Raises what loading sources raises.
    """
    stops = [components for hop in hops for components in stands(choice.catalog, hop)]
    wanted = [wanted_objects(choice, _ours(choice, stop), emit, cancel) for stop in stops]
    rights = upgrading(wanted, _groups(hops), backup=backup)
    for stop, objects in zip(stops, wanted, strict=True):
        rights |= _rights(choice, stop, objects, custom_resources)
    return rights


def _groups(hops: Sequence[Hop]) -> list[str]:
    """API groups of InferenceServices on the way, each once, in order."""
    return list(dict.fromkeys(group for hop in hops for group in hop.groups))


def _ours(choice: Choice, components: Sequence[Component]) -> list[Component]:
    return [c for c in components if c.name not in choice.options.settings.external]


def _rights(
    choice: Choice,
    components: Sequence[Component],
    wanted: Sequence[Wanted],
    custom_resources: bool,
) -> set[Right]:
    """For one set of components and their objects, with those to write and bind their roles."""
    ours = _ours(choice, components)
    external = [c for c in components if c not in ours]
    rights = needed(wanted, ours, external, custom_resources=custom_resources)
    return {*rights, *(grant.right for grant in grants(wanted))}


def wanted_objects(
    choice: Choice, components: Sequence[Component], emit: Emit, cancel: Cancel
) -> list[Wanted]:
    """The objects of these components as they would be in a cluster that has nothing yet."""
    manifests = load_each(components, choice.options.sources, emit, cancel)
    scopes = {
        (obj["spec"]["group"], obj["spec"]["names"]["kind"]): obj["spec"].get("scope")
        for objects in manifests
        for obj in objects
        if obj["kind"] == "CustomResourceDefinition"
    }

    def namespaced(api_version: str, kind: str) -> bool:
        scope = scopes.get((Ref(api_version, kind, "", "").group, kind))
        return scope != "Cluster" if scope else kind not in _CLUSTER_SCOPED

    found: dict[ObjectId, Wanted] = {}
    for component, objects in zip(components, manifests, strict=True):
        for item in wanted_of(component, objects, namespaced, choice.options.settings, set()):
            found.setdefault(item.ref.identity, item)
    return list(found.values())
