"""sandbox up, down, status."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from installer.cli.documents import document
from installer.cli.interrupts import Interrupts
from installer.cli.session import plain
from installer.cli.terminal import table
from installer.core.cancel import Cancel
from installer.core.errors import ExitCode

if TYPE_CHECKING:
    from installer.sandbox.options import SandboxInfo


def up(args: Namespace) -> int:
    """`sandbox up`: starts one, or finds it running, and prints where it is."""
    from installer.sandbox import lifecycle
    from installer.sandbox.shape import read_shape

    options = lifecycle.SandboxOptions(
        name=args.name,
        kubernetes=args.kubernetes,
        nodes=args.nodes,
        audit_log=Path(args.audit_log) if args.audit_log else None,
        control_plane=Path(args.control_plane) if args.control_plane else None,
        shape=read_shape(Path(args.shape)) if args.shape else (),
    )
    cancel = Cancel()
    with Interrupts(cancel):
        info = lifecycle.up(options, plain(args), cancel)
    if args.output == "json":
        sys.stdout.write(document(info.to_dict(), "json"))
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _described(info, args.program)))
    return ExitCode.DONE


def down(args: Namespace) -> int:
    """`sandbox down`: stops one; leaves no process and no file."""
    from installer.sandbox import lifecycle

    was_there = lifecycle.down(args.name)
    if args.output == "json":
        sys.stdout.write(document({"name": args.name, "removed": was_there}, "json"))
    else:
        told = "is down" if was_there else "was not there"
        sys.stderr.write(f"sandbox {args.name} {told}\n")
    return ExitCode.DONE


def status(args: Namespace) -> int:
    """`sandbox status`: every sandbox, crashed ones included."""
    from installer.sandbox import lifecycle

    found = [info.to_dict() for info in lifecycle.status(None)]
    if args.output == "json":
        sys.stdout.write(document(found, "json"))
        return ExitCode.DONE
    if not found:
        sys.stderr.write("there is no sandbox\n")
        return ExitCode.DONE
    columns = ("name", "status", "kubernetes", "nodes", "server", "kubeconfig")
    rows = [list(columns), *[[str(info[column]) for column in columns] for info in found]]
    problems = [f"{info['name']}: {problem}" for info in found for problem in info["problems"]]
    sys.stdout.write("".join(f"{line}\n" for line in [*table(rows, indent=0), *problems]))
    return ExitCode.DONE


def _described(info: SandboxInfo, program: str) -> list[str]:
    how = "started" if info.started else "was running already"
    rows = [
        ["sandbox", f"{info.name} ({how}; nodes, pods, webhooks and models are simulated)"],
        ["kubernetes", f"{info.kubernetes}, {info.server}"],
        ["kubeconfig", str(info.kubeconfig)],
        ["gateway", info.gateway],
        ["audit log", str(info.audit_log or "")],
    ]
    target = f"--kubeconfig {shlex.quote(str(info.kubeconfig))}"
    name = "" if info.name == "default" else f" --name {info.name}"
    return [
        *table([row for row in rows if row[1]], indent=0),
        "",
        "next:",
        f"  {program} install kfserving-0.5.1 {target}",
        f"  {program} sandbox down{name}",
    ]
