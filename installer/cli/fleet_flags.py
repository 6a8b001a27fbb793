"""The flags of `fleet`. Standard library only."""

from __future__ import annotations

import argparse
import re

from installer.cli.parser import Parser
from installer.fleet.model import WRITING

COMMANDS = {
    "preflight": "Check whether its release can be installed on each cluster; write nothing.",
    "plan": "Show what an install would change on each cluster; write nothing.",
    "install": "Install its release on each cluster, canary clusters first.",
    "upgrade": "Go to its release on each cluster, hop by hop, canary clusters first.",
    "backup": "Write what users of each cluster have made and edited into a file for each.",
    "verify": "Prove on each cluster that it serves: a sample model must answer.",
    "status": "Show what is installed on each cluster, and whether it is ready.",
    "uninstall": "Remove what was installed from each cluster, canary clusters first.",
}


def share(text: str) -> str:
    """How many clusters: `2`, or `25%` of them."""
    if not re.fullmatch(r"[1-9]\d*|(?:[1-9]\d?|100)%", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1, nor a share as 25%")
    return text


def percent(text: str) -> int:
    """Per cent, `25%` or `25`."""
    if not re.fullmatch(r"(?:\d\d?|100)%?", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0% to 100%")
    return int(text.rstrip("%"))


def fleet_flags(parser: Parser, command: str) -> None:
    """What `fleet COMMAND` takes."""
    text = "inventory as Ansible takes it; may be given several times (see inventory.example)"
    parser.add_argument(
        "-i", "--inventory", metavar="INVENTORY", action="append", required=True, help=text
    )
    group = parser.add_argument_group("which clusters, in which order")
    text = "only the clusters of this pattern, as Ansible has them, e.g. production,!west"
    group.add_argument("--limit", metavar="PATTERN", default="", help=text)
    text = "at most so many at a time, a number or a share of all (default: 100%%)"
    group.add_argument("--serial", metavar="N|N%", type=share, default="100%", help=text)
    text = "only what the newest run of this command on this inventory left undone"
    group.add_argument("--resume", action="store_true", help=text)
    if command in WRITING:
        text = "this group comes first; unless all of it goes well nothing else begins "
        text += "(default: canary)"
        group.add_argument("--canary", metavar="GROUP", default="canary", help=text)
        text = "share of a batch that may fail before no other batch begins (default: 0%%)"
        group.add_argument("--max-fail", metavar="N%", type=percent, default=0, help=text)
        text = "say what would be changed; write nothing"
        parser.add_argument("--check", action="store_true", help=text)
        text = "do not ask before the first write"
        parser.add_argument("-y", "--yes", action="store_true", help=text)
    if command == "plan" or command in WRITING:
        text = "show what differs, object by object"
        parser.add_argument("--diff", action="store_true", help=text)
    text = "file with the password of the vault, as ansible-playbook has it"
    parser.add_argument("--vault-password-file", metavar="FILE", help=text)
