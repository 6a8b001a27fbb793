"""`verify`: has a model answer, and says which link is broken when it does not."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from installer.cli.engines import connect
from installer.cli.serving_flags import asking
from installer.cli.session import Session
from installer.core.errors import UsageError

if TYPE_CHECKING:
    from installer.operations.verify import Options

_LIMIT = 16_000_000


def verify(args: Namespace) -> int:
    """`verify`."""
    return Session(args, "verify").run(_verify)


def _verify(session: Session) -> Mapping[str, Any]:
    from installer.operations import verify as operation

    options = _options(session.args)
    cluster, _ = connect(session, "")
    operation.verify(cluster, options, session.emit, session.cancel)
    return {}


def _options(args: Namespace) -> Options:
    """What the flags ask for; files are read before anything is done."""
    from installer.operations.verify import Options
    from installer.operations.verify_sample import Question
    from installer.serving.samples import Wish, read_inference_service

    expected = None
    if args.expect:
        try:
            expected = json.loads(read_bytes(args.expect))
        except ValueError as error:
            raise UsageError(
                f"is no JSON: {error}", kind="invalid-input", object=args.expect
            ) from error
    return Options(
        wish=Wish(args.predictor_image or "", args.storage_uri or ""),
        own=read_inference_service(args.isvc) if args.isvc else None,
        use=args.use or "",
        question=Question(read_bytes(args.data) if args.data else None, expected),
        keep=args.keep,
        asking=asking(args),
    )


def read_bytes(name: str) -> bytes:
    """A file that the user named. Raises UsageError where it cannot be read, or is too large."""
    try:
        with Path(name).open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise UsageError(
            f"the file cannot be read: {error.strerror}", kind="input", object=name
        ) from error
    if len(data) > _LIMIT:
        raise UsageError(f"the file has more than {_LIMIT} bytes", kind="input", object=name)
    return data
