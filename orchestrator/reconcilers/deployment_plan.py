"""How big each ReplicaSet of a Deployment should be next: pure functions of what is seen.

Availability is counted from pods, not from ReplicaSet statuses, which lag: a set that was told to shrink counts only
what it will keep, and one that hasn't shrunk yet still fills its room. So neither maxSurge nor maxUnavailable is
overstepped between two writes. Source: kubernetes pkg/controller/deployment/{rolling,sync}.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor
from typing import Any, NamedTuple

from orchestrator.machinery.pods import created_at
from orchestrator.objects.meta import Obj, annotations_of

DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"


@dataclass(frozen=True)
class SetView:
    """One ReplicaSet and the live pods it has now."""

    obj: Obj
    size: int
    active: int = 0
    ready: int = 0
    available: int = 0

    @property
    def name(self) -> str:
        return str(self.obj["metadata"]["name"])

    @property
    def kept(self) -> int:
        """Available pods that stay when the set has its size: it deletes unavailable ones first."""
        return min(self.available, self.size)

    @property
    def room(self) -> int:
        """Pods that count against the surge."""
        return max(self.size, self.active)


class Limits(NamedTuple):
    desired: int
    surge: int
    unavailable: int

    @property
    def most(self) -> int:
        """Live pods there may be at any time."""
        return self.desired + self.surge

    @property
    def least(self) -> int:
        """Available pods there must be at any time."""
        return self.desired - self.unavailable


def int_or_percent(value: int | str | None, total: int, *, default: int | str, up: bool) -> int:
    value = default if value is None else value
    if isinstance(value, str) and value.endswith("%"):
        part = total * int(value[:-1]) / 100
        return ceil(part) if up else floor(part)
    return int(value)


def limits_of(deployment: Obj) -> Limits:
    """maxSurge rounds up, maxUnavailable down; both zero would never move, so one may then be missing."""
    spec = deployment["spec"]
    desired = desired_of(deployment)
    strategy = spec.get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return Limits(desired, 0, 0)
    rolling = strategy.get("rollingUpdate") or {}
    surge = int_or_percent(rolling.get("maxSurge"), desired, default="25%", up=True)
    unavailable = int_or_percent(rolling.get("maxUnavailable"), desired, default="25%", up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(desired, surge, min(unavailable, desired))


def desired_of(deployment: Obj) -> int:
    replicas = deployment["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def plan_new_size(limits: Limits, new_size: int, new_room: int, old_room: int) -> int:
    """The size the newest set may grow to now."""
    if new_size >= limits.desired:
        return limits.desired
    free = limits.most - old_room - max(new_size, new_room)
    return new_size if free <= 0 else min(new_size + free, limits.desired)


def plan_rolling(limits: Limits, new: SetView, olds: Sequence[SetView]) -> dict[str, int]:
    """Sizes to write, by set name: the newest grows into the free room, old ones give up what isn't needed."""
    sizes: dict[str, int] = {}
    size = plan_new_size(limits, new.size, new.room, sum(old.room for old in olds))
    if size != new.size:
        sizes[new.name] = size
        new = replace(new, size=size)
    olds = sorted((old for old in olds if old.size > 0), key=lambda old: created_at(old.obj))
    total = new.size + sum(old.size for old in olds)
    spare = total - limits.least - (new.size - new.kept)
    if spare <= 0:
        return sizes
    shrunk = _drop_unhealthy(olds, spare)
    available = new.kept + sum(old.kept for old in shrunk)
    shrunk = _drop_available(shrunk, available - limits.least)
    sizes.update({after.name: after.size for before, after in zip(olds, shrunk, strict=True) if before != after})
    return sizes


def _drop_unhealthy(olds: Sequence[SetView], spare: int) -> list[SetView]:
    """Old pods that serve nobody go first, so that they can't hold a rollout up."""
    result = []
    for old in olds:
        cut = min(spare, old.size - old.kept)
        spare -= cut
        result.append(replace(old, size=old.size - cut))
    return result


def _drop_available(olds: Sequence[SetView], spare: int) -> list[SetView]:
    result = []
    for old in olds:
        cut = max(0, min(spare, old.size))
        spare -= cut
        result.append(replace(old, size=old.size - cut))
    return result


def plan_scaling(limits: Limits, new: SetView | None, olds: Sequence[SetView], status_replicas: int) -> dict[str, int]:
    """Sizes after the Deployment itself was scaled: spread in proportion while several sets are live."""
    every = [*([new] if new else []), *olds]
    live = [view for view in every if view.size > 0]
    if len(live) <= 1:
        only = live[0] if live else new or (max(olds, key=lambda old: created_at(old.obj)) if olds else None)
        return {only.name: limits.desired} if only and only.size != limits.desired else {}
    if new is not None and new.size == new.available == limits.desired:
        return {old.name: 0 for old in olds if old.size > 0}
    allowed = limits.most if limits.desired > 0 else 0
    to_add = allowed - sum(view.size for view in live)
    if to_add == 0:
        return {}
    newest_first = sorted(live, key=lambda view: created_at(view.obj), reverse=to_add > 0)
    ordered = sorted(newest_first, key=lambda view: view.size, reverse=True)
    return _in_proportion(limits, ordered, to_add, status_replicas)


def _in_proportion(limits: Limits, views: list[SetView], to_add: int, status_replicas: int) -> dict[str, int]:
    sizes: dict[str, int] = {}
    added = 0
    for view in views:
        left = to_add - added
        share = _share(limits, view, status_replicas)
        share = min(share, left) if to_add > 0 else max(share, left)
        sizes[view.name] = view.size + share
        added += share
    sizes[views[0].name] = max(0, sizes[views[0].name] + to_add - added)
    return {view.name: sizes[view.name] for view in views if sizes[view.name] != view.size}


def _share(limits: Limits, view: SetView, status_replicas: int) -> int:
    """How much this set grows (or shrinks) to keep its part of the whole."""
    if limits.desired == 0:
        return -view.size
    before = _number(annotations_of(view.obj).get(MAXIMUM)) or status_replicas or limits.most
    return floor(view.size * limits.most / before + 0.5) - view.size


def is_scaling_event(deployment: Obj, views: Sequence[SetView]) -> bool:
    """Whether spec.replicas changed since the live sets were last sized."""
    desired = desired_of(deployment)
    for view in views:
        noted = _number(annotations_of(view.obj).get(DESIRED)) if view.size > 0 else None
        if noted is not None and noted != desired:
            return True
    return False


def _number(text: Any) -> int | None:
    return int(text) if isinstance(text, str) and text.lstrip("-").isdigit() else None
