"""`rbac`: the rights that a release takes, as roles. Asks no cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from installer.catalog.manifests import load_each
from installer.catalog.model import Component
from installer.core.cancel import Cancel
from installer.core.events import Emit
from installer.core.objects import Object, Ref
from installer.operations.prepare import Choice
from installer.plan.wanted import Wanted, wanted_of
from installer.preflight.rbac import documents, namespaces_for
from installer.preflight.rights_needed import Right, grants, needed

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
    give them and their bindings, in the order to apply them. namespaces: must be there first."""

    release: str
    rights: Sequence[Right]
    documents: Sequence[Object]

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
) -> Rbac:
    """Roles with which a release can be installed, watched and removed, and nothing else.

    custom_resources: to remove what users made of its kinds as well. Raises what loading sources
    raises.
    """
    settings = choice.options.settings
    external = [c for c in choice.components if c.name in settings.external]
    ours = [c for c in choice.components if c.name not in settings.external]
    wanted = wanted_objects(choice, ours, emit, cancel)
    rights = needed(wanted, ours, external, custom_resources=custom_resources)
    every = sorted({*rights, *(grant.right for grant in grants(wanted))})
    return Rbac(choice.release.name, every, documents(every, subject))


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

    found: dict[tuple[str, str, str, str], Wanted] = {}
    for component, objects in zip(components, manifests, strict=True):
        for item in wanted_of(component, objects, namespaced, choice.options.settings, set()):
            found.setdefault(item.ref.identity, item)
    return list(found.values())
