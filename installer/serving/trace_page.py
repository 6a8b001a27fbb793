"""One picture of a trace: paths as rows of stations, the tree beneath. Self-contained HTML."""

from __future__ import annotations

from collections.abc import Sequence

from installer.serving.hops import Hop, Path, Verdict
from installer.serving.page import element, page, text
from installer.serving.tree import Node, age_text

_LOOKS: dict[Verdict, tuple[str, str]] = {
    "ok": ("good", "✔"),
    "note": ("good", "✔"),
    "warning": ("warn", "‼"),
    "unknown": ("warn", "?"),
    "follows": ("idle", "·"),
    "starting": ("warn", "…"),
    "broken": ("bad", "✘"),
}
_STATES = {
    "ready": ("good", "✔"),
    "failed": ("bad", "✘"),
    "terminating": ("warn", "…"),
    "progressing": ("warn", "…"),
}
_STYLE = """
ol.path { list-style: none; margin: 0; padding: 0; display: grid; gap: .6rem 1.7rem;
  grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); }
ol.path li { position: relative; padding: .5rem .7rem;
  background: var(--card); border: 1px solid var(--line); border-left-width: 4px;
  border-radius: 6px; overflow-wrap: anywhere; }
ol.path li:not(:last-child)::after { content: "→"; position: absolute; right: -1.4rem; top: .5rem;
  color: var(--quiet); }
ol.path li.good { border-left-color: var(--good); }
ol.path li.warn { border-left-color: var(--warn); }
ol.path li.idle { border-left-color: var(--idle); border-style: dashed; }
ol.path li.bad { border-color: var(--bad); }
ol.path li { color: var(--ink); } ol.path .name { font-weight: 600; }
ol.path .object { color: var(--quiet); font-size: .85em; } ol.path .says { font-size: .92em; }
ul.tree, ul.tree ul { list-style: none; margin: 0; padding-left: 1.25rem; }
ul.tree { padding-left: 0; } ul.tree ul { border-left: 1px solid var(--line); margin-left: .45rem; }
ul.tree li { padding: .1rem 0; overflow-wrap: anywhere; }
"""


def trace_page(
    title: str, facts: Sequence[tuple[str, str]], tree: Node, paths: Sequence[Path]
) -> str:
    """The document. facts: rows of its head, (label, text)."""
    rows = "".join(
        element("tr", element("th", text(label)) + element("td", text(value)))
        for label, value in facts
    )
    body = [element("h1", text(title)), element("div", element("table", rows), css="card")]
    for found in paths:
        said = f"A request from {found.start}" + (f" to {found.host}" if found.host else "")
        body.append(element("h2", text(said)))
        broken = found.first_broken
        if broken is not None:
            body.append(_blame(broken))
        body.append(element("ol", "".join(map(_station, found.hops)), css="path"))
    body.append(element("h2", "What it made"))
    branches = element("ul", _branch(tree), css="tree")
    body.append(element("div", branches, css="card"))
    return page(title, "\n".join(body), style=_STYLE)


def _blame(broken: Hop) -> str:
    said = f"The first broken link: {broken.object} {broken.says}."
    remedy = element("p", text(f"What to do: {broken.remedy}")) if broken.remedy else ""
    return element("p", text(said), css="bad") + remedy


def _station(found: Hop) -> str:
    css, sign = _LOOKS[found.verdict]
    return element(
        "li",
        element("div", element("span", sign, css=css) + f" {text(found.kind)}", css="name")
        + element("div", text(found.object), css="object")
        + element("div", text(found.says), css="says"),
        css=css,
    )


def _branch(node: Node) -> str:
    css, sign = _STATES.get(node.state, ("idle", "?"))
    age = f"{age_text(node.seconds)} old" if node.seconds is not None else ""
    more = [part for part in (age, node.note, node.reason, node.message) if part]
    quiet = element("span", text("; ".join(more)), css="quiet") if more else ""
    kind = f"{node.ref.kind} {node.ref.name}"
    group = element("span", text(node.ref.group), css="quiet") if node.ref.group else ""
    line = f"{element('span', sign, css=css)} {text(kind)} {group} {quiet}"
    below = "".join(map(_branch, node.children))
    return element("li", line + (element("ul", below) if below else ""))
