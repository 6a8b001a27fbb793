"""Objects that cannot be read because their conversion fails.

A LIST that meets one of them fails as a whole and names none. Their names come from a LIST at
another version: at the one that they are stored at nothing has to be converted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.cluster.watching import Page
from installer.core.errors import InstallerError
from installer.core.objects import Object, Ref, dig, ref_of

ENOUGH = 50
"""Failures after which it is clear that something is wrong with more than the objects."""
_CRD = "apiextensions.k8s.io/v1"
_PARALLEL = 8
_PATIENCE = 5.0
"""Seconds to try one of them again: what its LIST has failed of has been waited for already."""


def is_conversion(error: ApiError) -> bool:
    """Whether a conversion webhook is what failed."""
    return error.failure.webhook.startswith("conversion of ")


def impatient(cluster: Cluster) -> Cluster:
    """The same server, without trying for long what has just failed."""
    quick = cluster.under(cluster.cancel, patience=_PATIENCE)
    quick.request_timeout = cluster.request_timeout
    return quick


def readable_pages(cluster: Cluster, api_version: str, kind: str, *, size: int) -> Iterator[Page]:
    """`Cluster.pages`. Raises InstallerError, kind `unconverted`, naming the objects of which the
    conversion fails."""
    try:
        yield from cluster.pages(api_version, kind, size=size)
    except ApiError as error:
        if not is_conversion(error):
            raise
        raise _unconverted(cluster, api_version, kind, error) from error


def names_elsewhere(cluster: Cluster, api_version: str, kind: str) -> Iterator[list[Ref]]:
    """References at that version, a page at a time, from LISTs at the other versions.

    Where one of these fails too, the next one begins again with the first object. Ends before the
    last object where none comes to its end.
    """
    for other in _other_versions(cluster, api_version, kind):
        try:
            for page in cluster.pages(other, kind, metadata_only=True):
                yield [_at(item, api_version) for item in page.items]
            return
        except ApiError as error:
            if not is_conversion(error):
                raise


def _unconverted(cluster: Cluster, api_version: str, kind: str, error: ApiError) -> InstallerError:
    found = unreadable(cluster, api_version, kind)
    if not found:  # the webhook is down, and answers for none
        return error
    return InstallerError(
        f"{said_of(found)} of {kind} cannot be read at {api_version}:\n{lines_of(found)}",
        kind="unconverted",
        object=str(found[0][0]),
        remedy="correct or delete them, at the version that they are stored at, as the conversion "
        "webhook says, then run the same command again",
    )


def unreadable(cluster: Cluster, api_version: str, kind: str) -> list[tuple[Ref, str]]:
    """Objects that cannot be read at that version, with the reason; no more than about `ENOUGH`.

    None where no name can be read either: a webhook that is down, mostly.
    """
    quick = impatient(cluster)
    found: dict[Ref, str] = {}

    def why(ref: Ref) -> str:
        try:
            quick.get(ref)
        except ApiError as error:
            if not is_conversion(error):
                raise
            return error.message
        return ""

    with ThreadPoolExecutor(_PARALLEL) as pool:
        for refs in names_elsewhere(cluster, api_version, kind):
            cluster.cancel.check(f"looking for the {kind} that cannot be read")
            reasons = zip(refs, pool.map(why, refs), strict=True)
            found |= {ref: reason for ref, reason in reasons if reason}
            if len(found) >= ENOUGH:
                break
    return list(found.items())


def said_of(failed: Sequence[tuple[Ref, str]]) -> str:
    """How many."""
    return "one object" if len(failed) == 1 else f"{len(failed)} objects"


def lines_of(failed: Sequence[tuple[Ref, str]]) -> str:
    """One line for each, with the reason."""
    lines = [f"  {ref.namespace}/{ref.name}: {why}" for ref, why in failed]
    return "\n".join(lines) + ("\n  and there may be more" if len(failed) >= ENOUGH else "")


def _other_versions(cluster: Cluster, api_version: str, kind: str) -> list[str]:
    """The served versions of the same kind; those that objects have been stored at come first."""
    group, _, version = api_version.partition("/")
    plural = cluster.resource(api_version, kind).plural
    crd = cluster.get(Ref(_CRD, "CustomResourceDefinition", "", f"{plural}.{group}"))
    stored = dig(crd, "status", "storedVersions", default=[])
    served = [item["name"] for item in dig(crd, "spec", "versions", default=[]) if item["served"]]
    others = [name for name in served if name != version]
    return [f"{group}/{name}" for name in sorted(others, key=lambda name: name not in stored)]


def _at(item: Object, api_version: str) -> Ref:
    ref = ref_of(item)
    return Ref(api_version, ref.kind, ref.namespace, ref.name)
