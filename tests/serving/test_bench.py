"""`bench` as a user runs it: the pods that come and go, limits, interruption, refusals."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from serving_place import API_VERSION, Place, eventually

from installer.core.objects import Ref
from installer.sandbox.script import ModelRule, Script
from installer.serving.inference_service import KIND

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("loaded")]

FAST = 10.0
"""How many times faster than the clock the simulated autoscaler counts."""


def _script(**more: Any) -> Script:
    rule = ModelRule("default/", seconds=0.1, **more)
    return Script(models=(rule,), autoscaler_speed=FAST)


@pytest.fixture(scope="module")
def loaded(place: Place) -> Ref:
    """An InferenceService with target 10, as in the recorded load tests."""
    obj = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": "loaded",
            "namespace": "default",
            "annotations": {"autoscaling.knative.dev/target": "10"},
        },
        "spec": {"predictor": {"tensorflow": {"storageUri": "gs://bucket/model"}}},
    }
    place.behave(_script())
    place.cluster.create(obj)
    ref = Ref(API_VERSION, KIND, "default", "loaded")
    place.ready(ref)
    return ref


@pytest.fixture(autouse=True)
def _working(place: Place) -> Iterator[None]:
    """Models answer again; the speed stays: an autoscaler takes no clock that jumps back."""
    yield
    place.behave(_script())


def _report(place: Place, *words: str, **more: Any) -> tuple[int, dict[str, Any]]:
    code, out, err = place.run("bench", "loaded", "-o", "json", *words, **more)
    assert out, err
    return code, json.loads(out)


def test_25_requests_at_a_time_have_4_pods_and_then_1_again(place: Place) -> None:
    code, report = _report(place, "-z", "20s", "-c", "25")
    assert code == 0
    pods = report["pods"]
    assert (pods["expected"], pods["peak_ready"], pods["steady"]) == (4, 4, 4)
    assert pods["why"].startswith("25 / (10 × 70 %)")
    assert pods["minimum"] == 1
    assert 0 < pods["up_seconds"] < 20
    assert pods["down_seconds"] > 0
    last = report["states"][-1]
    assert (last["wanted"], last["made"]) == (1, 1)
    assert report["activator"]
    assert report["requests"]["statuses"] == {"200": report["requests"]["answered"]}
    assert report["requests"]["errors"] == {}
    assert report["unseen"] == []
    eventually(lambda: len(_pods(place)) == 1, "one pod is left")


def _pods(place: Place) -> list[Any]:
    return [
        pod
        for pod in place.cluster.list("v1", "Pod", "default").items
        if not pod["metadata"].get("deletionTimestamp")
    ]


def test_a_limit_that_is_not_kept_is_exit_3_and_named(place: Place) -> None:
    words = ("-z", "2s", "-c", "2", "--no-wait-down")
    code, report = _report(place, *words, "--slo", "p99=50ms,errors=1%")
    assert code == 3
    assert {limit["name"]: limit["held"] for limit in report["slo"]} == {
        "p99": False,
        "errors": True,
    }
    code, _ = _report(place, *words, "--slo", "p99=5s,errors=1%")
    assert code == 0


def test_a_model_that_fails_breaks_the_limit_for_errors(place: Place) -> None:
    place.behave(_script(status=500, body="boom"))
    words = ("-n", "20", "-c", "2", "--no-wait-down")
    code, report = _report(place, *words, "--slo", "errors=0.1%")
    assert code == 3
    assert report["requests"]["errors"] == {"HTTP 500": 20}
    code, report = _report(place, *words)
    assert code == 1
    assert any("answers 500" in finding["says"] for finding in report["findings"])
    assert any("no request got a good answer" in f["says"] for f in report["findings"])


def test_a_login_in_front_is_told_before_anything_is_sent(place: Place) -> None:
    login = replace(_script(), login="https://login.example.com/dex/auth?response_type=code")
    place.behave(login)
    code, _, err = place.run("bench", "loaded", "-n", "3")
    assert code == 3
    assert "is sent to a login page at login.example.com" in err
    words = ("-n", "3", "-c", "1", "--no-wait-down", "-H", "Cookie: authservice_session=secret")
    code, report = _report(place, *words)
    assert code == 0
    assert "secret" not in json.dumps(report)


def test_a_body_is_sent_as_a_prediction(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "input.json"
    file.write_text('{"instances": [{"key": "1"}]}')
    code, report = _report(place, "-D", str(file), "-n", "5", "-c", "1", "--no-wait-down")
    assert code == 0
    assert report["request"].startswith("POST /v1/models/loaded:predict")
    assert report["requests"]["statuses"] == {"200": 5}


def test_stages_and_rates_are_told_with_what_was_measured(place: Place) -> None:
    words = ("--stages", "10/sx2s,30/sx2s", "--warm-up", "1s", "--no-wait-down")
    code, report = _report(place, *words)
    assert code == 0
    assert report["loop"] == "open"
    assert [stage["load"] for stage in report["stages"]] == [
        "warm-up 10/sx1s",
        "10/sx2s",
        "30/sx2s",
    ]
    assert report["requests"]["answered"] == 80
    assert report["seconds"][0]["at"] == pytest.approx(-1)
    assert report["requests"]["latency_from"] == "the intended send time"


@pytest.mark.parametrize("via", ["nodeport", "port-forward"])
def test_each_way_in_carries_the_load(place: Place, via: str) -> None:
    code, report = _report(place, "-n", "30", "-c", "3", "--via", via, "--no-wait-down")
    assert code == 0
    assert report["requests"]["statuses"] == {"200": 30}


def test_an_interrupt_prints_the_report_so_far(place: Place) -> None:
    process = place.start("bench", "loaded", "-z", "60s", "-c", "3", "-o", "json")
    assert process.stderr is not None
    line = process.stderr.readline()
    assert line.startswith("sending 3 requests at a time"), line
    timer = threading.Timer(2.0, process.send_signal, (signal.SIGINT,))
    timer.start()
    out, _ = process.communicate(timeout=30)
    report = json.loads(out)
    assert process.returncode == 130
    assert report["interrupted"] is True
    assert report["unseen"] == []
    assert report["requests"]["answered"] > 0
    assert report["requests"]["seconds"] < 30


def test_an_interrupt_ends_the_wait_for_the_scale_down(place: Place) -> None:
    process = place.start("bench", "loaded", "-z", "6s", "-c", "25", "-o", "json")
    assert process.stderr is not None
    while "waiting until pods are back" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out)["pods"]["down_seconds"] is None


def test_an_address_that_is_not_the_gateway_is_refused(place: Place) -> None:
    from socket import create_server

    with create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        code, _, err = place.run("bench", "loaded", "-n", "3", "--address", address)
        assert code == 3
        assert "is no address of this cluster's gateway" in err
        assert "--yes-really" in err
        other.settimeout(0.5)
        with pytest.raises(TimeoutError):
            other.accept()


def test_the_gateways_own_address_is_taken(place: Place) -> None:
    code, report = _report(place, "-n", "2", "-c", "1", "--no-wait-down", "--via", "nodeport")
    address = report["address"].partition(",")[0]
    code, report = _report(place, "-n", "2", "-c", "1", "--no-wait-down", "--address", address)
    assert code == 0
    assert report["requests"]["answered"] == 2


def test_a_host_that_nobody_routes_is_refused_before_the_load(place: Place) -> None:
    code, _, err = place.run("bench", "loaded", "-host", "other.example.com", "-n", "3")
    assert code == 3
    assert "the gateway knows no route for other.example.com" in err
    assert "kserve-installer trace" in err


def test_without_rights_to_pods_the_report_says_what_it_could_not_see(
    place: Place, tmp_path: Path
) -> None:
    rules = [
        {
            "apiGroups": ["serving.kubeflow.org", "serving.knative.dev"],
            "resources": ["*"],
            "verbs": ["get", "list", "watch"],
        },
        {
            "apiGroups": [""],
            "resources": ["services", "nodes", "configmaps"],
            "verbs": ["get", "list"],
        },
    ]
    place.cluster.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "loader"},
            "rules": rules,
        }
    )
    place.cluster.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "loader"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "loader",
            },
            "subjects": [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "loader"}
            ],
        }
    )
    config = place.impersonating("loader", tmp_path)
    code, report = _report(place, "-n", "20", "-c", "2", kubeconfig=config)
    assert code == 0
    assert report["requests"]["answered"] == 20
    assert any(text.startswith("Pod: ") and "forbidden" in text for text in report["unseen"])
    assert report["pods"]["expected"] == 1
    assert report["pods"]["peak_ready"] is None
    assert any("could not be seen" in finding["says"] for finding in report["findings"])


def test_a_cold_start_is_the_load_s_own_first_request(place: Place) -> None:
    ref = place.create("sleepy", minReplicas=0)
    place.ready(ref)
    scale = "autoscaling.internal.knative.dev/v1alpha1"
    try:
        eventually(
            lambda: (
                all(
                    (scaler.get("status") or {}).get("desiredScale") == 0
                    for scaler in place.cluster.list(scale, "PodAutoscaler", "default").items
                    if "sleepy" in scaler["metadata"]["name"]
                )
                and not [p for p in _pods(place) if "sleepy" in p["metadata"]["name"]]
            ),
            "scaled to zero",
        )
        words = ("bench", "sleepy", "-n", "5", "-c", "1", "--no-wait-down", "-o", "json")
        code, out, err = place.run(*words)
        assert code == 0, err
        assert "cold start" in err
        cold = json.loads(out)["cold_start"]
        assert cold["answered"] > 0
        assert cold["ready"] is not None
        assert cold["answered"] >= cold["ready"] - 1
    finally:
        place.remove(ref)


def test_the_page_is_one_file_without_scripts(place: Place, tmp_path: Path) -> None:
    file = tmp_path / "load.html"
    words = ("-z", "2s", "-c", "2", "--no-wait-down", "--html", str(file))
    code, out, _ = place.run("bench", "loaded", *words)
    assert code == 0
    assert "Requests/sec:" in out
    page = file.read_text()
    assert page.count("<svg") >= 3
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "prefers-color-scheme: dark" in page
