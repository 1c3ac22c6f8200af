"""On which nodes a DaemonSet's pods run, and which of them to replace: pure functions.

Source: kubernetes pkg/controller/daemon/{daemon_controller,update}.go.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from orchestrator.machinery import pods as podlib
from orchestrator.machinery.tolerations import untolerated
from orchestrator.objects.meta import Obj, is_deleting, key_of, labels_of
from orchestrator.reconcilers.deployment_plan import int_or_percent
from orchestrator.reconcilers.history import HASH
from orchestrator.scheduler.affinity import matches_node_terms

GENERATION = "pod-template-generation"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_TOLERATED = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


@dataclass
class Plan:
    create: list[str] = field(default_factory=list)
    """Names of nodes."""
    delete: list[Obj] = field(default_factory=list)
    failed: list[Obj] = field(default_factory=list)
    """Those of `delete` that have failed and will be replaced."""


def tolerations_of(spec: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The template's, and those that keep daemons running on nodes in trouble."""
    added = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in _TOLERATED]
    if spec.get("hostNetwork"):
        network = "node.kubernetes.io/network-unavailable"
        added.append({"key": network, "operator": "Exists", "effect": "NoSchedule"})
    own = list(spec.get("tolerations") or ())
    return [*own, *(one for one in added if one not in own)]


def should_run(daemonset: Obj, node: Obj) -> tuple[bool, bool]:
    """(a pod should be started there, one that runs there should stay)."""
    spec = daemonset["spec"]["template"]["spec"]
    name, labels = key_of(node).name, labels_of(node)
    if spec.get("nodeName") and spec["nodeName"] != name:
        return False, False
    if not (spec.get("nodeSelector") or {}).items() <= labels.items():
        return False, False
    required = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED)
    if required is not None and not matches_node_terms(required.get("nodeSelectorTerms") or (), name, labels):
        return False, False
    taints, tolerations = (node.get("spec") or {}).get("taints") or (), tolerations_of(spec)
    stays = untolerated(taints, tolerations, ("NoExecute",)) is None
    return stays and untolerated(taints, tolerations, ("NoSchedule",)) is None, stays


def node_of(pod: Obj) -> str:
    """The node the pod runs on, or was made for."""
    if name := pod["spec"].get("nodeName"):
        return str(name)
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED) or {}
    for term in affinity.get("nodeSelectorTerms") or ():
        for one in term.get("matchFields") or ():
            if one["key"] == "metadata.name" and one.get("values"):
                return str(one["values"][0])
    return ""


def by_node(pods: Sequence[Obj]) -> dict[str, list[Obj]]:
    found: dict[str, list[Obj]] = {}
    for pod in pods:
        found.setdefault(node_of(pod), []).append(pod)
    return found


def plan_placement(daemonset: Obj, nodes: Sequence[Obj], pods: Sequence[Obj]) -> Plan:
    """One pod on each node that should have one, none elsewhere."""
    plan = Plan()
    present = by_node(pods)
    known = set()
    for node in nodes:
        name = key_of(node).name
        known.add(name)
        starts, stays = should_run(daemonset, node)
        here = present.get(name, [])
        if not stays:
            plan.delete += [pod for pod in here if not is_deleting(pod)]
            continue
        running = []
        for pod in here:
            if is_deleting(pod):
                continue
            if podlib.is_finished(pod):
                plan.delete.append(pod)
                plan.failed.append(pod)
            else:
                running.append(pod)
        if not here and starts:
            plan.create.append(name)
        plan.delete += _surplus(running)
    plan.delete += [pod for name, group in present.items() if name not in known for pod in group
                    if not is_deleting(pod)]  # fmt: skip
    return plan


def _surplus(running: list[Obj]) -> list[Obj]:
    """Two pods on a node are a surge if their templates differ, else one too many: the youngest go."""
    hashes: dict[str, list[Obj]] = {}
    for pod in running:
        hashes.setdefault(labels_of(pod).get(HASH, ""), []).append(pod)
    return [pod for group in hashes.values() for pod in sorted(group, key=podlib.created_at)[1:]]


def plan_rolling(daemonset: Obj, nodes: Sequence[Obj], pods: Sequence[Obj], revision: str, now: datetime) -> Plan:
    """The old pods to replace now, within maxUnavailable, or the new ones to start beside them, within maxSurge."""
    rolling = ((daemonset["spec"].get("updateStrategy") or {}).get("rollingUpdate")) or {}
    wanted = [key_of(node).name for node in nodes if should_run(daemonset, node)[0]]
    surge = int_or_percent(rolling.get("maxSurge"), len(wanted), default=0, up=True)
    unavailable = int_or_percent(rolling.get("maxUnavailable"), len(wanted), default=0 if surge else 1, up=True)
    min_ready = daemonset["spec"].get("minReadySeconds") or 0
    present = by_node(pods)
    views = [_NodeView.of(name, present.get(name, []), revision, min_ready, now) for name in wanted]
    return _plan_surge(views, surge) if surge else _plan_replace(views, max(unavailable, 1))


@dataclass
class _NodeView:
    name: str
    new: Obj | None
    old: Obj | None
    new_available: bool
    old_available: bool

    @classmethod
    def of(cls, name: str, pods: Sequence[Obj], revision: str, min_ready: int, now: datetime) -> _NodeView:
        live = [pod for pod in pods if podlib.is_active(pod)]
        new = next((pod for pod in live if labels_of(pod).get(HASH) == revision), None)
        old = next((pod for pod in live if labels_of(pod).get(HASH) != revision), None)
        return cls(
            name,
            new,
            old,
            new is not None and podlib.is_available(new, min_ready, now),
            old is not None and podlib.is_available(old, min_ready, now),
        )


def _plan_replace(views: Sequence[_NodeView], unavailable: int) -> Plan:
    plan = Plan()
    down = sum(not view.new_available and not view.old_available for view in views)
    useless = [view.old for view in views if view.old and not view.old_available and not view.new]
    serving = [view.old for view in views if view.old and view.old_available and not view.new]
    plan.delete = [*useless, *serving[: max(0, unavailable - down)]]
    return plan


def _plan_surge(views: Sequence[_NodeView], surge: int) -> Plan:
    plan = Plan()
    plan.delete = [view.old for view in views if view.old and (view.new_available or not view.old_available)]
    going = {id(pod) for pod in plan.delete}
    under_way = sum(view.new is not None and not view.new_available for view in views)
    candidates = [view.name for view in views if view.old and not view.new and id(view.old) not in going]
    plan.create = candidates[: max(0, surge - under_way)]
    return plan


def render_pod(daemonset: Obj, node: str, revision: str) -> Obj:
    """A pod that only `node` can take."""
    template = copy.deepcopy(daemonset["spec"]["template"])
    spec = template["spec"]
    spec["tolerations"] = tolerations_of(spec)
    only = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    affinity[_REQUIRED] = {"nodeSelectorTerms": [only]}
    labels = {HASH: revision, GENERATION: str(daemonset["metadata"].get("generation") or 1)}
    return podlib.pod_from_template(template, daemonset, labels=labels)


def observe_daemonset(
    daemonset: Obj, nodes: Sequence[Obj], pods: Sequence[Obj], revision: str, now: datetime
) -> dict[str, Any]:
    min_ready = daemonset["spec"].get("minReadySeconds") or 0
    present = by_node([pod for pod in pods if not is_deleting(pod)])
    counts = dict.fromkeys(("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"), 0)
    updated = available = 0
    for node in nodes:
        wanted, _ = should_run(daemonset, node)
        here = sorted(present.get(key_of(node).name, []), key=podlib.created_at)
        counts["desiredNumberScheduled"] += wanted
        if not here:
            continue
        if not wanted:
            counts["numberMisscheduled"] += 1
            continue
        counts["currentNumberScheduled"] += 1
        counts["numberReady"] += any(map(podlib.is_ready, here))
        available += any(podlib.is_available(pod, min_ready, now) for pod in here)
        updated += any(labels_of(pod).get(HASH) == revision for pod in here)
    status: dict[str, Any] = {**counts, "observedGeneration": daemonset["metadata"].get("generation") or 0}
    down = counts["desiredNumberScheduled"] - available
    optional = {"updatedNumberScheduled": updated, "numberAvailable": available, "numberUnavailable": down}
    status.update({name: count for name, count in optional.items() if count})
    before = daemonset.get("status") or {}
    status.update({name: before[name] for name in ("conditions", "collisionCount") if before.get(name)})
    return status
