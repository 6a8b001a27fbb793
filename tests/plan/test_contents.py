"""What has to be at hand for an install or an upgrade without a network."""

from __future__ import annotations

import pytest

from installer.catalog.load import load
from installer.core.errors import UsageError
from installer.plan.contents import contents

CATALOG = load()


def named(target: str, origin: str = "") -> list[str]:
    return [f"{c.name} {c.version}" for c in contents(CATALOG, target, origin)]


def test_an_install_takes_the_components_of_its_release() -> None:
    release = CATALOG.releases["kfserving-0.5.1"]
    assert sorted(named(release.name)) == sorted(
        f"{ref.name} {ref.version}" for ref in release.components
    )


def test_an_upgrade_takes_every_stop_both_ends_and_nothing_twice() -> None:
    found = named("kfserving-0.6.1", "kfserving-0.5.1")
    assert len(found) == len(set(found))
    assert {"kfserving 0.5.1", "kfserving 0.6.1"} <= set(found)
    knative = [name for name in found if name.startswith("knative-serving ")]
    assert knative == [
        f"knative-serving {version}"
        for version in ("0.18.0", "0.19.0", "0.20.2", "0.21.1", "0.22.0")
    ]


def test_a_way_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(UsageError, match="no upgrade leads from kfserving") as caught:
        contents(CATALOG, "kfserving-0.5.1", "kfserving-0.6.1")
    assert "kserve-0.7.0" in caught.value.remedy
