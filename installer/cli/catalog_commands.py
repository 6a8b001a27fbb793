"""releases, catalog check, completion: what needs no cluster."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installer.cli.documents import document
from installer.cli.terminal import table
from installer.core.errors import ExitCode, UsageError
from installer.core.words import plural

if TYPE_CHECKING:
    from installer.catalog.model import Range, Release


def releases(args: Namespace) -> int:
    """`releases`: every release of the catalog on stdout."""
    from installer.catalog.load import load_releases

    found = list(load_releases(Path(args.catalog) if args.catalog else None).values())
    if args.output != "text":
        sys.stdout.write(document([_release(release) for release in found], args.output))
        return ExitCode.DONE
    rows = [["release", "date", "kubernetes", "components"]]
    for release in found:
        parts = ", ".join(f"{ref.name} {ref.version}" for ref in release.components)
        rows.append([release.name, release.date, _range(release.kubernetes), parts])
    sys.stdout.write("".join(f"{line}\n" for line in table(rows, indent=0)))
    return ExitCode.DONE


def _release(release: Release) -> dict[str, Any]:
    return {
        "name": release.name,
        "title": release.title,
        "date": release.date,
        "kubernetes": {
            "min": release.kubernetes.min.version if release.kubernetes.min else None,
            "max": release.kubernetes.max.version if release.kubernetes.max else None,
        },
        "components": [{"name": ref.name, "version": ref.version} for ref in release.components],
        "serving": {"group": release.serving.group, "versions": list(release.serving.versions)},
        "reachable_from": list(release.reachable_from),
    }


def _range(span: Range) -> str:
    low = span.min.version if span.min else ""
    high = span.max.version if span.max else ""
    if low and high:
        return f"{low} to {high}"
    return f"{low} and later" if low else (f"up to {high}" if high else "any")


def check(args: Namespace) -> int:
    """`catalog check`: every problem on stdout; 3 when there is one."""
    from installer.catalog.check import check as problems_of

    directory = _folder(args.directory)
    problems = [str(problem) for problem in problems_of(directory, _folder(args.mirror))]
    code = ExitCode.CHECKS_FAILED if problems else ExitCode.DONE
    if args.output == "json":
        sys.stdout.write(document({"problems": problems, "exit_code": int(code)}, "json"))
    else:
        said = plural(len(problems), "problem") if problems else "no problems"
        sys.stdout.write("".join(f"{line}\n" for line in [*problems, said]))
    return code


def _folder(name: str | None) -> Path | None:
    if name is None:
        return None
    if not Path(name).is_dir():
        raise UsageError("there is no such folder", kind="not-found", object=name)
    return Path(name)


def completion(args: Namespace) -> int:
    """`completion SHELL`: a script on stdout."""
    import shtab

    from installer.cli.commands import build

    sys.stdout.write(shtab.complete(build(), shell=args.shell) + "\n")
    return ExitCode.DONE
