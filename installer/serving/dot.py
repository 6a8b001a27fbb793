"""A trace as a graph for Graphviz: the tree of objects, and the paths through it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from installer.serving.hops import Path
from installer.serving.tree import Node

_COLOURS = {"ready": "#1a7f45", "failed": "#c22f2f", "progressing": "#9a6200"}
_STYLES = {"owner": "solid", "name": "dotted", "label": "dotted", "refers": "dashed"}
_VERDICTS = {"ok": "#1a7f45", "note": "#1a7f45", "broken": "#c22f2f", "follows": "#6b7580"}


def dot(tree: Node, paths: Sequence[Path]) -> str:
    """A digraph: one cluster for the tree, one for each path."""
    lines = ["digraph trace {", '  rankdir="LR"; node [shape=box fontname="sans-serif"];']
    lines += ["  subgraph cluster_tree {", '    label="objects";']
    lines += [f"    {line}" for line in _tree(tree)]
    lines.append("  }")
    for index, found in enumerate(paths):
        lines += [f"  subgraph cluster_path_{index} {{", f"    label={_quoted(_title(found))};"]
        lines += [f"    {line}" for line in _path(found, index)]
        lines.append("  }")
    return "\n".join([*lines, "}", ""])


def _title(found: Path) -> str:
    return f"a request from {found.start}"


def _tree(node: Node) -> Iterator[str]:
    name = _quoted("/".join(node.ref.identity))
    label = f"{node.ref.kind}\n{node.ref.name}" + (f"\n{node.note}" if node.note else "")
    colour = _COLOURS.get(node.state, "#6b7580")
    yield f"{name} [label={_quoted(label)} color={_quoted(colour)}];"
    for child in node.children:
        style = _STYLES.get(child.relation, "solid")
        yield f"{name} -> {_quoted('/'.join(child.ref.identity))} [style={style}];"
        yield from _tree(child)


def _path(found: Path, index: int) -> Iterator[str]:
    for number, hop in enumerate(found.hops):
        colour = _VERDICTS.get(hop.verdict, "#9a6200")
        label = f"{hop.kind}\n{hop.object}"
        yield f"p{index}_{number} [label={_quoted(label)} color={_quoted(colour)}];"
        if number:
            yield f"p{index}_{number - 1} -> p{index}_{number};"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
