"""How many replicas a HorizontalPodAutoscaler wants: pure functions of pods, their use, and what was done lately.

Source: kubernetes pkg/controller/podautoscaler/{replica_calculator,horizontal}.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import parse_time
from orchestrator.objects.meta import Obj, is_deleting
from orchestrator.objects.quantity import format_quantity, parse_quantity

TOLERANCE = 0.1  # how far from the target use may be without anything being done
CPU_START = 300.0  # seconds after a pod's start during which its use is read with care
READY_DELAY = 30.0  # seconds after a pod's start during which it may still become ready
DOWN_WINDOW = 300  # seconds of stabilization before scaling down, unless the behaviour says otherwise

Use = Mapping[str, Mapping[str, int]]
"""Pod name -> container name -> nanos of the resource."""


class MetricError(Exception):
    """A metric can't be had; `reason` is the condition's."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True)
class Proposal:
    replicas: int
    status: dict[str, Any]
    """The metric's entry in `status.currentMetrics`."""
    name: str


@dataclass
class Memory:
    """What was recommended and done lately, for stabilization and rate policies."""

    recommendations: list[tuple[datetime, int]] = field(default_factory=list)
    ups: list[tuple[datetime, int]] = field(default_factory=list)
    downs: list[tuple[datetime, int]] = field(default_factory=list)


# metrics


def propose(metric: Mapping[str, Any], current: int, pods: Sequence[Obj], use: Use, now: datetime) -> Proposal:
    """What one Resource or ContainerResource metric asks for. Raises: MetricError."""
    source = metric["resource"] if metric["type"] == "Resource" else metric["containerResource"]
    name, container = source["name"], source.get("container", "")
    target = source["target"]
    ready, unready, missing = _group(name, pods, use, now)
    if not ready:
        raise MetricError(
            "FailedGetResourceMetric", f"did not receive metrics for targeted pods (pods might be unready) for {name}"
        )
    amounts = {pod["metadata"]["name"]: _used(use, pod, container) for pod in ready}
    requests = {}
    if target["type"] == "Utilization":
        requests = {pod["metadata"]["name"]: _requested(pod, name, container) for pod in (*ready, *unready, *missing)}
        wanted = {pod: asked * target["averageUtilization"] / 100 for pod, asked in requests.items()}
    else:
        average = parse_quantity(target["averageValue"]).nanos
        wanted = {pod["metadata"]["name"]: float(average) for pod in (*ready, *unready, *missing)}
    names = [[pod["metadata"]["name"] for pod in group] for group in (ready, unready, missing)]
    replicas = _replicas(current, amounts, wanted, requests or wanted, *names)
    value: dict[str, Any] = {"averageValue": _shown(sum(amounts.values()) // len(amounts))}
    if requests:
        asked = sum(requests[pod] for pod in amounts)
        value["averageUtilization"] = int(sum(amounts.values()) * 100 / asked)
    entry: dict[str, Any] = {"name": name, "current": value}
    kind = "resource" if metric["type"] == "Resource" else "containerResource"
    if container:
        entry["container"] = container
    label = f"{name} resource utilization (percentage of request)" if requests else f"{name} resource"
    return Proposal(replicas, {"type": metric["type"], kind: entry}, label)


def propose_pods(metric: Mapping[str, Any], current: int, pods: Sequence[Obj], values: Mapping[str, int],
                 now: datetime) -> Proposal:  # fmt: skip
    """What a Pods metric asks for; `values`: nanos of each pod. Raises: MetricError."""
    name, average = metric["pods"]["metric"]["name"], parse_quantity(metric["pods"]["target"]["averageValue"]).nanos
    ready, unready, missing = _group(name, pods, {pod: {"": value} for pod, value in values.items()}, now)
    if not ready:
        raise MetricError("FailedGetPodsMetric", f"no figures of {name} for pods that run")
    names = [[pod["metadata"]["name"] for pod in group] for group in (ready, unready, missing)]
    amounts = {pod: values[pod] for pod in names[0]}
    wanted = {pod: float(average) for group in names for pod in group}
    replicas = _replicas(current, amounts, wanted, wanted, *names)
    shown = {"averageValue": _shown(sum(amounts.values()) // len(amounts))}
    status = {"type": "Pods", "pods": {"metric": metric["pods"]["metric"], "current": shown}}
    return Proposal(replicas, status, f"pods metric {name}")


def propose_external(metric: Mapping[str, Any], current: int, pods: Sequence[Obj], total: int) -> Proposal:
    """What an External metric of `total` nanos asks for: so much in all, or so much for each replica."""
    source = metric["external"]
    name, target = source["metric"]["name"], source["target"]
    if target.get("averageValue") is not None:
        average = parse_quantity(target["averageValue"]).nanos
        ratio = total / (average * current) if average * current else 0.0
        replicas = current if abs(ratio - 1) <= TOLERANCE else ceil(total / (average or 1))
        shown = {"averageValue": _shown(total // max(current, 1))}
    else:
        ratio = total / (parse_quantity(target["value"]).nanos or 1)
        ready = sum(podlib.is_ready(pod) and not is_deleting(pod) for pod in pods)
        replicas = current if abs(ratio - 1) <= TOLERANCE else ceil(ratio * ready)
        shown = {"value": _shown(total)}
    status = {"type": "External", "external": {"metric": source["metric"], "current": shown}}
    return Proposal(replicas, status, f"external metric {name}")


def _shown(nanos: int) -> str:
    return format_quantity(nanos // 10**6 * 10**6)


def _replicas(
    current: int,
    amounts: Mapping[str, int],
    wanted: Mapping[str, float],
    full: Mapping[str, float],
    ready: Sequence[str],
    unready: Sequence[str],
    missing: Sequence[str],
) -> int:
    """Ready pods decide the direction; the others are then assumed to stand against it, so that it is never overdone.

    `full`: what a pod without figures counts as using when scaling down: its whole request.
    """
    ratio = sum(amounts.values()) / (sum(wanted[pod] for pod in ready) or 1)
    if not missing and not (unready and ratio > 1):
        return current if abs(ratio - 1) <= TOLERANCE else ceil(ratio * len(ready))
    counted = dict(amounts)
    if ratio < 1:
        counted.update({pod: int(full[pod]) for pod in missing})
    elif ratio > 1:
        counted.update({pod: 0 for pod in (*missing, *unready)})
    revised = sum(counted.values()) / (sum(wanted[pod] for pod in counted) or 1)
    if abs(revised - 1) <= TOLERANCE or (ratio < 1) != (revised < 1):
        return current
    replicas = ceil(revised * len(counted))
    grows = revised > 1
    return current if (grows and replicas < current) or (not grows and replicas > current) else replicas


def _group(name: str, pods: Sequence[Obj], use: Use, now: datetime) -> tuple[list[Obj], list[Obj], list[Obj]]:
    """(with figures that count, not ready yet, without figures); ended and ending pods are left out."""
    ready: list[Obj] = []
    unready: list[Obj] = []
    missing: list[Obj] = []
    for pod in pods:
        if is_deleting(pod) or podlib.is_finished(pod):
            continue
        if podlib.phase_of(pod) == "Pending":
            unready.append(pod)
        elif pod["metadata"]["name"] not in use:
            missing.append(pod)
        elif name == "cpu" and _is_starting(pod, now):
            unready.append(pod)
        else:
            ready.append(pod)
    return ready, unready, missing


def _is_starting(pod: Obj, now: datetime) -> bool:
    started = (pod.get("status") or {}).get("startTime")
    condition = podlib.condition_of(pod, "Ready")
    if condition is None or not started:
        return True
    age = (now - parse_time(started)).total_seconds()
    if condition["status"] == "True":
        return False
    since = condition.get("lastTransitionTime")
    never_ready = since is not None and (parse_time(since) - parse_time(started)).total_seconds() < READY_DELAY
    return age < CPU_START or never_ready


def _used(use: Use, pod: Obj, container: str) -> int:
    containers = use[pod["metadata"]["name"]]
    if not container:
        return sum(containers.values())
    if container not in containers:
        raise MetricError(
            "FailedGetContainerResourceMetric",
            f"container {container} not present in metrics for pod {pod['metadata']['namespace']}/"
            f"{pod['metadata']['name']}",
        )
    return containers[container]


def _requested(pod: Obj, name: str, container: str) -> int:
    total = 0
    sidecars = [one for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for one in (*pod["spec"]["containers"], *sidecars):
        if container and one["name"] != container:
            continue
        asked = ((one.get("resources") or {}).get("requests") or {}).get(name)
        if asked is None:
            raise MetricError(
                "FailedGetResourceMetric",
                f"failed to get {name} utilization: missing request for {name} in container {one['name']} of Pod "
                f"{pod['metadata']['name']}",
            )
        total += parse_quantity(asked).nanos
    return total


# limits, stabilization, policies


@dataclass(frozen=True)
class Outcome:
    replicas: int
    able: tuple[str, str]
    """(reason, message) of AbleToScale"""
    limited: tuple[bool, str, str]
    """ScalingLimited"""


def out_of_bounds(spec: Mapping[str, Any], current: int) -> tuple[int | None, str]:
    """The size that a target outside of the bounds gets whatever its use, and why; None for one within."""
    least, most = spec.get("minReplicas"), int(spec["maxReplicas"])
    if current > most:
        return most, "Current number of replicas above Spec.MaxReplicas"
    if current < (1 if least is None else int(least)):
        return int(least or 1), "Current number of replicas below Spec.MinReplicas"
    return None, ""


def settle_replicas(hpa: Obj, current: int, desired: int, memory: Memory, now: datetime) -> Outcome:
    """`desired` after stabilization, rate policies, and the minimum and maximum."""
    behavior = hpa["spec"].get("behavior") or {}
    up, down = behavior.get("scaleUp") or {}, behavior.get("scaleDown") or {}
    least = hpa["spec"].get("minReplicas")
    least = 1 if least is None else int(least)
    most = int(hpa["spec"]["maxReplicas"])
    stable = _stabilized(current, desired, up, down, memory, now)
    able = ("ReadyForNewScale", "recommended size matches current size")
    if stable < desired:
        able = ("ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent"
                " recommendation")  # fmt: skip
    elif stable > desired:
        able = ("ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest"
                " recent recommendation")  # fmt: skip
    if stable > current:
        limit = max(current, _up_limit(current, up, memory, now))
        capped = min(stable, limit, most)
        if capped < stable:
            why = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
            if limit < most:
                why = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
            return Outcome(capped, able, (True, *why))
        stable = capped
    elif stable < current:
        limit = min(current, _down_limit(current, down, memory, now))
        floored = max(stable, limit, least)
        if floored > stable:
            why = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
            if limit > least:
                why = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
            return Outcome(floored, able, (True, *why))
        stable = floored
    if stable > most:
        return Outcome(most, able, (True, "TooManyReplicas", "the desired replica count is more than the maximum"
                                    " replica count"))  # fmt: skip
    if stable < least:
        return Outcome(least, able, (True, "TooFewReplicas", "the desired replica count is less than the minimum"
                                     " replica count"))  # fmt: skip
    return Outcome(stable, able, (False, "DesiredWithinRange", "the desired count is within the acceptable range"))


def _stabilized(
    current: int, desired: int, up: Mapping[str, Any], down: Mapping[str, Any], memory: Memory, now: datetime
) -> int:
    """The lowest recent wish when growing, the highest when shrinking."""
    up_window = int(up.get("stabilizationWindowSeconds") or 0)
    down_window = down.get("stabilizationWindowSeconds")
    down_window = DOWN_WINDOW if down_window is None else int(down_window)
    lowest = highest = desired
    for moment, wish in memory.recommendations:
        age = (now - moment).total_seconds()
        if age < up_window:
            lowest = min(lowest, wish)
        if age < down_window:
            highest = max(highest, wish)
    horizon = timedelta(seconds=max(up_window, down_window))
    memory.recommendations = [one for one in memory.recommendations if now - one[0] <= horizon] + [(now, desired)]
    return min(max(current, lowest), highest)


def _up_limit(current: int, rules: Mapping[str, Any], memory: Memory, now: datetime) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    policies: Sequence[Mapping[str, Any]] = rules.get("policies") or (
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    )
    limits = []
    for policy in policies:
        start = current - _changed(memory.ups, policy, now) + _changed(memory.downs, policy, now)
        value = int(policy["value"])
        limits.append(start + value if policy["type"] == "Pods" else ceil(start * (1 + value / 100)))
    return min(limits) if rules.get("selectPolicy") == "Min" else max(limits)


def _down_limit(current: int, rules: Mapping[str, Any], memory: Memory, now: datetime) -> int:
    if rules.get("selectPolicy") == "Disabled":
        return current
    policies: Sequence[Mapping[str, Any]] = rules.get("policies") or (
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    )
    limits = []
    for policy in policies:
        start = current - _changed(memory.ups, policy, now) + _changed(memory.downs, policy, now)
        value = int(policy["value"])
        limits.append(start - value if policy["type"] == "Pods" else int(start * (1 - value / 100)))
    return max(limits) if rules.get("selectPolicy") == "Min" else min(limits)


def _changed(changes: Sequence[tuple[datetime, int]], policy: Mapping[str, Any], now: datetime) -> int:
    period = int(policy["periodSeconds"])
    return sum(count for moment, count in changes if (now - moment).total_seconds() < period)


def note_change(memory: Memory, before: int, after: int, now: datetime) -> None:
    """Remember a scaling for the rate policies, for as long as the longest of them (half an hour) looks back."""
    changes = memory.ups if after > before else memory.downs
    changes.append((now, abs(after - before)))
    for kept in (memory.ups, memory.downs):
        kept[:] = [one for one in kept if now - one[0] < timedelta(seconds=1800)]
