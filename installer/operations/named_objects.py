"""What the objects of users cannot do without: namespaces, accounts, Secrets and ConfigMaps.

Names are noted object by object, so that the objects need not be held; what they name is read
afterwards, a namespace at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.objects import Object, ObjectId, Ref, dig, ref_of
from installer.plan.backup_form import account_to_keep
from installer.plan.references import (
    CONFIG_MAP,
    SECRET,
    Credentials,
    Named,
    credentials_of,
    named_by,
    named_by_secret,
    shared_bundle,
)

_EVERYWHERE = ""
_ISTIO = "istio-system"
"""Where a Gateway's certificates are: beside the gateway's pods, wherever the Gateway is."""
_CERT_MANAGER = "cert-manager"
"""Where a ClusterIssuer's Secrets are: its `--cluster-resource-namespace` in the manifests."""
_TOKEN = "kubernetes.io/service-account.name"
_ISSUED = "cert-manager.io/certificate-name"
_ROOT = "kube-root-ca.crt"
"""Published into every namespace by the controller manager."""


class NamedObjects:
    """What is named from namespaces. owned: what the release has brought, which is left out.

    config: the release's `inferenceservice-config`, None where there is none.
    """

    def __init__(
        self, cluster: Cluster, owned: Collection[ObjectId], config: Object | None, cancel: Cancel
    ) -> None:
        self.cluster = cluster
        self.owned = owned
        self.cancel = cancel
        self.credentials: Credentials = credentials_of(config)
        self._names: dict[str, set[Named]] = defaultdict(set)
        self._users: set[str] = set()
        bundle = shared_bundle(config)
        if config is not None and bundle:
            self._names[ref_of(config).namespace].add((CONFIG_MAP, bundle))

    def note(self, obj: Object) -> None:
        """Note what an object of a user names."""
        place = str(dig(obj, "metadata", "namespace", default=""))
        if place:
            self._users.add(place)
        names = set(named_by(obj, self.credentials))
        if obj["kind"] == "Gateway":
            self._names[_ISTIO] |= names
        self._names[_CERT_MANAGER if obj["kind"] == "ClusterIssuer" else place] |= names

    @property
    def namespaces(self) -> list[str]:
        """Those that have objects of users, or have something that is named."""
        named = {place for place, names in self._names.items() if names and place}
        return sorted(named | self._users)

    def objects(self) -> Iterator[Object]:
        """All of it, Namespaces first, one at a time."""
        for name in self.namespaces:
            found = self.cluster.get(Ref("v1", "Namespace", "", name))
            if found is not None and ref_of(found).identity not in self.owned:
                yield found
        for name in self.namespaces:
            self.cancel.check(f"reading what is in Namespace {name}")
            yield from self._inside(name)

    def config_maps(self) -> Iterator[Object]:
        """The ConfigMaps that are named without a look at Secrets."""
        for name in self.namespaces:
            yield from self._maps(name, self._names[name] | self._names[_EVERYWHERE])

    def _inside(self, namespace: str) -> Iterator[Object]:
        names = self._names[namespace] | self._names[_EVERYWHERE]
        if namespace in self._users:
            for account in self._accounts(namespace):
                said = [*(account.get("secrets") or []), *(account.get("imagePullSecrets") or [])]
                names.update((SECRET, str(item["name"])) for item in said)
                yield account
            names.add((SECRET, self.credentials.secret))
        for secret in self._there(namespace, SECRET, names):
            if not dig(secret, "metadata", "annotations", _ISSUED) and not _is_token(secret):
                names.update(named_by_secret(secret))
                yield secret
        yield from self._maps(namespace, names)

    def _maps(self, namespace: str, names: Collection[Named]) -> Iterator[Object]:
        for found in self._there(namespace, CONFIG_MAP, names):
            owners = dig(found, "metadata", "ownerReferences", default=[])
            # a controller that has made one makes it again
            if found["metadata"]["name"] != _ROOT and not any(o.get("controller") for o in owners):
                yield found

    def _there(self, namespace: str, kind: str, names: Collection[Named]) -> Iterator[Object]:
        """Those of a kind that exist and that the release has not brought."""
        for name in sorted(name for this, name in names if this == kind):
            found = self._get(Ref("v1", kind, namespace, name))
            if found is not None and ref_of(found).identity not in self.owned:
                yield found

    def _get(self, ref: Ref) -> Object | None:
        try:
            return self.cluster.get(ref)
        except ApiError as error:
            if error.failure.kind == "invalid":
                return None  # a name that none can have
            raise

    def _accounts(self, namespace: str) -> Iterator[Object]:
        """ServiceAccounts that say something."""
        tokens = frozenset(
            str(dig(item, "metadata", "name"))
            for item in self.cluster.list("v1", SECRET, namespace, metadata_only=True).items
            if _is_token(item)
        )
        for account in self.cluster.list("v1", "ServiceAccount", namespace).items:
            told = account_to_keep(account, tokens)
            if told is not None and ref_of(account).identity not in self.owned:
                yield told


def _is_token(secret: Object) -> bool:
    return dig(secret, "metadata", "annotations", _TOKEN) is not None
