"""bundle create, bundle inspect, images: for machines and clusters without a network."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installer.cli.documents import document
from installer.cli.interrupts import Interrupts
from installer.cli.session import reading
from installer.cli.terminal import size, table
from installer.core.cancel import Cancel
from installer.core.errors import ExitCode
from installer.core.words import plural

if TYPE_CHECKING:
    from installer.catalog.bundle import Bundle
    from installer.catalog.model import Catalog, Component
    from installer.operations.bundle import Inspection


def images(args: Namespace) -> int:
    """`images RELEASE`: one image a line on stdout, or by component as a document."""
    from installer.operations.bundle import wanted

    components = wanted(_catalog(args), args.releases, args.origin)
    if args.output != "text":
        found = [{"component": str(_name(c)), "images": list(c.images)} for c in components]
        sys.stdout.write(document(found, args.output))
        return ExitCode.DONE
    every = sorted({image for component in components for image in component.images})
    sys.stdout.write("".join(f"{image}\n" for image in every))
    return ExitCode.DONE


def create(args: Namespace) -> int:
    """`bundle create FILE RELEASE…`: writes the file; what is in it on stdout."""
    from installer.catalog import bundle
    from installer.cli.options import source_options
    from installer.operations.bundle import wanted

    components = wanted(_catalog(args), args.releases, args.origin)
    target, sources = Path(args.file), source_options(args)
    cancel = Cancel()
    with Interrupts(cancel):
        made = bundle.create(target, components, sources, reading(args), cancel)
    if args.output == "json":
        sys.stdout.write(document(_made(made, components), "json"))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _created(made, components, args)))
    return ExitCode.DONE


def inspect(args: Namespace) -> int:
    """`bundle inspect FILE [RELEASE…]`: what it holds on stdout; 3 when something is missing or
    damaged."""
    from installer.operations import bundle as operation

    catalog = _catalog(args)
    components = operation.wanted(catalog, args.releases, args.origin)
    cancel = Cancel()
    with Interrupts(cancel):
        found = operation.inspect(args.file, catalog, components, cancel)
    if args.output == "json":
        sys.stdout.write(document(_inspected(found), "json"))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _held(found, args)))
    return ExitCode.DONE if found.complete else ExitCode.CHECKS_FAILED


def _catalog(args: Namespace) -> Catalog:
    from installer.catalog.load import load

    return load(Path(args.catalog) if args.catalog else None)


def _name(component: Component) -> str:
    return f"{component.name} {component.version}"


def _made(made: Bundle, components: Sequence[Component]) -> dict[str, Any]:
    return {
        "file": str(made.file),
        "size": made.size,
        "sha256": made.sha256,
        "files": [{"path": path, "size": length} for path, length in made.files.items()],
        "components": [{"name": c.name, "version": c.version} for c in components],
    }


def _created(made: Bundle, components: Sequence[Component], args: Namespace) -> Iterator[str]:
    total = size(sum(made.files.values()))
    yield f"{made.file}: {size(made.size)}; {plural(len(made.files), 'file')} of {total} in it"
    yield f"sha256 {made.sha256}"
    yield ""
    yield from table([["component", "version"], *([c.name, c.version] for c in components)])
    yield ""
    yield "It holds manifests. The images that they name are listed by:"
    yield f"  {args.program} images {_asked(args)}"
    yield "Where there is no network:"
    verb = "upgrade" if args.origin else "install"
    yield f"  {args.program} {verb} {args.releases[-1]} --bundle {shlex.quote(str(made.file))}"


def _asked(args: Namespace) -> str:
    return " ".join(args.releases) + (f" --from {args.origin}" if args.origin else "")


def _inspected(found: Inspection) -> dict[str, Any]:
    return {
        "releases": list(found.releases),
        "missing": [{"source": str(item), "url": item.source.url} for item in found.missing],
        "damaged": [error.to_dict() for error in found.damaged],
    }


def _held(found: Inspection, args: Namespace) -> Iterator[str]:
    if found.releases:
        yield f"{args.file} holds all that these take:"
        yield from (f"  {name}" for name in found.releases)
    else:
        yield f"{args.file} holds no release whole"
    if args.releases and not found.missing:
        yield f"nothing is missing for {_asked(args)}"
    for item in found.missing:
        yield f"missing: {item}: {item.source.url}"
    for error in found.damaged:
        yield f"damaged: {error.message}"
