"""The steps of a hop, in the order in which they are taken."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from installer.catalog.manifests import load_each
from installer.cluster.client import Cluster
from installer.cluster.errors import ApiError
from installer.core.errors import InstallerError
from installer.core.events import silent
from installer.core.objects import Object, ObjectId, Ref, ref_of
from installer.operations import upgrade_group
from installer.operations.backup import backup, file_name
from installer.operations.engine import Engine
from installer.operations.health import await_health
from installer.operations.preflight import check_first
from installer.operations.prepare import Prepared
from installer.operations.prune import prune
from installer.operations.rbac import rights_of_way
from installer.operations.stored_versions import check_stored, migrate
from installer.operations.telling import warning
from installer.operations.upgrade_hop import HopContext, Step
from installer.operations.upgrade_merge import check_edits, merge_edits
from installer.operations.upgrade_serving import await_serving, look
from installer.plan.drift import Decision
from installer.plan.hop import Hop, Versions
from installer.plan.pruning import routes
from installer.plan.stored import Versions as StoredVersions
from installer.plan.stored import versions_of
from installer.plan.transitions import cannot_be_asked, must_be_recreated
from installer.preflight.rights_needed import GIVING, Right
from installer.serving.inference_service import KIND, served_versions

SERVING = "serving"
"""The step that notes how InferenceServices are before anything changes."""
_CRD = "CustomResourceDefinition"
_PARALLEL = 8
_NAMED = 10


def steps_of(hop: Hop) -> list[Step]:
    """Every step of a hop.

    preflight, serving   nothing is written but the ledger
    backup               a file that `restore` takes; without room for it the hop does not begin
    stop-N               the components that change are applied, each after those it needs, so that
                         what a new controller points to is there before the controller is
    prune                what the release no longer has, webhooks before their Services
    admission            every InferenceService is shown to the new webhooks
    health               the stack is ready; what was Ready is Ready, what answered answers

    Between releases of different API groups the objects are moved before that, and nothing is
    removed before they are as well as before: see `upgrade_group`.
    """
    stops = [
        Step(f"stop-{number}", _moves(hop, number), partial(_apply, versions=versions))
        for number, versions in enumerate(hop.stops, 1)
    ]
    begin = [
        Step("preflight", "is everything there that the hop needs", look_first),
        Step("backup", "what users have made and edited, into a file", _backup),
        Step(SERVING, "how the InferenceServices are now", _serving),
    ]
    last = Step("prune", f"remove what {hop.target} no longer has", _prune)
    end = [
        Step("admission", "would the new webhooks admit the InferenceServices", _admission),
        Step("health", "is everything as well as before", _health),
    ]
    if not hop.moves:
        return [*begin, *stops, last, *end]
    old, new = hop.groups
    quiet = Step("quiet", f"stop the controller of {old}", upgrade_group.quiet)
    move = Step("move", f"InferenceServices and TrainedModels into {new}", upgrade_group.move)
    retire = Step("retire", f"delete what was moved from {old}", upgrade_group.retired)
    if hop.back:  # what was moved has its controller back only when the other one is stopped
        return [*begin, *stops[:-1], quiet, stops[-1], move, *end, retire, last]
    return [*begin, *stops, quiet, move, *end, retire, last]


def _moves(hop: Hop, number: int) -> str:
    now = hop.stops[number - 1]
    before = {c.name: c.current for c in hop.changes} if number == 1 else hop.stops[number - 2]
    moved = [
        f"{name} {version}"
        for name, version in now.items()
        if name not in hop.external and before.get(name) != version
    ]
    return "apply " + ", ".join(moved) if moved else "apply"


def look_first(context: HopContext) -> None:
    """Sources of every stop, and the checks of an install of the target. Writes nothing at all.

    All bytes are there before the first write: a mirror that lacks the third stop must not leave a
    cluster at the second.
    """
    brought = [
        component
        for versions in context.hop.stops
        for component in context.choice(versions).components
        if component.name not in context.hop.external
        and component.version != _current(context, component.name)
    ]
    ways: dict[str, list[StoredVersions]] = {}
    sources = context.options.install.sources
    for objects in load_each(brought, sources, silent, context.cancel):
        for obj in objects:
            if obj["kind"] == _CRD:
                ways.setdefault(obj["metadata"]["name"], []).append(versions_of(obj))
    rewritten = check_stored(context.cluster, ways)
    check_edits(context)
    prepared = with_recreated(context.prepared(context.hop.stops[-1]))
    if context.hop.moves:
        upgrade_group.check(context, list(prepared.planned))
    asked = _asked_of_checks(prepared, rewritten)
    skip = (*context.options.skip, "crds-stored-versions")  # `check_stored` knows the whole way
    check_first(
        context.cluster,
        asked,
        skip,
        context.emit,
        context.cancel,
        origin=context.hop.origin,
        more=_rights(context),
        backup=context.options.backups is not None,
    )


def _rights(context: HopContext) -> list[Right]:
    """What this hop takes beside installing its target; the roles on the way are not judged."""
    choice = context.choice(context.hop.stops[-1])
    backup = context.options.backups is not None
    rights = rights_of_way(choice, [context.hop], silent, context.cancel, backup=backup)
    return [right for right in rights if right.verb not in GIVING]


def _current(context: HopContext, name: str) -> str:
    return next((c.current for c in context.hop.changes if c.name == name), "")


def _backup(context: HopContext) -> None:
    folder = context.options.backups
    if folder is None:
        return
    target = folder / file_name(f"{context.hop.origin}-to-{context.hop.target}")
    backup(context.cluster, context.catalog, target, context.emit, context.cancel)


def _serving(context: HopContext) -> None:
    """Note which InferenceServices are not well now: they need not be well afterwards."""
    found = look(context.cluster, context.cancel)
    context.emit(found.event())
    context.note(unwell=found.unwell, silent=found.silent)


def _apply(context: HopContext, versions: Versions) -> None:
    """Bring all components to these versions; at the last stop pruning is a step of its own."""
    stops = context.hop.stops
    last = versions is stops[-1]
    merge_edits(context, versions)  # somebody may have edited one since
    prepared = with_recreated(context.prepared(versions))
    if last and context.hop.moves:
        upgrade_group.wake(context, prepared.planned)
    if any(part.changes for part in prepared.planned):
        crds = [i.body for p in prepared.planned for i in p.wanted if i.ref.kind == _CRD]
        migrate(context.cluster, crds, context.emit, context.cancel, context)
        engine = Engine(context.cluster, prepared, context.held, context.emit, context.cancel)
        engine.run()
    if not last:
        kept = {
            entry.ref.identity
            for record in prepared.ledger.components.values()
            for entry in record.entries.values()
            if routes(record.name, entry.ref)
        }
        prune(context.cluster, prepared, context.tally, context.emit, kept)
    _await_serving(context)


def with_recreated(prepared: Prepared) -> Prepared:
    """The same, with what has to make way for the new objects."""
    found = {
        item.ref.identity
        for part in prepared.planned
        for item in part.wanted
        if must_be_recreated(item, part.component, part.live.get(item.ref.identity))
    }
    return replace(prepared, recreate=frozenset(found))


def _asked_of_checks(prepared: Prepared, rewritten: Collection[str]) -> Prepared:
    """Without what a dry run would be refused for though the apply is not, and as if nothing of
    another release were recorded."""
    planned = []
    for part in prepared.planned:
        spared = {
            item.ref.identity
            for item in part.wanted
            if item.ref.identity in prepared.recreate
            or (item.ref.kind == _CRD and item.ref.name in rewritten)
            or cannot_be_asked(item, part.live.get(item.ref.identity))
        }
        kept: dict[ObjectId, Decision] = dict.fromkeys(spared, "unchanged")
        planned.append(replace(part, decisions={**part.decisions, **kept}))
    ledger = replace(prepared.ledger, release="", state="", upgrade=None)
    return replace(prepared, planned=planned, ledger=ledger)


def _prune(context: HopContext) -> None:
    prepared = context.prepared(context.hop.stops[-1])
    prune(context.cluster, prepared, context.tally, context.emit)


def _admission(context: HopContext) -> None:
    """Ask the new webhooks about every InferenceService by a dry run that changes nothing."""
    versions = served_versions(context.cluster)
    groups = {version.partition("/")[0]: version for version in reversed(versions)}
    refused: list[tuple[Ref, str]] = []
    for group, version in groups.items():
        if context.hop.moves and group != context.hop.groups[1]:
            continue
        objects = context.cluster.list(version, KIND, metadata_only=True).items
        with ThreadPoolExecutor(_PARALLEL) as pool:
            asked = pool.map(partial(_asked, context.cluster), objects)
            answers = list(zip(objects, asked, strict=True))
        if any(answer == _NO_DRY_RUN for _, answer in answers):
            context.emit(warning(f"the webhooks of {version} refuse dry runs", KIND))
            continue
        refused += [(ref_of(obj), answer) for obj, answer in answers if answer]
    if refused:
        raise _refused(context.hop.target, refused)


_NO_DRY_RUN = "no dry run"


def _asked(cluster: Cluster, obj: Object) -> str:
    """Why an update would be refused; empty when it would not, or the object is gone."""
    try:
        cluster.patch(ref_of(obj), {}, dry_run=True)
    except ApiError as error:
        if error.failure.kind in ("not-found", "conflict"):
            return ""
        if "does not support dry run" in error.message:
            return _NO_DRY_RUN
        return error.message
    return ""


def _refused(release: str, refused: Sequence[tuple[Ref, str]]) -> InstallerError:
    lines = [f"  {ref}: {reason}" for ref, reason in refused[:_NAMED]]
    if len(refused) > _NAMED:
        lines.append(f"  and {len(refused) - _NAMED} more")
    return InstallerError(
        f"{release} would not admit an update of these:\n" + "\n".join(lines),
        kind="not-admitted",
        object=str(refused[0][0]),
        remedy="they go on serving as they are: change them as their messages say, then run the "
        "same command again",
    )


def _health(context: HopContext) -> None:
    prepared = context.prepared(context.hop.stops[-1])
    await_health(context.cluster, prepared, context.emit, context.cancel)
    _await_serving(context)


def _await_serving(context: HopContext) -> None:
    upgrade = context.upgrade
    await_serving(
        context.cluster,
        upgrade.unwell,
        upgrade.silent,
        upgrade.since,
        context.options.serving_seconds,
        context.emit,
        context.cancel,
    )
