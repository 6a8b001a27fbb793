"""Settings files: what is accepted, and that every problem is told with file, path and form."""

from __future__ import annotations

import pytest

from installer.core.errors import ExitCode, InvalidInput, Problem
from installer.plan.settings import DeploymentSettings, Gateway, Resources, Settings
from installer.plan.settings_parse import parse

HEAD = "apiVersion: kserve-installer/v1\nkind: Settings\n"


def settings(*bodies: str) -> Settings:
    return parse([(f"{number}.yaml", HEAD + body) for number, body in enumerate(bodies)])


def problems(*bodies: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        settings(*bodies)
    assert caught.value.exit_code == ExitCode.USAGE
    return [str(problem) for problem in caught.value.problems]


def test_a_file_with_only_a_head_sets_nothing() -> None:
    assert settings("") == Settings()
    assert settings("").digest() == ""


def test_everything_can_be_said_in_one_file() -> None:
    found = settings(
        """
gateway:
  type: NodePort
  nodePorts: {http2: 31380}
  annotations: {example.com/a: b}
  externalTrafficPolicy: Local
domain: models.example.com
deployments:
  istio-system/istiod:
    replicas: 2
    resources: {requests: {cpu: 1, memory: 256Mi}, limits: {cpu: 1500m}}
    nodeSelector: {disk: ssd}
    tolerations: [{key: gpu, operator: Exists}]
  kfserving-system/kfserving-controller-manager:
    containers: {manager: {limits: {memory: 1Gi}}}
inferenceservice:
  ingress: {ingressGateway: a/b, old: null}
  logger: '{"image": "x"}'
labels: {team: ml}
patches:
- target: {kind: ConfigMap, name: config-autoscaler, namespace: knative-serving}
  patch: [{op: add, path: /data/stable-window, value: 30s}]
external: [cert-manager]
"""
    )

    assert found.gateway == Gateway("NodePort", {"http2": 31380}, {"example.com/a": "b"}, "Local")
    istiod = found.deployments["istio-system/istiod"]
    assert istiod == DeploymentSettings(
        2,
        Resources({"cpu": "1", "memory": "256Mi"}, {"cpu": "1500m"}),  # type: ignore[dict-item]
        {},
        {"disk": "ssd"},
        ({"key": "gpu", "operator": "Exists"},),
    )
    assert found.inferenceservice["ingress"] == {"ingressGateway": "a/b", "old": None}
    assert found.patches[0].target.kind == "ConfigMap"
    assert found.external == ("cert-manager",)
    assert found.digest()


def test_all_problems_of_all_files_are_told_at_once() -> None:
    found = problems(
        "gatway: {}\ndomain: 12\nlabels: {team: yes}\n",
        "gateway: {type: Nodeport, nodePorts: {http2: '31380'}}\nexternal: cert-manager\n",
    )

    assert found == [
        "0.yaml: gatway: unknown key; expected gateway (the nearest known)",
        "0.yaml: domain: the number 12; expected text in quotes",
        "0.yaml: labels.team: the truth value true; expected text in quotes",
        "1.yaml: gateway.type: the text Nodeport; expected NodePort (the nearest known)",
        "1.yaml: gateway.nodePorts.http2: the text 31380; expected a whole number",
        "1.yaml: external: the text cert-manager; expected a list of text",
    ]


def test_a_problem_of_one_kind_hides_none_of_another() -> None:
    documents = [
        ("syntax.yaml", HEAD + "labels: ["),
        ("head.yaml", "kind: Settings\ndomain: Models_\nlabels: {a: b, a: c}\n"),
        (
            "parts.yaml",
            HEAD
            + "deployments: {a/b: {replicas: two}, b: {replicas: 0}}\n"
            + "labels: {a: 1, 'b c': d}\n"
            + "gateway: {typ: NodePort, nodePorts: {http2: 70000}}\n"
            + "patches: [{target: {}}, {target: {kind: A, name: b}, patch: []}]\n"
            + "external: [1, cert-manger, istio]\n"
            + "inferenceservice: {a: 1, b: '{'}\n",
        ),
        ("type.yaml", HEAD + "gateway: {type: ClusterIP, externalTrafficPolicy: Nowhere}\n"),
        ("ports.yaml", HEAD + "gateway: {nodePorts: {http2: 31380}}\n"),
    ]
    unreadable = Problem("gone.yaml", "", "No such file or directory", "a text file")

    with pytest.raises(InvalidInput) as caught:
        parse(documents, ["istio", "cert-manager"], [unreadable])

    told = [f"{problem.file}: {problem.path}" for problem in caught.value.problems]
    assert told == [
        "gone.yaml: ",
        "syntax.yaml: line 4, column 1",
        "head.yaml: line 3, column 16",
        "head.yaml: apiVersion",
        "head.yaml: domain",
        "parts.yaml: deployments.a/b.replicas",
        "parts.yaml: deployments.b",
        "parts.yaml: deployments.b.replicas",
        "parts.yaml: labels.a",
        "parts.yaml: labels.b c",
        "parts.yaml: gateway.typ",
        "parts.yaml: gateway.nodePorts.http2",
        "parts.yaml: patches[0].target.kind",
        "parts.yaml: patches[0].target.name",
        "parts.yaml: patches[0].patch",
        "parts.yaml: patches[1].patch",
        "parts.yaml: external[0]",
        "parts.yaml: external[1]",
        "parts.yaml: inferenceservice.a",
        "parts.yaml: inferenceservice.b",
        "type.yaml: gateway.externalTrafficPolicy",
        "ports.yaml: gateway",
    ]
    assert caught.value.message.startswith("the settings have 22 problems:\n")


def test_one_problem_is_said_in_the_singular_and_its_file_is_the_object() -> None:
    with pytest.raises(InvalidInput, match="the settings have 1 problem:") as caught:
        settings("domain: 12\n")

    assert caught.value.object == "0.yaml"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("gateway: {nodePorts: {http2: 70000}}", "gateway.nodePorts.http2: the number 70000"),
        ("gateway: {type: ClusterIP, nodePorts: {http2: 31380}}", "has neither nodePorts nor"),
        ("domain: Models_", "domain: the text Models_; expected a DNS name in lower case"),
        ("deployments: {istiod: {}}", "deployments.istiod: the key is not namespace/name"),
        ("deployments: {a/b: {replicas: 0}}", "deployments.a/b.replicas: the number 0"),
        ("deployments: {a/b: {replicas: '2'}}", "deployments.a/b.replicas: the text 2"),
        ("deployments: {a/b: {resources: {limits: {cpu: fast}}}}", "a quantity such as 500m"),
        ("deployments: {a/b: {tolerations: [x]}}", "deployments.a/b.tolerations[0]: the text x"),
        ("inferenceservice: {ingress: 3}", "inferenceservice.ingress: the number 3"),
        ("inferenceservice: {ingress: '{'}", "inferenceservice.ingress: the text is not JSON"),
        ("labels: {'a b': c}", "labels.a b: the key is not a label name"),
        ("labels: {a: 'c d'}", "labels.a: the text c d"),
        ("patches: [{target: {kind: A, name: b}}]", "patches[0].patch: missing"),
        ("patches: [{target: {kind: A}, patch: []}]", "patches[0].target.name: missing"),
        ("patches: [{target: {kind: A, name: b}, patch: []}]", "patches[0].patch: the list is"),
        ("origins: {}", "origins: unknown key"),
        ("labels: {a: b}\nlabels: {a: c}", "line 4, column 1: the key labels is there twice"),
        ("labels: " + "[" * 200_000, "nested too deeply"),
        ("labels: [", "line 4, column 1: did not find expected node content"),
    ],
)
def test_each_mistake_is_named_with_its_path(body: str, problem: str) -> None:
    found = problems(body + "\n")

    assert len(found) == 1
    assert found[0].startswith("0.yaml: ")
    if not body.endswith("["):
        assert problem in found[0]


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ("{op: ad, path: /x, value: 1}", "op: the text ad; expected one of add, replace"),
        ("{op: add, path: /x}", "value: missing"),
        ("{op: move, path: /x}", "from: missing"),
        ("{op: remove, path: x}", "path: the text x; expected a JSON pointer"),
        ("{}", "op: nothing"),
    ],
)
def test_patch_operations_are_checked_before_anything_runs(operation: str, problem: str) -> None:
    body = f"patches: [{{target: {{kind: A, name: b}}, patch: [{operation}]}}]\n"

    assert problems(body)[0].startswith(f"0.yaml: patches[0].patch[0].{problem}")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "nothing; expected a mapping with kind: Settings"),
        ("[]", "a list"),
        ("kind: Settings", "apiVersion: missing; expected kserve-installer/v1"),
        ("apiVersion: kserve-installer/v2\nkind: Settings", "the text kserve-installer/v2"),
        ("apiVersion: kserve-installer/v1\nkind: Secret", "kind: the text Secret"),
    ],
)
def test_another_document_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match="problem") as caught:
        parse([("s.yaml", text)])

    assert problem in str(caught.value.problems[0])


def test_later_files_win_and_lists_add_up() -> None:
    found = settings(
        "gateway: {type: NodePort, nodePorts: {http2: 31380}}\n"
        "inferenceservice: {ingress: {a: x, b: x}}\nexternal: [istio]\n",
        "gateway: {nodePorts: {https: 31390}}\n"
        "inferenceservice: {ingress: {b: null}}\nexternal: [cert-manager]\n",
    )

    assert found.gateway == Gateway("NodePort", {"http2": 31380, "https": 31390})
    assert found.inferenceservice == {"ingress": {"a": "x", "b": None}}
    assert found.external == ("istio", "cert-manager")


def test_files_that_only_together_make_no_sense_are_refused() -> None:
    found = problems("gateway: {nodePorts: {http2: 31380}}\n", "gateway: {type: ClusterIP}\n")

    assert found[0].startswith("1.yaml: gateway: a Service of type ClusterIP")


def test_the_order_of_keys_does_not_change_the_digest() -> None:
    one = settings("labels: {a: b, c: d}\ndomain: example.com\n")
    other = settings("domain: example.com\nlabels: {c: d, a: b}\n")

    assert one.digest() == other.digest() != settings("domain: example.org\n").digest()


def test_values_of_patches_are_not_repeated_in_problems() -> None:
    body = "patches: [{target: {kind: Secret, name: b}, patch: [{op: add, value: hunter2}]}]\n"

    assert "hunter2" not in " ".join(problems(body))


def test_a_component_that_the_release_has_not_is_answered_with_the_near_one() -> None:
    with pytest.raises(InvalidInput) as caught:
        settings("external: [cert-manger]\n").check_components(["istio", "cert-manager"])

    assert str(caught.value.problems[0]) == (
        "0.yaml: external[0]: the release has no component 'cert-manger'; "
        "expected cert-manager? There are istio, cert-manager"
    )
