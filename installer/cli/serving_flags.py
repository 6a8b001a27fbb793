"""`verify`, `trace`, `autoscaling` and `bench`: they look at InferenceServices and ask them.

Standard library only until one of them runs.
"""

from __future__ import annotations

import argparse
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from installer.cli.bench_flags import bench_flags
from installer.cli.command import command
from installer.cli.parser import Parser, duration, positive
from installer.cli.shared_flags import cluster_flags, timeout_flag
from installer.core.errors import UsageError

if TYPE_CHECKING:
    from installer.operations.asking import Asking


def verify(commands: Any) -> None:
    """`verify`."""
    text = "Prove that what is installed serves: a sample model must answer through the ingress."
    run = "installer.cli.verify_command:verify"
    parser = command(commands, "verify", run, text, "text|json")
    parser.set_defaults(events=True)
    _model_flags(parser)
    parser.add_argument("--keep", action="store_true", help="do not remove what was made")
    timeout_flag(parser, "10m")
    _request_flags(parser)
    cluster_flags(parser)


def trace(commands: Any) -> None:
    """`trace`."""
    text = "Show everything an InferenceService made, and follow a request through it."
    run = "installer.cli.trace_command:trace"
    parser = command(commands, "trace", run, text, "text|json|dot")
    _name_argument(parser)
    text = "also write one self-contained picture of tree and path to this file"
    parser.add_argument("--html", metavar="FILE", help=text)
    text = "send a real request too (default); it wakes what is scaled to zero"
    parser.add_argument("--request", action=argparse.BooleanOptionalAction, default=True, help=text)
    timeout_flag(parser, "1m")
    _request_flags(parser)
    cluster_flags(parser)


def autoscaling(commands: Any) -> None:
    """`autoscaling`."""
    text = "Show how an InferenceService scales: each setting in effect, and where it comes from."
    run = "installer.cli.autoscaling_command:autoscaling"
    parser = command(commands, "autoscaling", run, text, "text|json|yaml")
    _name_argument(parser)
    text = "also say how many pods so many requests at the same time would have"
    parser.add_argument("--concurrency", metavar="N", type=positive, help=text)
    cluster_flags(parser)


def bench(commands: Any) -> None:
    """`bench`."""
    text = "Send load to an InferenceService, and show how it answered and scaled."
    parser = command(commands, "bench", "installer.cli.bench_command:bench", text, "text|json|csv")
    _name_argument(parser)
    bench_flags(parser)
    _request_flags(parser, limit=False)
    cluster_flags(parser)


def _name_argument(parser: Parser) -> None:
    """The InferenceService."""
    text = "the InferenceService (namespace: the context's unless given)"
    parser.add_argument("name", metavar="[NAMESPACE/]NAME", help=text)


def _request_flags(parser: Parser, *, limit: bool = True) -> None:
    """How requests are sent. limit: with a flag for one request's time."""
    group = parser.add_argument_group("requests")
    text = "lb, nodeport or port-forward (default: the first that accepts connections)"
    ways = ("lb", "nodeport", "port-forward")
    group.add_argument("--via", metavar="WAY", choices=ways, help=text)
    text = "http or https (default: that of the InferenceService's address)"
    group.add_argument(
        "--scheme", metavar="SCHEME", choices=("http", "https"), default="", help=text
    )
    text = "send this header too, e.g. for authentication; never shown; may be repeated"
    group.add_argument(
        "-H", "--header", metavar="NAME: VALUE", action="append", default=[], help=text
    )
    text = "with https, accept any certificate"
    group.add_argument("--insecure", action="store_true", help=text)
    parser.set_defaults(request_timeout=30.0)
    if not limit:
        return
    text = "limit for one request (default: 30s)"
    group.add_argument(
        "--request-timeout", metavar="DURATION", type=duration, default=30.0, help=text
    )


def asking(args: Namespace) -> Asking:
    """What `_request_flags` were given. Raises UsageError for what is no header."""
    from installer.operations.asking import Asking

    return Asking(
        via=args.via,
        scheme=args.scheme,
        headers=dict(map(_header, args.header)),
        verify=not args.insecure,
        seconds=args.request_timeout,
    )


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or "\n" in text:
        raise UsageError("a header is written NAME: VALUE", kind="usage", object="-H")
    return name.strip(), value.strip()


def _model_flags(parser: Parser) -> None:
    """Which model `verify` asks, and for what."""
    group = parser.add_argument_group("which model (default: upstream's flowers sample)")
    which = group.add_mutually_exclusive_group()
    text = "a container image that answers predictions by itself"
    which.add_argument("--predictor-image", metavar="IMAGE", help=text)
    text = "another TensorFlow model"
    which.add_argument("--storage-uri", metavar="URI", help=text)
    text = "the InferenceService in this file"
    which.add_argument("--isvc", metavar="FILE", help=text)
    text = "one that exists; nothing is made and nothing removed"
    which.add_argument("--use", metavar="[NAMESPACE/]NAME", help=text)
    text = "what is sent to the model (default: the sample's input; with --use its state is asked)"
    group.add_argument("--data", metavar="FILE", help=text)
    text = "the answer must be this JSON (default: a prediction for each instance)"
    group.add_argument("--expect", metavar="FILE", help=text)
