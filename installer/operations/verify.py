"""`verify`: proof that what is installed serves, by a prediction through the ingress."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.cancel import Cancel
from installer.core.checks import Detail, Finding, counts, failed, note, unknown
from installer.core.errors import ChecksFailed, InstallerError
from installer.core.events import Emit, Event
from installer.core.objects import Object, Ref, dig
from installer.operations import temporary
from installer.operations.asking import Asking
from installer.operations.verify_answer import Answered, Question, compare, predict
from installer.operations.verify_installed import PAGE, check_installed
from installer.operations.verify_ready import Broken, await_ready
from installer.serving import inference_service
from installer.serving.inference_service import InferenceService
from installer.serving.samples import SAMPLE_INPUT, Wish, sample

SERVES = "a model serves"


@dataclass(frozen=True, slots=True)
class Options:
    """What the flags ask for.

    wish: the sample's predictor. own: an InferenceService of the user's to make instead, as
    decoded. use: `[NAMESPACE/]NAME` of one that exists, which nothing is done to. question: what
    is asked; its body None means the sample's own. keep: whether what was made stays.
    """

    wish: Wish = field(default_factory=Wish)
    own: Object | None = None
    use: str = ""
    question: Question = field(default_factory=lambda: Question(None))
    keep: bool = False
    asking: Asking = field(default_factory=Asking)


def verify(cluster: Cluster, options: Options, emit: Emit, cancel: Cancel) -> None:
    """Check what is installed, then have a model answer. Each check is told as an event.

    Raises ChecksFailed with the first thing that is wrong, NotReady when the model is not ready
    in time. What was made is removed again, also when interrupted, unless `keep`.
    """
    findings: list[Finding] = []
    try:
        for finding in _findings(cluster, options, emit, cancel):
            findings.append(finding)
            emit(Event("check", finding.to_dict()))
    finally:
        emit(Event("checked", counts(findings)))
    _refuse(findings)


def _refuse(findings: list[Finding]) -> None:
    bad = [(f, d) for f in findings for d in f.details if d.verdict == "failed"]
    if not bad:
        return
    finding, detail = bad[0]
    shown = detail.object and detail.object not in detail.reason
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    raise ChecksFailed(
        (f"{detail.object}: {detail.reason}" if shown else detail.reason) + more,
        kind=finding.check,
        object=detail.object,
        remedy=detail.remedy,
    )


def _findings(cluster: Cluster, options: Options, emit: Emit, cancel: Cancel) -> Iterator[Finding]:
    if options.use:
        service = inference_service.find(cluster, options.use)
        yield from check_installed(cluster, emit, cancel)
        yield from _served(cluster, service.ref, options.question, options.asking, emit, cancel)
        return
    versions = inference_service.served_versions(cluster)
    yield from check_installed(cluster, emit, cancel)
    if not versions:
        said = "this cluster serves no InferenceServices"
        remedy = "`kserve-installer releases` lists what can be installed"
        yield _finding("sample-admitted", _ADMITTED, 0.0, failed(said, remedy))
        return
    temporary.remove_stale(cluster, emit)
    question = options.question
    if question.body is None:
        question = replace(question, body=SAMPLE_INPUT)
    with temporary.namespace(cluster, emit, keep=options.keep) as place:
        wanted = _wanted(options, versions[0], place)
        ref, admitted = _admitted(cluster, wanted, emit)
        yield admitted
        if ref is None:
            return
        yield from _served(cluster, ref, question, options.asking, emit, cancel)
        if not options.keep:
            temporary.discard(cluster, ref, emit)


_ADMITTED = "an InferenceService is admitted"
_READY = "it becomes ready"
_ANSWERS = "a prediction comes back through the ingress"
_RIGHT = "the answer is right"


def _finding(check: str, sentence: str, began: float, *details: Detail) -> Finding:
    seconds = time.monotonic() - began if began else 0.0
    return Finding(check, SERVES, sentence, details, seconds, PAGE)


def _wanted(options: Options, api_version: str, namespace: str) -> Object:
    """What is made: the user's, moved into our namespace, or the sample."""
    if options.own is None:
        return sample(api_version, namespace, options.wish)
    metadata = {**dig(options.own, "metadata", default={}), "namespace": namespace}
    return {**options.own, "metadata": metadata}


def _admitted(cluster: Cluster, wanted: Object, emit: Emit) -> tuple[Ref | None, Finding]:
    began = time.monotonic()
    try:
        ref = temporary.make(cluster, wanted, emit)
    except ApiError as error:
        detail = failed(error.message, error.remedy, error.object)
        return None, _finding("sample-admitted", _ADMITTED, began, detail)
    said = note(f"{ref} ({ref.api_version})", str(ref))
    return ref, _finding("sample-admitted", _ADMITTED, began, said)


def _served(
    cluster: Cluster,
    ref: Ref,
    question: Question,
    asking: Asking,
    emit: Emit,
    cancel: Cancel,
) -> Iterator[Finding]:
    """Ready, answering, right: each as far as the one before holds."""
    began = time.monotonic()
    try:
        service = await_ready(cluster, ref, emit, cancel)
    except Broken as error:
        yield _finding("sample-ready", _READY, began, _blame(error))
        return
    yield _finding("sample-ready", _READY, began, note(f"at {service.host}", str(ref)))
    began = time.monotonic()
    if service.protocol == "grpc":
        said = "the model speaks gRPC (HTTP/2) only, and is not asked"
        remedy = f"ask it with a gRPC client for authority {service.host}"
        yield _finding("prediction", _ANSWERS, began, unknown(said, remedy, service.host))
        return
    try:
        answered = predict(cluster, service, question, asking, emit, cancel)
    except (Broken, InstallerError) as error:
        if not isinstance(error, Broken) and error.kind not in ("no-ingress", "no-gateway"):
            raise
        yield _finding("prediction", _ANSWERS, began, _blame(error))
        return
    yield _finding("prediction", _ANSWERS, began, *_told(service, answered))
    wrong = compare(question, answered)
    if wrong:
        remedy = "compare it with what the model answers by itself: see the line above"
        yield _finding("answer", _RIGHT, began, failed(wrong, remedy, service.host))
    elif question.body is not None:
        yield _finding("answer", _RIGHT, began, note(answered.reply.text[:300]))


def _blame(error: InstallerError) -> Detail:
    return failed(error.message, error.remedy, error.object, link=error.kind)


def _told(service: InferenceService, answered: Answered) -> Iterator[Detail]:
    milliseconds = answered.reply.seconds * 1000
    tries = f", on try {answered.tries}" if answered.tries > 1 else ""
    said = f"{answered.reply.status} after {milliseconds:.0f} ms by {answered.via}{tries}"
    curl = list(answered.curl)
    yield note(said, service.host, curl=curl, milliseconds=round(milliseconds, 1))
    for reason in answered.reasons:
        yield note(f"passed over: {reason}")
    for line in curl:
        yield note(line)
