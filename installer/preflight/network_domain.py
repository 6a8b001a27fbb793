"""Do InferenceServices get names that work outside the cluster?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from installer.catalog.resolve import titled
from installer.catalog.versions import version_of
from installer.core.checks import Detail, note, warning
from installer.core.objects import Object, Ref, dig
from installer.plan.edits import DOMAIN, DOMAIN_CHANGED, OLD_DOMAIN, default_domains
from installer.preflight.check import Check
from installer.preflight.settings_offer import offered
from installer.preflight.world import World

_MAP = Ref("v1", "ConfigMap", "knative-serving", DOMAIN)


def _domain(world: World) -> Iterator[Detail]:
    knative = next((c for c in world.target.components if c.name == "knative-serving"), None)
    if knative is None:
        return
    maps = [item.body for item in world.target.wanted if item.ref.identity == _MAP.identity]
    live = world.get(_MAP)
    yield domain_detail(titled(knative), knative.version, [*maps, *([live] if live else [])])


def domain_detail(title: str, version: str, maps: Sequence[Object]) -> Detail:
    """What addresses are made from. maps: ConfigMaps `config-domain`, wanted and live. Pure."""
    named = sorted({key for m in maps for key in default_domains(dig(m, "data", default={}))})
    if named:
        return note(f"addresses of InferenceServices end in {' or '.join(named)}")
    if version_of(version) < DOMAIN_CHANGED:
        return note(f"addresses of InferenceServices end in {OLD_DOMAIN}, the default of {title}")
    return warning(
        f"{title} is given no domain: addresses of InferenceServices would end in "
        "svc.cluster.local, which only pods can use, and the gateway would have no route for them",
        offered(
            f"name the domain that leads to the gateway, or {OLD_DOMAIN} to try things with a Host "
            "header",
            {"domain": "models.example.com"},
        ),
        str(_MAP),
    )


CHECKS = (
    Check(
        "network-domain",
        "network",
        "InferenceServices get addresses that work outside the cluster",
        _domain,
    ),
)
