"""PodDisruptionBudgets: how many pods may be evicted now. Evictions themselves are the API server's part.

Source: kubernetes pkg/controller/disruption.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from orchestrator.errors import NotFound
from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import parse_time, rfc3339
from orchestrator.machinery.reconciler import Reconciler, index_by_namespace
from orchestrator.objects.kinds import (
    DEPLOYMENTS,
    PODDISRUPTIONBUDGETS,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    STATEFULSETS,
)
from orchestrator.objects.meta import Key, Obj, controller_of, is_deleting, key_of, labels_of
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.reconcilers.deployment_plan import int_or_percent

FORGET = 120.0  # seconds an eviction may take to show as a deletion


def observe_budget(budget: Obj, pods: Sequence[Obj], scale: int, now: datetime) -> dict[str, Any]:
    """`scale`: how many pods their controllers want."""
    spec, old = budget["spec"], budget.get("status") or {}
    disrupted = {
        name: since
        for name, since in (old.get("disruptedPods") or {}).items()
        if any(pod["metadata"]["name"] == name and not is_deleting(pod) for pod in pods)
        and (now - parse_time(since)).total_seconds() < FORGET
    }
    healthy = sum(
        podlib.is_ready(pod) and not is_deleting(pod) and pod["metadata"]["name"] not in disrupted for pod in pods
    )
    expected, desired = _desired(spec, len(pods), scale)
    allowed = max(0, healthy - desired) if expected > 0 else 0
    enough = allowed > 0
    condition = {
        "type": "DisruptionAllowed",
        "status": "True" if enough else "False",
        "reason": "SufficientPods" if enough else "InsufficientPods",
        "message": "",
        "observedGeneration": budget["metadata"].get("generation") or 0,
    }
    status: dict[str, Any] = {
        "currentHealthy": healthy,
        "desiredHealthy": desired,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "observedGeneration": budget["metadata"].get("generation") or 0,
        "conditions": podlib.set_condition(old.get("conditions") or (), condition, rfc3339(now)),
    }
    if disrupted:
        status["disruptedPods"] = disrupted
    return status


def _desired(spec: dict[str, Any], count: int, scale: int) -> tuple[int, int]:
    """(pods expected, pods that must stay healthy)."""
    if spec.get("maxUnavailable") is not None:
        unavailable = int_or_percent(spec["maxUnavailable"], scale, default=0, up=True)
        return scale, max(0, scale - unavailable)
    least = spec.get("minAvailable")
    if isinstance(least, str):
        return scale, int_or_percent(least, scale, default=0, up=True)
    return count, int(least if least is not None else 1)


class DisruptionReconciler(Reconciler):
    name = "disruption"
    workers = 2

    def setup(self) -> None:
        self.budgets = self.follow(PODDISRUPTIONBUDGETS)
        index_by_namespace(self.budgets)
        self.pods = self.follow(PODS, self._budgets_of)
        index_by_namespace(self.pods)
        self.owners = {
            resource.kind: self.informer(resource)
            for resource in (DEPLOYMENTS, REPLICASETS, STATEFULSETS, REPLICATIONCONTROLLERS)
        }
        for informer in self.owners.values():
            informer.add_handler(self._owner_changed)

    def _budgets_of(self, pod: Obj) -> Iterable[Key]:
        for budget in self.budgets.indexed("namespace", key_of(pod).namespace):
            if label_selector_from_object(budget["spec"].get("selector")).matches(labels_of(pod)):
                yield key_of(budget)

    def _owner_changed(self, old: Obj | None, new: Obj | None) -> None:
        one = new or old
        if one is not None:
            for budget in self.budgets.indexed("namespace", key_of(one).namespace):
                self.queue.add(key_of(budget))

    async def reconcile(self, key: Key) -> float | None:
        budget = self.budgets.get(key)
        if budget is None:
            return None
        selector = label_selector_from_object(budget["spec"].get("selector"))
        pods = [
            pod
            for pod in self.pods.indexed("namespace", key.namespace)
            if selector.matches(labels_of(pod)) and not podlib.is_finished(pod)
        ]
        status = observe_budget(budget, pods, self._scale(pods), self.clock.now())
        try:
            await self.api.update_status(PODDISRUPTIONBUDGETS, budget, status)
        except NotFound:
            return None
        moments = [parse_time(since) + timedelta(seconds=FORGET) for since in status.get("disruptedPods", {}).values()]
        return max(1.0, (min(moments) - self.clock.now()).total_seconds()) if moments else None

    def _scale(self, pods: Sequence[Obj]) -> int:
        """What the pods' controllers want together; a pod without one counts as itself."""
        wanted: dict[str, int] = {}
        for pod in pods:
            owner = self._top_owner(pod)
            uid = owner["metadata"]["uid"] if owner else pod["metadata"]["uid"]
            replicas = owner["spec"].get("replicas", 1) if owner else 1
            wanted[uid] = int(1 if replicas is None else replicas)
        return sum(wanted.values())

    def _top_owner(self, obj: Obj) -> Obj | None:
        """The Deployment above a ReplicaSet, or the controller itself."""
        reference = controller_of(obj)
        informer = self.owners.get(reference["kind"]) if reference else None
        if reference is None or informer is None:
            return None
        owner = informer.get(Key(key_of(obj).namespace, reference["name"]))
        if owner is None or owner["metadata"]["uid"] != reference["uid"]:
            return None
        return self._top_owner(owner) or owner
