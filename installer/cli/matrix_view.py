"""The compatibility matrix of a cluster as text."""

from __future__ import annotations

from collections.abc import Iterator

from installer.cli.terminal import Terminal
from installer.core.words import plural
from installer.operations.matrix import Matrix, Row, span

_LOOKS = {"yes": ("holds", "green"), "findings": ("warn", "yellow"), "no": ("broken", "red")}
_SHOWN = 3


def lines(matrix: Matrix, terminal: Terminal, *, verbose: bool) -> Iterator[str]:
    """One line per release, and under it what speaks against it; verbose: all of it, with
    remedies."""
    identity = matrix.identity
    yield f"{identity.context} ({identity.server}) is Kubernetes {identity.git_version}"
    yield ""
    width = max((len(row.release.name) for row in matrix.rows), default=0)
    spans = max((len(span(row.release.kubernetes)) for row in matrix.rows), default=0)
    for row in matrix.rows:
        yield from _row(row, terminal, width, spans, verbose=verbose)
    good = sum(row.answer != "no" for row in matrix.rows)
    yield ""
    yield f"{good} of {plural(len(matrix.rows), 'release')} can be installed here"
    yield from _unseen(matrix, verbose=verbose)


def _unseen(matrix: Matrix, *, verbose: bool) -> Iterator[str]:
    """Releases whose objects could not be had; verbose: why, for each."""
    alone = "Judged by the catalog alone, without their objects:"
    unseen = {row.unseen: row.release.name for row in matrix.rows if row.unseen}
    if len(unseen) > 1 and not verbose:
        named = ", ".join(row.release.name for row in matrix.rows if row.unseen)
        yield f"{alone} {named}; -v says which files are not at hand"
        return
    for why in sorted(unseen):
        named = ", ".join(row.release.name for row in matrix.rows if row.unseen == why)
        yield f"{alone} {named}: {why}"


def _row(row: Row, terminal: Terminal, width: int, spans: int, *, verbose: bool) -> Iterator[str]:
    icon, colour = _LOOKS[row.answer]
    said = {
        "yes": "installable",
        "findings": f"installable, with {plural(len(row.reasons), 'finding')}",
        "no": "not installable",
    }[row.answer]
    if row.installed:
        said = f"installed here; {said}"
    range_ = f"Kubernetes {span(row.release.kubernetes):{spans}}"
    line = f"{terminal.icon(icon)} {row.release.name:{width}}  {range_}  {said}"
    yield terminal.paint(line, colour)
    if row.blocked:
        yield f"    {row.blocked}"
    shown = row.reasons if verbose else row.reasons[:_SHOWN]
    for finding, detail in shown:
        yield f"    {finding.check}: {detail.reason}"
        if verbose and detail.remedy:
            yield f"      {detail.remedy}"
    if len(shown) < len(row.reasons):
        more = plural(len(row.reasons) - len(shown), "more finding")
        yield f"    and {more}; -v shows all"
