"""`backup`: what users have made of the stack's kinds and edited of its ConfigMaps, in one file.

Kinds are read page by page and written as they come, so that the number of objects is not a matter
of memory. They are read twice: what they name (namespaces, Secrets) stands before them in the file.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from installer import __version__
from installer.catalog.model import Catalog
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.ledger import Ledger
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig, ref_of
from installer.operations.backup_file import Summary, Writer, write
from installer.operations.users import stored_kinds
from installer.plan import backup_form as form
from installer.plan.backup_form import Head, Record

SYSTEM = Ref("v1", "Namespace", "", "kube-system")
_PAGE = 200
_TOKEN = "kubernetes.io/service-account.name"
_ISSUED = "cert-manager.io/certificate-name"


@dataclass(slots=True)
class _Named:
    """What the objects of users name: namespaces, and names of Secrets by namespace."""

    namespaces: set[str] = field(default_factory=set)
    secrets: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))


def file_name(release: str, now: datetime | None = None) -> str:
    """The name of a backup that none was given for."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    return f"{release or 'nothing'}-{stamp}.backup.gz"


def backup(cluster: Cluster, catalog: Catalog, target: Path, emit: Emit, cancel: Cancel) -> Summary:
    """Write a backup and tell of it (event `backup`). Raises ChecksFailed where nothing is
    installed, InstallerError where the file cannot be written."""
    began = time.monotonic()
    ledger = ledgers.read(cluster)
    if not ledger.release:
        raise ChecksFailed(
            "nothing is installed here that the ledger knows of, so it is not known what belongs "
            "to it",
            kind="not-installed",
        )
    reader = _Backup(cluster, catalog, ledger, cancel)
    summary = write(target, reader.head(), reader.fill)
    fields = {
        "file": summary.file,
        "objects": summary.objects,
        "kinds": summary.kinds,
        "bytes": summary.size,
        "sha256": summary.sha256,
        "seconds": round(time.monotonic() - began, 3),
    }
    emit(Event("backup", fields))
    return summary


class _Backup:
    def __init__(self, cluster: Cluster, catalog: Catalog, ledger: Ledger, cancel: Cancel) -> None:
        self.cluster = cluster
        self.ledger = ledger
        self.cancel = cancel
        self.owned = ledger.owners()
        names = {e.ref.name for e in self.owned.values() if e.ref.kind == _CRD}
        kinds = stored_kinds(cluster, names)
        self.kinds = sorted(kinds, key=lambda key: (form.rank(key[1]), key))
        edited = {name for part in catalog.components.values() for name in part.config_maps}
        self.config_maps = sorted(
            e.ref for e in self.owned.values() if e.ref.kind == "ConfigMap" and e.ref.name in edited
        )

    def head(self) -> Head:
        identity = self.cluster.identity()
        return Head(
            created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            by=__version__,
            cluster=cluster_uid(self.cluster),
            server=identity.server,
            kubernetes=identity.git_version,
            release=self.ledger.release,
            state=self.ledger.state,
        )

    def fill(self, writer: Writer) -> None:
        """Everything, in the order to restore it."""
        named = self._look()
        for name in sorted(named.namespaces):
            found = self.cluster.get(Ref("v1", "Namespace", "", name))
            if found is not None:
                writer.add(Record(form.USER, found))
        accounts: list[Object] = []
        for name in sorted(named.namespaces):
            self.cancel.check(f"reading what is in Namespace {name}")
            found_here = list(self._accounts(name, named))
            for obj in self._secrets(name, named):
                writer.add(Record(form.USER, obj))
            accounts += found_here
        for account in accounts:
            writer.add(Record(form.USER, account))
        for ref in self.config_maps:
            found = self.cluster.get(ref)
            if found is not None:
                writer.add(Record(form.OURS, found))
        for obj in self._resources():
            role = form.role_of(obj, ref_of(obj).identity in self.owned)
            writer.add(Record(role, obj))
        for obj in self.cluster.list("v1", "ConfigMap", ledgers.NAMESPACE).items:
            if str(dig(obj, "metadata", "name")).startswith(ledgers.STACK):
                writer.add(Record(form.LEDGER, obj))

    def _look(self) -> _Named:
        named = _Named()
        for obj in self._resources():
            installed = ref_of(obj).identity in self.owned
            place = str(dig(obj, "metadata", "namespace", default=""))
            if form.role_of(obj, installed) != form.USER:
                continue
            if place:
                named.namespaces.add(place)
                named.secrets[place].update(form.secrets_named(obj.get("spec")))
            if obj["kind"] == "Gateway":  # its certificates are where the gateway's pods are
                found = form.secrets_named(obj.get("spec"))
                named.secrets["istio-system"].update(found)
        if named.secrets.get("istio-system"):
            named.namespaces.add("istio-system")
        return named

    def _resources(self) -> Iterator[Object]:
        for api_version, kind in self.kinds:
            seen: set[tuple[str, str]] = set()  # a list that begins again gives some twice
            for page in self.cluster.pages(api_version, kind, size=_PAGE):
                self.cancel.check(f"reading {kind} objects")
                for obj in page.items:
                    key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                    if key not in seen:
                        seen.add(key)
                        yield obj

    def _accounts(self, namespace: str, named: _Named) -> Iterator[Object]:
        """ServiceAccounts that say something; what Secrets they name is noted."""
        tokens = frozenset(
            str(dig(item, "metadata", "name"))
            for item in self.cluster.list("v1", "Secret", namespace, metadata_only=True).items
            if dig(item, "metadata", "annotations", _TOKEN)
        )
        for account in self.cluster.list("v1", "ServiceAccount", namespace).items:
            if ref_of(account).identity in self.owned:
                continue
            kept = form.account_to_keep(account, tokens)
            if kept is not None:
                names = [*(kept.get("secrets") or []), *(kept.get("imagePullSecrets") or [])]
                named.secrets[namespace].update(str(item["name"]) for item in names)
                yield kept

    def _secrets(self, namespace: str, named: _Named) -> Iterator[Object]:
        for name in sorted({*named.secrets[namespace], form.STORAGE_SECRET}):
            try:
                found = self.cluster.get(Ref("v1", "Secret", namespace, name))
            except ApiError as error:
                if error.failure.kind == "invalid":
                    continue  # a name that no Secret can have
                raise
            if found is None or ref_of(found).identity in self.owned:
                continue
            made = dig(found, "metadata", "annotations", _ISSUED) or dig(
                found, "metadata", "annotations", _TOKEN
            )
            if not made:
                yield found


_CRD = "CustomResourceDefinition"


def cluster_uid(cluster: Cluster) -> str:
    """By which a cluster is known again."""
    return str(dig(cluster.get(SYSTEM), "metadata", "uid", default=""))
