"""The tree of everything that one InferenceService made, against recorded clusters."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded import RECORDINGS, objects_of, scene_of

from installer.core.objects import Object
from installer.serving.tree import Node, tree_of

SAMPLE = f"{RECORDINGS}/inferenceservice/flowers-sample/objects"


def _drawn(node: Node, depth: int = 0) -> list[str]:
    group = f".{node.ref.group.partition('.')[0]}" if node.ref.group else ""
    line = f"{'  ' * depth}{node.ref.kind}{group} {node.ref.name}"
    return [line, *(text for child in node.children for text in _drawn(child, depth + 1))]


def _objects(shared: Path, folder: str) -> list[Object]:
    return objects_of(shared / folder)


def test_the_sample_s_tree_is_the_recorded_chain(shared: Path) -> None:
    drawn = _drawn(tree_of(scene_of(_objects(shared, SAMPLE))))
    assert drawn == _FLOWERS.strip("\n").split("\n")


def test_every_recorded_object_is_in_the_tree_once(shared: Path) -> None:
    folders = (shared / RECORDINGS).glob("*/*/objects*")
    for folder in [*folders, shared / RECORDINGS / "upgrade" / "objects-after-apply"]:
        objects = objects_of(folder)
        (service,) = [o for o in objects if o["kind"] == "InferenceService"]
        place = service["metadata"]["namespace"]
        objects = [o for o in objects if o["metadata"]["namespace"] == place]
        nodes = list(tree_of(scene_of(objects)).walk())
        assert len(nodes) == len(objects), folder
        assert len({node.ref for node in nodes}) == len(nodes), folder


def test_nodes_say_what_is_telling_of_their_kind(shared: Path) -> None:
    nodes = tree_of(scene_of(_objects(shared, SAMPLE))).walk()
    said = {f"{node.ref.kind} {node.ref.name}": node.note for node in nodes}
    revision = "flowers-sample-predictor-default-86n5r"
    assert said["InferenceService flowers-sample"] == "http://flowers-sample.default.example.com"
    assert said[f"ServerlessService {revision}"] == "Proxy mode: the activator is in the path"
    assert said[f"Endpoints {revision}"] == "activator-79f56666d8-lkbrz"
    assert said[f"PodAutoscaler {revision}"] == "wants 1, has 1"
    assert said["Route flowers-sample-predictor-default"] == f"100 % to {revision}"


@pytest.mark.parametrize(
    ("folder", "kind", "reason"),
    [
        ("fail-tag-missing", "Revision", "ContainerMissing"),
        ("fail-crash-loop", "Pod", "CrashLoopBackOff"),
        ("fail-unschedulable", "Pod", "Unschedulable"),
        ("fail-never-ready", "Deployment", "ProgressDeadlineExceeded"),
    ],
)
def test_a_failure_is_seen_where_it_is(shared: Path, folder: str, kind: str, reason: str) -> None:
    root = tree_of(scene_of(_objects(shared, f"{RECORDINGS}/inferenceservice/{folder}/objects")))
    assert reason in {node.reason for node in root.walk() if node.ref.kind == kind}


def test_a_graph_that_refers_to_it_is_shown(shared: Path) -> None:
    graph = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "InferenceGraph",
        "metadata": {"name": "pipeline", "namespace": "default"},
        "spec": {"nodes": {"root": {"steps": [{"serviceName": "flowers-sample"}]}}},
    }
    root = tree_of(scene_of([*_objects(shared, SAMPLE), graph]))
    assert [node.ref.name for node in root.children if node.relation == "refers"] == ["pipeline"]


_FLOWERS = """
InferenceService.serving flowers-sample
  Service.serving flowers-sample-predictor-default
    Configuration.serving flowers-sample-predictor-default
      Revision.serving flowers-sample-predictor-default-86n5r
        Deployment.apps flowers-sample-predictor-default-86n5r-deployment
          ReplicaSet.apps flowers-sample-predictor-default-86n5r-deployment-5ff5d76ccf
            Pod flowers-sample-predictor-default-86n5r-deployment-5ff5d76ckhcxm
        Image.caching flowers-sam835229d3142579dd3a2953510a89b025-kfserving-container
        PodAutoscaler.autoscaling flowers-sample-predictor-default-86n5r
          Metric.autoscaling flowers-sample-predictor-default-86n5r
          ServerlessService.networking flowers-sample-predictor-default-86n5r
            Service flowers-sample-predictor-default-86n5r
              Endpoints flowers-sample-predictor-default-86n5r
            Service flowers-sample-predictor-default-86n5r-private
              Endpoints flowers-sample-predictor-default-86n5r-private
    Route.serving flowers-sample-predictor-default
      Service flowers-sample-predictor-default
      Ingress.networking flowers-sample-predictor-default
        VirtualService.networking flowers-sample-predictor-default-ingress
        VirtualService.networking flowers-sample-predictor-default-mesh
  Service flowers-sample
  VirtualService.networking flowers-sample
"""
