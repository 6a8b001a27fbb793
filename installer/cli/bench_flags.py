"""Flags of `bench`: hey's own, by hey's names, and ours. Standard library only until it runs."""

from __future__ import annotations

import argparse
import math
from argparse import Namespace
from typing import TYPE_CHECKING

from installer.cli.parser import Parser, duration, positive
from installer.core.errors import UsageError

if TYPE_CHECKING:
    from installer.load.shape import Load, Stage
    from installer.operations.bench_request import Wanted
    from installer.serving.bench.slo import Limit

_SECONDS = 30.0
_WORKERS = 50
_TIMEOUT = 20.0


def bench_flags(parser: Parser) -> None:
    """How much load, of which requests, and what is thought of it."""
    group = parser.add_argument_group("load (as hey's options)")
    text = "how long to send (default: 30s, unless -n or --stages is given)"
    group.add_argument("-z", metavar="DURATION", dest="span", type=duration, help=text)
    text = "requests at a time; with --rate the most connections (default: 50; 512)"
    group.add_argument("-c", metavar="N", dest="workers", type=positive, help=text)
    text = "end after so many requests"
    group.add_argument("-n", metavar="N", dest="requests", type=positive, help=text)
    text = "requests a second of each worker at the most"
    group.add_argument("-q", metavar="RATE", dest="per_worker", type=_rate, default=0.0, help=text)
    text = "limit for one request, in seconds or as 20s (default: 20)"
    group.add_argument("-t", metavar="SECONDS", dest="limit", type=_seconds, help=text)
    text = "a new connection for each request"
    names = ("-disable-keepalive", "--disable-keepalive")
    group.add_argument(*names, dest="keep_alive", action="store_false", help=text)
    text = "requests a second on a schedule, whatever is answered; latency counts from the schedule"
    group.add_argument("--rate", metavar="R", type=_rate, help=text)
    text = "load in stages: 5x30s,25x30s at a time, or 50/sx30s,200/sx30s a second"
    group.add_argument("--stages", metavar="STAGES", help=text)
    text = "send the first stage's load for so long before anything counts"
    group.add_argument("--warm-up", metavar="DURATION", type=duration, default=0.0, help=text)

    group = parser.add_argument_group(
        "request (default: the model's state; with a body a prediction)"
    )
    group.add_argument("-m", metavar="METHOD", dest="method", default="", help="GET, POST, …")
    body = group.add_mutually_exclusive_group()
    body.add_argument("-d", metavar="BODY", dest="body", help="the body")
    body.add_argument("-D", metavar="FILE", dest="body_file", help="the body, from a file")
    text = "its Content-Type (default: application/json)"
    group.add_argument(
        "-T", metavar="TYPE", dest="content_type", default="application/json", help=text
    )
    text = "Host header (default: that of the InferenceService's address)"
    group.add_argument("-host", "--host", metavar="NAME", dest="host", default="", help=text)
    group.add_argument("--path", metavar="PATH", default="", help="another path")
    text = "send there instead of looking for a way in; it must be this cluster's gateway"
    group.add_argument("--address", metavar="HOST:PORT", default="", help=text)
    text = "send to --address although it is not this cluster's gateway"
    group.add_argument("--yes-really", action="store_true", help=text)

    group = parser.add_argument_group("verdict")
    text = "limits, e.g. p99=300ms,errors=0.1%%,scale-up=20s; exit 3 when one is not kept"
    group.add_argument("--slo", metavar="LIMITS", default="", help=text)
    text = "wait until pods are back at the minimum (default)"
    action = argparse.BooleanOptionalAction
    group.add_argument("--wait-down", action=action, default=True, help=text)
    text = "how long to wait for that (default: what the autoscaler's settings imply)"
    group.add_argument("--down-timeout", metavar="DURATION", type=duration, help=text)
    text = "also write one self-contained report with plots to this file"
    group.add_argument("--html", metavar="FILE", help=text)


def wanted(args: Namespace) -> Wanted:
    """What the flags ask for; a file is read. Raises UsageError with what does not fit together."""
    from installer.cli.files import read_bytes
    from installer.operations.bench_request import Wanted, split_address

    if args.address:
        split_address(args.address)
    elif args.yes_really:
        raise _wrong("--yes-really means nothing without --address")
    if args.path and not args.path.startswith("/"):
        raise _wrong(f"--path {args.path!r} does not begin with /")
    body = read_bytes(args.body_file) if args.body_file else (args.body or "").encode()
    return Wanted(
        load=_load(args),
        method=args.method.upper(),
        path=args.path,
        body=body,
        content_type=args.content_type,
        host=args.host,
        address=args.address,
        foreign=args.yes_really,
        wait_down=args.wait_down,
        down_limit=args.down_timeout,
        limits=_limits(args.slo),
    )


def _load(args: Namespace) -> Load:
    from installer.load.shape import MOST_OPEN, Load

    stages = _stages(args)
    is_open = bool(stages[0].rate)
    if is_open and args.per_worker:
        raise _wrong("-q limits workers, and a rate has none: leave one out")
    return Load(
        stages,
        args.warm_up,
        args.requests if args.requests and not args.span and not args.stages else 0,
        args.per_worker,
        args.limit or _TIMEOUT,
        args.keep_alive,
        (args.workers or MOST_OPEN) if is_open else MOST_OPEN,
    )


def _stages(args: Namespace) -> tuple[Stage, ...]:
    from installer.load.shape import Stage, parse_stages

    if args.stages:
        others = {"-z": args.span, "-n": args.requests, "--rate": args.rate}
        both = [name for name, value in others.items() if value]
        if both:
            raise _wrong(f"--stages says how much and how long: leave out {', '.join(both)}")
        try:
            return parse_stages(args.stages)
        except ValueError as error:
            raise _wrong(f"--stages: {error}") from error
    seconds = args.span or (math.inf if args.requests else _SECONDS)
    if args.rate:
        return (Stage(seconds, rate=args.rate),)
    return (Stage(seconds, args.workers or _WORKERS),)


def _limits(text: str) -> tuple[Limit, ...]:
    from installer.serving.bench.slo import parse_limits

    if not text:
        return ()
    try:
        return parse_limits(text)
    except ValueError as error:
        raise _wrong(f"--slo: {error}") from error


def _wrong(says: str) -> UsageError:
    return UsageError(says, kind="usage", remedy="see: kserve-installer bench --help")


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _seconds(text: str) -> float:
    """Seconds of `20`, as hey has them, or of `20s`."""
    return duration(f"{text}s" if text.replace(".", "", 1).isdecimal() else text)
