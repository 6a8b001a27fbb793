"""Who keeps an object, told from its marks and from who wrote them."""

from __future__ import annotations

from typing import Any

from installer.core.objects import Object
from installer.plan.handover import Handover, handovers_of, keeper_of, unmarked

RELEASE = {"meta.helm.sh/release-name": "cm", "meta.helm.sh/release-namespace": "infra"}
OWNER = {"apiVersion": "operator.knative.dev/v1beta1", "kind": "KnativeServing", "name": "ks"}


def obj(entries: dict[str, Any], **metadata: Any) -> Object:
    managed = [{"manager": name, "fieldsV1": fields} for name, fields in entries.items()]
    return {"metadata": {"name": "x", "namespace": "there", "managedFields": managed, **metadata}}


def test_a_helm_release_is_named_with_whoever_wrote_its_mark() -> None:
    mark = {"f:metadata": {"f:annotations": {"f:meta.helm.sh/release-name": {}}}}
    other = {"f:metadata": {"f:annotations": {"f:else": {}}}}
    found = keeper_of(obj({"terraform": mark, "kubectl-edit": other}, annotations=RELEASE))
    assert found == Handover("helm", "infra", "cm", (), ("terraform",))
    assert str(found) == "Helm release infra/cm"
    alone = {"meta.helm.sh/release-name": "cm"}
    assert keeper_of(obj({}, annotations=alone)) == Handover("helm", "there", "cm")


def test_a_knativeserving_is_named_and_no_other_owner_is() -> None:
    mark = {"f:metadata": {"f:ownerReferences": {'k:{"uid":"1"}': {}}}}
    found = keeper_of(obj({"operator": mark}, ownerReferences=[OWNER]))
    assert found == Handover("knative-operator", "there", "ks", (), ("operator",))
    assert str(found) == "KnativeServing there/ks"
    for other in ({**OWNER, "kind": "KnativeEventing"}, {**OWNER, "apiVersion": "else.dev/v1"}):
        assert keeper_of(obj({}, ownerReferences=[other])) is None
    assert keeper_of(obj({})) is None


def test_each_keeper_is_there_once_with_all_that_is_adopted_from_it() -> None:
    one = obj({}, annotations=RELEASE)
    other = obj({}, ownerReferences=[OWNER])
    assert handovers_of([("b", one), ("a", one), ("c", other), ("d", obj({}))]) == (
        Handover("helm", "infra", "cm", ("a", "b")),
        Handover("knative-operator", "there", "ks", ("c",)),
    )


def test_marks_that_nobody_is_noted_for_come_off_and_nothing_else_does() -> None:
    marked = obj(
        {},
        annotations={**RELEASE, "kept": "1"},
        labels={"app.kubernetes.io/managed-by": "Helm", "kept": "1"},
    )
    assert unmarked(marked) == {
        "metadata": {
            "annotations": dict.fromkeys(RELEASE),
            "labels": {"app.kubernetes.io/managed-by": None},
        }
    }
    assert unmarked(obj({}, labels={"app.kubernetes.io/managed-by": "Helm"})) is None
