"""`rbac`: prints the rights that a release takes."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING

from installer.cli.interrupts import Interrupts
from installer.cli.session import again, without_looks
from installer.core.cancel import Cancel
from installer.core.errors import ExitCode, UsageError
from installer.core.events import silent

if TYPE_CHECKING:
    from installer.operations.rbac import Rbac

_PLACEHOLDER = "NAME-OF-THE-USER"


def rbac(args: Namespace) -> int:
    """`rbac RELEASE`: roles for install, status and uninstall on stdout."""
    from installer.cli.documents import document
    from installer.cli.options import install_options
    from installer.operations.choice import choose
    from installer.operations.rbac import rbac as find
    from installer.preflight.rbac import subject

    kind, name = _subject(args)
    if args.no_backup and not args.origin:
        raise UsageError("--no-backup is about upgrades: give --from RELEASE with it", kind="usage")
    choice = choose(install_options(args))
    cancel = Cancel()
    with Interrupts(cancel):
        found = find(
            choice,
            subject(kind, name),
            silent,
            cancel,
            custom_resources=args.delete_custom_resources,
            origin=args.origin or "",
            backup=not args.no_backup,
        )
    if args.output == "json":
        sys.stdout.write(document(found.to_dict(), "json"))
    elif args.output == "text":
        sys.stdout.write("".join(f"{line}\n" for line in _lines(found)))
    else:
        import yaml

        about = _about(found, kind, name, args)
        sys.stdout.write("".join(f"# {line}".rstrip() + "\n" for line in about))
        sys.stdout.write(yaml.safe_dump_all(found.documents, sort_keys=False))
    return ExitCode.DONE


def _subject(args: Namespace) -> tuple[str, str]:
    given = [
        (kind, value)
        for kind, value in (
            ("User", args.user),
            ("Group", args.group),
            ("ServiceAccount", args.service_account),
        )
        if value
    ]
    if len(given) > 1:
        raise UsageError(
            "a binding is made for one subject: give one of --user, --group, --service-account",
            kind="usage",
        )
    if given and given[0][0] == "ServiceAccount" and "/" not in given[0][1]:
        raise UsageError(
            f"{given[0][1]!r} is not a ServiceAccount such as NAMESPACE/NAME", kind="usage"
        )
    return given[0] if given else ("User", _PLACEHOLDER)


def _about(found: Rbac, kind: str, name: str, args: Namespace) -> Iterator[str]:
    if found.origin:
        yield f"Rights to upgrade from {found.origin} to {found.release} and to go back,"
        yield "to install, watch and remove both, and nothing else."
    else:
        yield f"Rights to install, watch and remove {found.release}, and nothing else."
    yield ""
    if name == _PLACEHOLDER:
        yield f"Write the user into the bindings instead of {_PLACEHOLDER}, or run this again with"
        yield "--user, --group or --service-account. An administrator applies it, for instance:"
    else:
        yield f"For {kind} {name}. An administrator applies it, for instance:"
    yield f"  {again(args.program, without_looks(args.words))} | kubectl apply -f -"
    yield ""
    yield from _places(found)
    yield from _CAVEATS
    if found.origin:
        yield from _ON_THE_WAY
    if found.moves:
        yield from _MOVING


def _places(found: Rbac) -> Iterator[str]:
    from installer.preflight.rbac import revocation

    yield "A Role needs its namespace. Make those that are not there yet, before that:"
    yield from (f"  kubectl create namespace {each}" for each in found.namespaces)
    yield "They are not in this list on purpose: deleting them would delete the stack and what the"
    yield "installer knows of it. Uninstall leaves namespaces that were there before the install."
    yield ""
    yield "To take the rights away again, and nothing else:"
    yield f"  {revocation()}"
    yield ""


_CAVEATS = (
    "escalate and bind: Kubernetes lets nobody write a role that gives more than they hold.",
    "The roles of this release are broad, and to hold all their rules would be broader still, so",
    "these two verbs are given on exactly these roles. Who has them can write any rule into a",
    "role of these names: hand this out as you would hand out what the stack itself may do.",
    "",
    "Not included: what preflight reads to judge a cluster from other sides (nodes, quotas, other",
    "namespaces). Without it those checks say that they could not look, and an install goes on.",
    "--delete-custom-resources adds what uninstall takes to remove what users made.",
)
_ON_THE_WAY = (
    "",
    "The way writes custom resources of users in all namespaces, as they are, where a version that",
    "they are stored at goes. Its backup reads their Secrets: with --no-backup, here and at the",
    "upgrade, that right is not in the list.",
)
_MOVING = (
    "",
    "On this way InferenceServices go to another API group, and what they own to the new ones:",
    "hence patch on Services, Deployments and the like, and on Secrets (their annotations). Where",
    "the API server runs the admission plugin OwnerReferencesPermissionEnforcement, add by hand:",
    "delete on these kinds, and update on inferenceservices/finalizers of both groups.",
)


def _lines(found: Rbac) -> Iterator[str]:
    from installer.cli.terminal import table

    rows = [["NAMESPACE", "RESOURCE", "NAMES", "VERBS"]]
    for role in found.documents:
        for rule in role.get("rules") or []:
            group = rule["apiGroups"][0]
            resources = [f"{r}.{group}" if group else r for r in rule["resources"]]
            names = rule.get("resourceNames") or ["*"]
            rows.append(
                [
                    role["metadata"].get("namespace") or "*",
                    _short(resources),
                    _short(names),
                    ",".join(rule["verbs"]),
                ]
            )
    yield from table(rows, indent=0)
    yield ""
    yield f"{len(found.rights)} rights; -o yaml prints them as roles to apply"
    yield f"namespaces that must be there first: {', '.join(found.namespaces)}"


def _short(words: list[str]) -> str:
    return ",".join(words) if len(words) <= 2 else f"{words[0]},… ({len(words)})"
