"""A trace as a page, as a graph and as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from recorded import RECORDINGS, activator, ingress_gateway, local_gateway, objects_of, scene_of

from installer.cli.terminal import Terminal
from installer.cli.trace_view import lines
from installer.operations.trace import TraceReport
from installer.serving import path
from installer.serving.dot import dot
from installer.serving.trace_page import trace_page
from installer.serving.tree import age_text, tree_of

_VOID = {"meta", "link"}


@pytest.fixture
def report(shared: Path) -> TraceReport:
    """Of a model that crashes."""
    objects = objects_of(shared / RECORDINGS / "inferenceservice" / "fail-crash-loop" / "objects")
    scene = scene_of([*objects, *ingress_gateway(), *local_gateway(), *activator()])
    return TraceReport(
        scene.service,
        tree_of(scene),
        path.outside(scene),
        path.inside(scene),
        scene.gateways,
        (),
        ("curl …",),
        "lab",
    )


class _Balance(HTMLParser):
    """Every element is closed, in order; what a page loads from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href") and v and "data:" not in v]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(report: TraceReport) -> None:
    found = trace_page(
        "a <b> title", [("cluster", "lab & co")], report.tree, [report.outside, report.inside]
    )
    balance = _Balance()
    balance.feed(found)
    assert (balance.open, balance.loads) == ([], [])
    assert "a &lt;b&gt; title" in found
    assert "prefers-color-scheme: dark" in found
    assert "told to crash" in found


def test_the_graph_has_every_object_and_every_hop(report: TraceReport) -> None:
    found = dot(report.tree, [report.outside, report.inside])
    for node in report.tree.walk():
        assert f'"{"/".join(node.ref.identity)}" [' in found
    assert len(re.findall(r"^ +p0_\d+ \[", found, re.MULTILINE)) == len(report.outside.hops)
    assert found.count("{") == found.count("}")


def test_the_text_ends_with_what_is_to_blame(report: TraceReport) -> None:
    shown = list(lines(report, Terminal(unicode=True)))
    assert shown[0].startswith(
        "InferenceService crash-loop/crash-loop (serving.kubeflow.org/v1beta"
    )
    assert any(line.startswith("├─ ") or line.startswith("└─ ") for line in shown)
    assert "told to crash" in shown[-2]
    assert shown[-1].startswith("  read why: kubectl logs")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, ""), (0.4, "0s"), (59, "59s"), (61, "1m"), (7300, "2h"), (90000, "1d")],
)
def test_ages_are_shown_in_their_largest_unit(seconds: float | None, shown: str) -> None:
    assert age_text(seconds) == shown
