"""`verify`: has a model answer, and says which link is broken when it does not."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from installer.cli.contact import connect
from installer.cli.files import read_bytes
from installer.cli.serving_flags import asking
from installer.cli.session import Session
from installer.core.errors import UsageError

if TYPE_CHECKING:
    from installer.operations.verify import Options


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
    from installer.operations.verify_answer import Question
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
