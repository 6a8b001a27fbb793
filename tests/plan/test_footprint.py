"""What objects ask of the nodes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from installer.plan.footprint import footprint
from installer.plan.quantity import quantity


def container(cpu: str = "", memory: str = "", image: str = "a:1", **more: Any) -> dict[str, Any]:
    requests = {k: v for k, v in (("cpu", cpu), ("memory", memory)) if v}
    return {"name": "c", "image": image, "resources": {"requests": requests}, **more}


def workload(kind: str, *containers: Any, name: str = "w", **spec: Any) -> dict[str, Any]:
    init = spec.pop("init", [])
    template = {"spec": {"containers": list(containers), "initContainers": init}}
    metadata = {"name": name, "namespace": "n"}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata,
            "spec": {"template": template, **spec}}  # fmt: skip


def node(*images: str) -> dict[str, Any]:
    return {"status": {"images": [{"names": [name]} for name in images]}}


@pytest.mark.parametrize(
    ("text", "number"),
    [("500m", "0.5"), ("1Gi", "1073741824"), ("2", "2"), ("1.5", "1.5"), ("2e3", "2000"),
     ("1k", "1000"), ("1E", "1000000000000000000"), ("100n", "0.0000001")],
)  # fmt: skip
def test_quantities_are_numbers(text: str, number: str) -> None:
    assert quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "m", "1.2.3", "1 Gi", "1gi", "ten", ".", "1mi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity(text)


@pytest.mark.parametrize(
    ("bodies", "expected"),
    [
        ([workload("Deployment", container("100m", "64Mi"))], (100, 64 * 2**20, 1)),
        ([workload("Deployment", container("100m", "1Ki"), replicas=3)], (300, 3072, 3)),
        ([workload("Deployment", container("1", "1Ki"), replicas=0)], (0, 0, 0)),
        (
            [workload("StatefulSet", container("1", "1Ki"), container("1", "1Ki"))],
            (2000, 2048, 1),
        ),
        (
            [workload("Deployment", container("100m", "1"), init=[container("1", "1")])],
            (1000, 1, 1),
        ),
        ([workload("DaemonSet", container("100m", "1"))], (200, 2, 2)),
        ([workload("Job", container("100m", "1"))], (100, 1, 1)),
        ([workload("CronJob", container("100m", "1"))], (0, 0, 0)),
        ([{"kind": "ConfigMap", "metadata": {"name": "x"}}], (0, 0, 0)),
    ],
)
def test_requests_are_added_up(bodies: list[Any], expected: tuple[int, int, int]) -> None:
    found = footprint(bodies, [node(), node()])

    assert (found.cpu, found.memory, found.pods) == expected


def test_a_limit_stands_for_a_missing_request() -> None:
    limited = container(resources={"limits": {"cpu": "2", "memory": "1Ki"}})

    found = footprint([workload("Deployment", limited)], [])

    assert (found.cpu, found.memory, found.without_requests) == (2000, 1024, 0)


def test_pods_that_ask_for_nothing_are_counted_apart() -> None:
    found = footprint([workload("Deployment", container(), container("1", "1"), replicas=2)], [])

    assert (found.cpu, found.pods, found.without_requests) == (2000, 2, 2)


def test_an_autoscaler_raises_the_replicas() -> None:
    scaler = {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "w", "namespace": "n"},
        "spec": {"minReplicas": 4, "scaleTargetRef": {"kind": "Deployment", "name": "w"}},
    }

    assert footprint([workload("Deployment", container("1", "1")), scaler], []).pods == 4


def test_images_are_known_by_any_of_their_names() -> None:
    images = ["nginx", "org/app:1", "example.com/x@sha256:ab", "example.com/y:2@sha256:cd", "z:9"]
    wanted = [workload("Deployment", *(container(image=name) for name in images))]
    nodes = [
        node("docker.io/library/nginx:latest", "docker.io/org/app:1"),
        node("example.com/x@sha256:ab", "example.com/y@sha256:cd", "docker.io/org/app:1"),
    ]

    found = footprint(wanted, nodes)

    assert {image.name: image.on_nodes for image in found.images} == {
        "nginx": 1, "org/app:1": 2, "example.com/x@sha256:ab": 1,
        "example.com/y:2@sha256:cd": 1, "z:9": 0,
    }  # fmt: skip
    assert found.to_pull == ["z:9"]


def test_without_nodes_no_image_is_known_to_be_there() -> None:
    found = footprint([workload("Deployment", container())], None)

    assert [image.on_nodes for image in found.images] == [None]
    assert found.to_pull == ["a:1"]
