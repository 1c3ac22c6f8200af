"""Which taints a pod tolerates. Source: kubernetes pkg/apis/core/v1/helper and component-helpers scheduling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Taint = Mapping[str, Any]


def tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")


def untolerated(
    taints: Iterable[Taint], tolerations: Sequence[Mapping[str, Any]], effects: Sequence[str]
) -> Taint | None:
    """The first taint with one of `effects` that no toleration covers."""
    for taint in taints:
        if taint.get("effect") in effects and not any(tolerates(one, taint) for one in tolerations):
            return taint
    return None


def eviction_delay(taints: Sequence[Taint], tolerations: Sequence[Mapping[str, Any]]) -> float | None:
    """Seconds a pod may stay on a node with these NoExecute taints; 0 for none, None for ever."""
    shortest: float | None = None
    for taint in taints:
        if taint.get("effect") != "NoExecute":
            continue
        matching = [one for one in tolerations if tolerates(one, taint)]
        if not matching:
            return 0.0
        limits = [one["tolerationSeconds"] for one in matching if one.get("tolerationSeconds") is not None]
        if limits:
            allowed = max(0.0, float(min(limits)))
            shortest = allowed if shortest is None else min(shortest, allowed)
    return shortest
