"""Preemption: which less important pods would have to go for a pod to fit. Pure; `loop` does the deleting.

Source: kubernetes pkg/scheduler/framework/preemption and plugins/defaultpreemption.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.machinery.pods import created_at
from orchestrator.objects.meta import Obj, is_deleting, key_of, uid_of
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.scheduler.filters import is_hopeless
from orchestrator.scheduler.snapshot import NodeInfo, PodInfo

CANDIDATES = 100  # nodes looked at in full

Fits = Callable[[NodeInfo], bool]
"""Whether the preemptor could run on this (thought-up) node."""


@dataclass
class Victims:
    node: str
    pods: list[PodInfo] = field(default_factory=list)
    violations: int = 0
    """Victims whose disruption budget doesn't allow their going."""


def is_eligible(pod: PodInfo, node: NodeInfo | None) -> bool:
    """Not when it must not, nor while its earlier victims are still leaving its nominated node."""
    if not pod.preempts:
        return False
    return node is None or not any(
        is_deleting(other.obj) and other.priority < pod.priority for other in node.pods.values()
    )


def plan_preemption(
    pod: PodInfo,
    nodes: Mapping[str, NodeInfo],
    refusals: Mapping[str, Sequence[str]],
    budgets: Sequence[Obj],
    fits: Fits,
) -> Victims | None:
    """The node where the least is lost, and who must leave it; None when nobody's going helps."""
    found: list[Victims] = []
    for name, reasons in refusals.items():
        node = nodes.get(name)
        if node is None or is_hopeless(reasons):
            continue
        victims = victims_on(pod, node, budgets, fits)
        if victims is not None:
            found.append(victims)
            if len(found) >= CANDIDATES:
                break
    return min(found, key=_cost) if found else None


def victims_on(pod: PodInfo, node: NodeInfo, budgets: Sequence[Obj], fits: Fits) -> Victims | None:
    """The fewest and least important pods of `node` whose going makes room."""
    lower = [other for other in node.pods.values() if other.priority < pod.priority]
    if not lower:
        return None
    thinned = node.without(other.uid for other in lower)
    if not fits(thinned):
        return None
    breaking, harmless = split_by_budget(lower, budgets)
    victims: list[PodInfo] = []
    violations = 0
    for group in (breaking, harmless):
        for other in sorted(group, key=_most_important_first):
            thinned.add(other)
            if not fits(thinned):
                thinned.remove(other.uid)
                victims.append(other)
                violations += group is breaking
    return Victims(node.name, victims, violations) if victims else None


def split_by_budget(pods: Sequence[PodInfo], budgets: Sequence[Obj]) -> tuple[list[PodInfo], list[PodInfo]]:
    """(pods whose going would break a budget, the others), counting the budgets down."""
    allowed = {uid_of(budget): (budget.get("status") or {}).get("disruptionsAllowed", 0) for budget in budgets}
    breaking: list[PodInfo] = []
    harmless: list[PodInfo] = []
    for pod in sorted(pods, key=_most_important_first):
        breaks = False
        for budget in budgets:
            if key_of(budget).namespace != pod.key.namespace:
                continue
            if not label_selector_from_object(budget["spec"].get("selector")).matches(pod.labels):
                continue
            if pod.key.name in ((budget.get("status") or {}).get("disruptedPods") or {}):
                continue
            allowed[uid_of(budget)] -= 1
            breaks = breaks or allowed[uid_of(budget)] < 0
        (breaking if breaks else harmless).append(pod)
    return breaking, harmless


def _most_important_first(pod: PodInfo) -> tuple[int, str]:
    return -pod.priority, created_at(pod.obj)


def _cost(victims: Victims) -> tuple[object, ...]:
    """Fewest budget violations, lowest highest priority, lowest sum, fewest pods, youngest important pod."""
    highest = max(pod.priority for pod in victims.pods)
    oldest = min(created_at(pod.obj) for pod in victims.pods if pod.priority == highest)
    return (
        victims.violations,
        highest,
        sum(pod.priority + 2**31 for pod in victims.pods),
        len(victims.pods),
        tuple(-ord(char) for char in oldest),
    )
