"""`verify` as a user runs it: a model answers, or the first broken link is named; nothing stays."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from serving_place import Place, events, eventually

from installer.core.objects import Object, Ref
from installer.sandbox.script import ImageRule, ModelRule, Script

pytestmark = pytest.mark.cluster


def _namespaces(place: Place) -> list[str]:
    names = [o["metadata"]["name"] for o in place.cluster.list("v1", "Namespace").items]
    return [name for name in names if name.startswith("kserve-installer-verify-")]


def _nothing_is_left(place: Place) -> None:
    eventually(lambda: not _namespaces(place), "its namespace is gone")


def _details(found: list[dict[str, object]], check: str) -> list[dict[str, object]]:
    (event,) = [event for event in found if event.get("check") == check]
    details = event["details"]
    assert isinstance(details, list)
    return details


def test_a_sample_is_made_answers_and_is_removed(place: Place) -> None:
    code, out, err = place.run("verify", "-o", "json")
    found = events(out)
    assert code == 0, err
    assert [event["check"] for event in found if event["event"] == "check"] == [
        "installed-ready",
        "versions",
        "webhooks-answer",
        "sample-admitted",
        "sample-ready",
        "prediction",
        "answer",
    ]
    assert {e["verdict"] for e in found if e["event"] == "check"} == {"note"}
    waited = [item["reason"] for e in found if e["event"] == "waiting" for item in e["for"]]
    assert waited
    assert found[-1]["created"] == found[-1]["deleted"] == 2
    assert _namespaces(place) == []


@pytest.fixture(scope="module")
def mine(place: Place) -> Ref:
    """An InferenceService of a user."""
    ref = place.create("mine")
    place.ready(ref)
    return ref


@pytest.mark.parametrize("via", ["nodeport", "port-forward"])
def test_each_way_in_prints_the_line_that_does_the_same(place: Place, mine: Ref, via: str) -> None:
    code, out, err = place.run("verify", "--use", mine.name, "--via", via, "-o", "json")
    assert code == 0, err
    asked = _details(events(out), "prediction")[0]
    assert f" by {via} 127." in str(asked["reason"])
    data = asked["data"]
    assert isinstance(data, dict)
    assert len(data["curl"]) == (2 if via == "port-forward" else 1)


def test_one_that_exists_is_used_and_left_alone(place: Place, mine: Ref, tmp_path: Path) -> None:
    before = place.cluster.get(mine)
    sent, wanted = tmp_path / "in.json", tmp_path / "out.json"
    sent.write_text('{"instances": [{"key": "7"}]}')
    wanted.write_text('{"predictions": []}')
    words = ("verify", "--use", "mine", "--data", str(sent))
    code, out, err = place.run(*words, "-o", "json")
    assert code == 0, err
    assert '"key": "7"' in str(_details(events(out), "answer")[0]["reason"])
    code, out, _ = place.run(*words, "--expect", str(wanted), "-o", "json")
    assert code == 3
    assert events(out)[-1]["error"]["kind"] == "answer"
    after = place.cluster.get(mine)
    assert before is not None
    assert after is not None
    assert before["spec"] == after["spec"]


def test_ready_and_yet_every_request_gets_503(place: Place) -> None:
    """The trap: without the Service of the local gateway all conditions are True."""
    ref = Ref("v1", "Service", "istio-system", "cluster-local-gateway")
    there = place.cluster.get(ref)
    assert there is not None
    place.cluster.delete(ref)
    code, out, _ = place.run("verify", "-o", "json")
    error = events(out)[-1]["error"]
    place.cluster.create(_again(there))
    assert code == 3
    assert _details(events(out), "sample-ready")[0]["verdict"] == "note"
    blamed = _details(events(out), "prediction")[0]
    assert blamed["object"] == "Service istio-system/cluster-local-gateway"
    assert error["kind"] == "installed-ready"
    _nothing_is_left(place)


def _again(obj: Object) -> Object:
    metadata = {k: obj["metadata"][k] for k in ("name", "namespace", "labels")}
    spec = {k: v for k, v in obj["spec"].items() if not k.startswith("clusterIP")}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(
    ("rule", "link"),
    [
        (ImageRule("tensorflow", fail="never-ready"), "model"),
        (ImageRule("storage-initializer", fail="crash"), "model-download"),
    ],
)
def test_a_model_that_does_not_start_is_blamed_though_conditions_do_not_say_why(
    healed: Place, rule: ImageRule, link: str
) -> None:
    """The traps: never Ready=False, and an empty message on the Revision."""
    healed.behave(Script(images=(rule,)))
    code, out, _ = healed.run("verify", "-o", "json")
    found = events(out)
    assert code == 3
    (blamed,) = [d for d in _details(found, "sample-ready") if d["verdict"] == "failed"]
    assert blamed["data"] == {"link": link}
    assert blamed["remedy"]
    assert found[-1]["error"]["kind"] == "sample-ready"
    _nothing_is_left(healed)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (Script(models=(ModelRule("mine", status=500, body="boom"),)), "answers 500: boom"),
        (Script(models=(ModelRule("mine", status=200, body="fine"),)), "not with a JSON object"),
        (Script(login="https://dex.example.com/dex/auth"), "is sent to a login page"),
    ],
)
def test_an_answer_that_is_no_prediction_is_explained(
    healed: Place, mine: Ref, tmp_path: Path, script: Script, said: str
) -> None:
    healed.behave(script)
    sent = tmp_path / "in.json"
    sent.write_text('{"instances": [{"key": "7"}]}')

    def look() -> list[dict[str, object]]:
        words = ("verify", "--use", mine.name, "--data", str(sent), "-o", "json")
        code, out, _ = healed.run(*words)
        return events(out) if code == 3 else []

    found = eventually(look, "the model behaves so")
    (blamed,) = [d for d in _details(found, "prediction") if d["verdict"] == "failed"]
    assert said in str(blamed["reason"])
    assert blamed["data"] == {"link": "request"}
    assert blamed["remedy"]


def test_interrupted_while_it_waits_it_leaves_nothing_behind(healed: Place) -> None:
    slow = ImageRule("tensorflow", ready_seconds=600)
    healed.behave(Script(images=(slow,)))
    process = healed.start("verify", "-o", "json")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "waiting":
            break
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert events(out)[-1]["outcome"] == "interrupted"
    _nothing_is_left(healed)


def test_what_is_kept_stays_and_a_wrong_file_makes_nothing(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "isvc.yaml"
    file.write_text("kind: Pod\n")
    code, _, err = place.run("verify", "--isvc", str(file))
    assert code == 2
    assert "metadata.name" in err
    assert _namespaces(place) == []
    code, _, err = place.run("verify", "--keep", "--predictor-image", "example.com/model:1")
    assert code == 0, err
    (kept,) = _namespaces(place)
    place.cluster.delete(Ref("v1", "Namespace", "", kept))
    _nothing_is_left(place)


def test_a_version_that_is_not_the_ledger_s_is_a_finding(place: Place, mine: Ref) -> None:
    ref = Ref("apps/v1", "Deployment", "istio-system", "istiod")
    there = place.cluster.get(ref)
    assert there is not None
    container = there["spec"]["template"]["spec"]["containers"][0]
    changed = {"name": container["name"], "image": "docker.io/istio/pilot:1.9.1"}
    template = {"spec": {"containers": [changed]}}
    place.cluster.patch(ref, {"spec": {"template": template}}, type="strategic")

    eventually(lambda: _runs(place, "pilot:1.9.1"), "the other version runs")
    words = ("verify", "--use", mine.name, "-o", "json")
    code, out, _ = place.run(*words)
    assert code == 3
    said = [str(d["reason"]) for d in _details(events(out), "versions")]
    assert any(text.endswith("is that of istio 1.9.1, and 1.6.2 was installed") for text in said)
    changed["image"] = container["image"]
    place.cluster.patch(ref, {"spec": {"template": template}}, type="strategic")


def _runs(place: Place, image: str) -> bool:
    pods = place.cluster.list("v1", "Pod", "istio-system", label_selector="app=istiod").items
    return bool(pods) and all(
        image in pod["spec"]["containers"][0]["image"]
        and pod["status"].get("phase") == "Running"
        and "deletionTimestamp" not in pod["metadata"]
        for pod in pods
    )


def test_autoscaling_tells_where_each_value_comes_from(place: Place) -> None:
    """An annotation before the cluster's ConfigMap before the default of this version."""
    config = Ref("v1", "ConfigMap", "knative-serving", "config-autoscaler")
    place.cluster.patch(config, {"data": {"stable-window": "90s"}})
    ref = place.create("scaled", maxReplicas=8)
    annotations = {"autoscaling.knative.dev/target": "10"}
    place.cluster.patch(ref, {"metadata": {"annotations": annotations}})
    place.ready(ref)
    code, out, err = place.run("autoscaling", "scaled", "--concurrency", "25", "-o", "json")
    assert code == 0, err
    told = json.loads(out)
    found = {name: (s["value"], s["origin"]) for name, s in told["settings"].items()}
    assert found["target"][0] == "10"
    assert "InferenceService" in found["target"][1]
    assert found["window"][0].startswith("90")
    assert "config-autoscaler" in found["window"][1]
    assert found["panic threshold"][0].startswith("200")
    assert "default" in found["panic threshold"][1]
    assert told["load"]["pods"] == 4
    place.cluster.patch(config, {"data": {"stable-window": None}})
    place.remove(ref)
