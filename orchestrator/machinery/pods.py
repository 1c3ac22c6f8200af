"""What workload reconcilers ask of pods, and how they make and rank them.

Source: kubernetes pkg/controller/controller_utils.go and pkg/api/v1/pod/util.go.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from orchestrator.machinery.clock import parse_time
from orchestrator.objects.meta import Obj, is_deleting, labels_of, owner_reference

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words by accident
FINISHED = ("Succeeded", "Failed")

_EPOCH = "1970-01-01T00:00:00Z"


def phase_of(pod: Mapping[str, Any]) -> str:
    return (pod.get("status") or {}).get("phase") or "Pending"


def condition_of(obj: Mapping[str, Any], kind: str) -> dict[str, Any] | None:
    conditions: list[dict[str, Any]] = (obj.get("status") or {}).get("conditions") or []
    for condition in conditions:
        if condition.get("type") == kind:
            return condition
    return None


def is_finished(pod: Mapping[str, Any]) -> bool:
    return phase_of(pod) in FINISHED


def is_active(pod: Mapping[str, Any]) -> bool:
    return not is_finished(pod) and not is_deleting(pod)


def is_ready(pod: Mapping[str, Any]) -> bool:
    condition = condition_of(pod, "Ready")
    return condition is not None and condition.get("status") == "True"


def is_available(pod: Mapping[str, Any], min_ready: int, now: datetime) -> bool:
    return available_in(pod, min_ready, now) == 0.0


def available_in(pod: Mapping[str, Any], min_ready: int, now: datetime) -> float | None:
    """Seconds until `pod` has been ready for `min_ready` seconds; 0 when it has, None while it is not ready."""
    condition = condition_of(pod, "Ready")
    if condition is None or condition.get("status") != "True":
        return None
    since = condition.get("lastTransitionTime")
    if not min_ready or not since:
        return 0.0
    return max(0.0, min_ready - (now - parse_time(since)).total_seconds())


def restarts_of(pod: Mapping[str, Any]) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((status.get("restartCount") or 0 for status in statuses), default=0)


def created_at(obj: Mapping[str, Any]) -> str:
    return obj["metadata"].get("creationTimestamp") or _EPOCH


def deletion_order(pods: Iterable[Obj], now: datetime, related: Iterable[Obj] | None = None) -> list[Obj]:
    """`pods`, the one to delete first at the front.

    Unassigned before assigned, pending before running, unready before ready, cheaper (annotation
    `controller.kubernetes.io/pod-deletion-cost`) before dearer, on a node with more of the same pods before fewer,
    shorter ready before longer, restarted more before less, younger before older. `related`: the pods that count as the
    same, by default `pods`. Source: ActivePodsWithRanks.
    """
    pods = list(pods)
    together: dict[str, int] = {}
    for pod in pods if related is None else related:
        if is_active(pod):
            node = pod["spec"].get("nodeName") or ""
            together[node] = together.get(node, 0) + 1
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}

    def rank(pod: Obj) -> tuple[Any, ...]:
        node = pod["spec"].get("nodeName") or ""
        ready = is_ready(pod)
        ready_since = (condition_of(pod, "Ready") or {}).get("lastTransitionTime") if ready else None
        ready_for = (now - parse_time(ready_since)).total_seconds() if ready_since else 0.0
        return (
            bool(node),
            phases.get(phase_of(pod), 0),
            ready,
            _deletion_cost(pod),
            -together.get(node, 0),
            ready_for,
            -restarts_of(pod),
            _age(created_at(pod), now),
            pod["metadata"]["name"],
        )

    return sorted(pods, key=rank)


def _age(moment: str | None, now: datetime) -> int:
    """Seconds since, on a logarithmic scale as Kubernetes has it, so that ages close to each other count as equal."""
    if not moment:
        return 0
    seconds = max(0.0, (now - parse_time(moment)).total_seconds())
    return int(seconds).bit_length()


def _deletion_cost(pod: Obj) -> int:
    text = (pod["metadata"].get("annotations") or {}).get("controller.kubernetes.io/pod-deletion-cost", "0")
    try:
        return int(text)
    except ValueError:
        return 0


def pod_from_template(template: Mapping[str, Any], owner: Obj, **metadata: Any) -> Obj:
    """A pod of `owner` as `template` says; `metadata` adds name or generateName, labels, annotations."""
    wished = template.get("metadata") or {}
    meta: dict[str, Any] = {
        "namespace": owner["metadata"]["namespace"],
        "ownerReferences": [owner_reference(owner)],
    }
    for part in ("labels", "annotations"):
        if both := {**(wished.get(part) or {}), **metadata.pop(part, {})}:
            meta[part] = both
    if wished.get("finalizers"):
        meta["finalizers"] = list(wished["finalizers"])
    if not metadata.get("name"):
        metadata.setdefault("generateName", f"{owner['metadata']['name'][:57]}-")
    meta.update(metadata)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": copy.deepcopy(template["spec"])}


def random_suffix(length: int = 5) -> str:
    return "".join(random.choices(SAFE_ALPHABET, k=length))


def template_hash(template: Mapping[str, Any], collisions: int | None = None) -> str:
    """Names a pod template: the same for equal ones, 8 to 10 characters of the safe alphabet.

    Kubernetes hashes a dump of its Go structure, which nobody outside can rebuild; this hashes canonical JSON with the
    same function and spelling.
    """
    text = json.dumps(template, sort_keys=True, separators=(",", ":"))
    value = _fnv32a(text.encode())
    if collisions is not None:
        value = _fnv32a(f"{collisions}".encode(), value)
    digits = str(value).rjust(8, "0")
    return "".join(SAFE_ALPHABET[ord(digit) % len(SAFE_ALPHABET)] for digit in digits)


def _fnv32a(data: bytes, value: int = 0x811C9DC5) -> int:
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value


def same_template(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Equal but for the label `pod-template-hash`, which the reconciler itself adds."""
    return _without_hash(one) == _without_hash(other)


def _without_hash(template: Mapping[str, Any]) -> dict[str, Any]:
    meta = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (meta.get("labels") or {}).items() if key != "pod-template-hash"}
    meta["labels"] = labels
    meta = {key: value for key, value in meta.items() if value and key != "creationTimestamp"}
    return {**template, "metadata": meta}


def set_condition(
    conditions: Sequence[Mapping[str, Any]], wanted: Mapping[str, Any], now: str, *, update_time: bool = False
) -> list[dict[str, Any]]:
    """`conditions` with `wanted` in it; `lastTransitionTime` moves only when the status does."""
    new = {key: value for key, value in wanted.items() if value is not None}
    old = next((condition for condition in conditions if condition.get("type") == new["type"]), None)
    if old is not None and old.get("status") == new["status"]:
        if all(old.get(key) == new.get(key) for key in ("reason", "message")):
            return [dict(condition) for condition in conditions]
        new["lastTransitionTime"] = old.get("lastTransitionTime") or now
    else:
        new["lastTransitionTime"] = now
    if update_time:
        new["lastUpdateTime"] = now
    if old is None:
        return [*map(dict, conditions), new]
    return [new if condition is old else dict(condition) for condition in conditions]


def without_condition(conditions: Sequence[Mapping[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [dict(condition) for condition in conditions if condition.get("type") != kind]


def matches(pod: Mapping[str, Any], selector: Callable[[Mapping[str, str]], bool]) -> bool:
    return selector(labels_of(pod))
