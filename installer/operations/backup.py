"""`backup`: what users have made of the stack's kinds and edited of its ConfigMaps, in one file.

Kinds are read page by page and written as they come, so that the number of objects is not a matter
of memory. They are read twice: what they name (namespaces, Secrets, ConfigMaps) stands before them
in the file.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from installer import __version__
from installer.catalog.model import Catalog
from installer.cluster import ledger as ledgers
from installer.cluster.client import Cluster
from installer.cluster.ledger import Ledger
from installer.cluster.unconverted import readable_pages
from installer.core.cancel import Cancel
from installer.core.errors import ChecksFailed
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig, ref_of
from installer.operations.backup_file import Summary, Writer, write
from installer.operations.named_objects import NamedObjects
from installer.operations.users import stored_kinds
from installer.plan import backup_form as form
from installer.plan.backup_form import Head, Record
from installer.plan.references import CONFIG

SYSTEM = Ref("v1", "Namespace", "", "kube-system")
_PAGE = 200


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
        for obj in self._look().objects():
            writer.add(Record(form.USER, obj))
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

    def _look(self) -> NamedObjects:
        config = next((r for r in self.config_maps if r.name == CONFIG), None)
        found = self.cluster.get(config) if config is not None else None
        named = NamedObjects(self.cluster, self.owned, found, self.cancel)
        for obj in self._resources():
            if form.role_of(obj, ref_of(obj).identity in self.owned) == form.USER:
                named.note(obj)
        return named

    def _resources(self) -> Iterator[Object]:
        for api_version, kind in self.kinds:
            seen: set[tuple[str, str]] = set()  # a list that begins again gives some twice
            for page in readable_pages(self.cluster, api_version, kind, size=_PAGE):
                self.cancel.check(f"reading {kind} objects")
                for obj in page.items:
                    key = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
                    if key not in seen:
                        seen.add(key)
                        yield obj


_CRD = "CustomResourceDefinition"


def cluster_uid(cluster: Cluster) -> str:
    """By which a cluster is known again."""
    return str(dig(cluster.get(SYSTEM), "metadata", "uid", default=""))
