"""What the present user may do: asked of the API server, a few questions for many answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from installer.core.objects import Object, dig
from installer.preflight.rights_needed import Grant, Right
from installer.preflight.world import World

_API = "authorization.k8s.io/v1"
_PARALLEL = 8
_NOWHERE = "kserve-installer-no-such-namespace"
"""A rules review answers for one namespace, its RoleBindings included; here there are none."""
_MOST_QUESTIONS = 400
"""Of one round of questions to a server that cannot list what is allowed."""

Rules = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Held:
    """everything: the user is a cluster-admin. rules: by namespace; `` holds those for all.

    complete: False where the server's authorizers cannot list their rules (webhooks of clouds).
    """

    everything: bool
    rules: Mapping[str, Rules]
    complete: bool = True


def held(world: World, namespaces: Iterable[str]) -> Held:
    """Ask once for all, else for the rules in each namespace."""
    if world.once("may-everything", lambda: _may(world, Right("", "*", "*", "*"))):
        return Held(True, {})
    places = sorted({"", *namespaces})
    with ThreadPoolExecutor(_PARALLEL) as pool:
        answers = list(pool.map(lambda place: _rules(world, place), places))
    rules = {
        place: dig(answer, "status", "resourceRules", default=[])
        for place, answer in zip(places, answers, strict=True)
    }
    return Held(False, rules, not any(dig(a, "status", "incomplete") for a in answers))


@dataclass(frozen=True, slots=True)
class Lack:
    """rights: those that the user lacks. unsure: those that too many questions stood before."""

    rights: Sequence[Right]
    unsure: Sequence[Right] = ()


def missing(world: World, have: Held, rights: Sequence[Right]) -> Lack:
    """The rights that the user lacks; asked where the server says that there are more than rules.

    At most some hundred questions; what is left is unsure, never lacking.
    """
    lacking = [right for right in rights if not holds(have, right)]
    if have.complete:
        return Lack(lacking)

    def ask(asked: Sequence[Right]) -> Sequence[bool]:
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return list(pool.map(lambda right: _may_once(world, right), asked))

    return settle(lacking, ask)


def settle(
    rights: Sequence[Right],
    ask: Callable[[Sequence[Right]], Sequence[bool]],
    most: int = _MOST_QUESTIONS,
) -> Lack:
    """Which of these are lacking, by questions from the widest to the narrowest. Pure but for ask.

    Authorizers beside RBAC know no names of objects and rarely namespaces, so that a question
    for all of them mostly answers for hundreds of rights.
    """
    open_, asked = list(rights), 0
    denied: set[Right] = set()
    for widen in _WIDER:
        questions = [q for q in dict.fromkeys(map(widen, open_)) if q not in denied]
        questions = questions[: most - asked]
        asked += len(questions)
        answers = dict(zip(questions, ask(questions), strict=True)) if questions else {}
        denied |= {question for question, allowed in answers.items() if not allowed}
        open_ = [right for right in open_ if not answers.get(widen(right))]
    return Lack([r for r in open_ if r in denied], [r for r in open_ if r not in denied])


_WIDER: tuple[Callable[[Right], Right], ...] = (
    lambda right: replace(right, namespace="", name=""),
    lambda right: replace(right, name=""),
    lambda right: right,
)


def holds(have: Held, right: Right) -> bool:
    """Whether rules give a right. Source: k8s.io/kubernetes, plugin/pkg/auth/authorizer/rbac,
    RuleAllows: an empty resourceNames means every name. Pure."""
    if have.everything:
        return True
    return any(
        _covers(rule, right)
        for place in {"", right.namespace}
        for rule in have.rules.get(place, ())
    )


def not_held(have: Held, grant: Grant) -> list[str]:
    """What a user without `escalate` or `bind` lacks to give this role; empty when it may. Pure.

    Source: k8s.io/kubernetes, pkg/registry/rbac: a role may be written or bound by who holds
    every rule in it in that scope, an aggregated one by who holds everything. Only rules of RBAC
    count there, not what a cloud's authorizer allows besides, so that nothing is asked here.
    """
    if holds(have, grant.right):
        return []
    if grant.all_of_all:
        return ["everything (it is made of other roles)"]
    if grant.rules is None:
        return [f"its rules, which are not part of the release ({grant.right.name})"]
    lacking = []
    for rule in grant.rules:
        lacking += [str(r) for r in _singles(rule, grant.right.namespace) if not holds(have, r)]
        lacking += [
            f"{verb} {url}" for url in rule.get("nonResourceURLs") or [] for verb in rule["verbs"]
        ]
    return list(dict.fromkeys(lacking))


def _singles(rule: Mapping[str, Any], namespace: str) -> list[Right]:
    return [
        Right(namespace, group, resource, verb, name)
        for group in rule.get("apiGroups") or []
        for resource in rule.get("resources") or []
        for verb in rule.get("verbs") or []
        for name in rule.get("resourceNames") or [""]
    ]


def _covers(rule: Mapping[str, Any], right: Right) -> bool:
    names = rule.get("resourceNames") or []
    return (
        _has(rule.get("verbs"), right.verb)
        and _has(rule.get("apiGroups"), right.group)
        and (
            _has(rule.get("resources"), right.resource)
            or ("/" in right.resource and f"*/{right.resource.partition('/')[2]}"
                in (rule.get("resources") or []))
        )
        and (not names or right.name in names)
    )  # fmt: skip


def _has(listed: Sequence[str] | None, word: str) -> bool:
    return bool(listed) and ("*" in (listed or ()) or word in (listed or ()))


def _may(world: World, right: Right) -> bool:
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": right.resource,
        "namespace": right.namespace,
        "name": right.name,
    }
    review = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    return bool(dig(_ask(world, "selfsubjectaccessreviews", review), "status", "allowed"))


def _may_once(world: World, right: Right) -> bool:
    allowed: bool = world.once(("may", right), lambda: _may(world, right))
    return allowed


def _rules(world: World, namespace: str) -> Object:
    review = {"kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace or _NOWHERE}}
    answer: Object = world.once(
        ("rules", namespace), lambda: _ask(world, "selfsubjectrulesreviews", review)
    )
    return answer


def _ask(world: World, resource: str, review: Object) -> Object:
    answer: Object = world.cluster.request(
        "POST",
        f"/apis/{_API}/{resource}",
        body={"apiVersion": _API, **review},
        about="review of one's own rights",
    )
    return answer
