"""CRDs of the stack whose conversion webhook has no Service, or no pod behind it.

The API server asks that webhook for every object that is stored in another version than the one
asked for. While nobody answers, reads and deletions of the CRD's objects fail, and with them the
deletion of every namespace, since that lists all kinds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from installer.cluster.registrations import backend_of, conversion_client
from installer.core.checks import Detail, failed, warning
from installer.core.objects import Object, Ref, ref_of
from installer.preflight.existing_read import definitions, reachable
from installer.preflight.stale_webhooks import Reachable, why_unserved
from installer.preflight.world import World

_KIND = "CustomResourceDefinition"
_WORKERS = 8
_NO_CONVERSION = '{"spec":{"conversion":{"strategy":"None","webhook":null}}}'


@dataclass(frozen=True, slots=True)
class DeadConversion:
    """A CRD whose objects nobody converts. gone: the Service does not exist; else it has no pod."""

    ref: Ref
    namespace: str
    service: str
    gone: bool

    @property
    def why(self) -> str:
        """A clause that names the Service."""
        return why_unserved(self.namespace, self.service, gone=self.gone)

    @property
    def command(self) -> str:
        """Makes the API server ask nobody."""
        return f"kubectl patch crd {self.ref.name} --type merge -p '{_NO_CONVERSION}'"


def dead_conversions(crds: Iterable[Object], state: Reachable) -> list[DeadConversion]:
    """Those whose webhook is a Service that does not serve. crds: whole objects. Pure."""
    found = []
    for crd in crds:
        backend = backend_of(conversion_client(crd) or {})
        if backend is None:
            continue  # no webhook, or one by URL, of which only the API server can tell
        answer = state(backend.namespace, backend.name)
        if answer:
            gone = answer == "gone"
            found.append(DeadConversion(ref_of(crd), backend.namespace, backend.name, gone))
    return found


def conversion_verdicts(
    found: Iterable[DeadConversion], brought: Mapping[tuple[str, str], str]
) -> Iterator[Detail]:
    """What that means. brought: by (namespace, name) of a Service that the install has, its
    component."""
    for dead in found:
        reason = (
            f"the conversion webhook of {dead.ref} cannot answer: {dead.why}; reading and deleting "
            "its objects fails, and no namespace can be deleted"
        )
        data = {"service": f"{dead.namespace}/{dead.service}"}
        component = brought.get((dead.namespace, dead.service))
        if component:
            remedy = f"an install brings {component} back; without one: {dead.command}"
            yield warning(reason, remedy, str(dead.ref), **data)
        else:
            remedy = f"bring that Service back, or have no conversion: {dead.command}"
            yield failed(reason, remedy, str(dead.ref), **data)


def unconverted(world: World) -> list[DeadConversion]:
    """Of the CRDs that the release has or our ledger owns, those that nobody converts."""
    found: list[DeadConversion] = world.once("dead-conversions", lambda: _read(world))
    return found


def _read(world: World) -> list[DeadConversion]:
    refs = {item.ref for item in world.target.wanted if item.ref.kind == _KIND}
    refs |= {e.ref for e in world.ledger.owners().values() if e.ref.kind == _KIND}
    here = {item["metadata"]["name"] for item in definitions(world)}
    asked = sorted({ref.name: ref for ref in refs if ref.name in here}.values())
    with ThreadPoolExecutor(_WORKERS) as pool:
        crds = [crd for crd in pool.map(world.get, asked) if crd is not None]
    return dead_conversions(crds, lambda *service: reachable(world, *service))
