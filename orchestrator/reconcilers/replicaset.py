"""ReplicaSets and ReplicationControllers: as many pods as asked for.

Source: kubernetes pkg/controller/replicaset.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from orchestrator.errors import ApiError, Forbidden, NotFound
from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import rfc3339
from orchestrator.machinery.reconciler import (
    Reconciler,
    gather_or_first_error,
    in_growing_batches,
    index_by_controller,
)
from orchestrator.objects.kinds import PODS, REPLICASETS, REPLICATIONCONTROLLERS, Resource
from orchestrator.objects.meta import Key, Obj, controller_of, is_deleting, key_of, labels_of, uid_of
from orchestrator.objects.selectors import LabelSelector, label_selector_from_map, label_selector_from_object
from orchestrator.reconcilers.ownership import claim_objects

BURST = 500  # pods created or deleted in one turn; the next turn follows at once


@dataclass
class Plan:
    create: int = 0
    delete: list[Obj] = field(default_factory=list)


def plan_replicas(wanted: int, pods: Sequence[Obj], now: datetime, related: Sequence[Obj] | None = None) -> Plan:
    """The creates and deletes that leave `wanted` live pods; `related`: those of all sets of the same Deployment."""
    live = [pod for pod in pods if podlib.is_active(pod)]
    surplus = len(live) - wanted
    if surplus < 0:
        return Plan(create=min(-surplus, BURST))
    return Plan(delete=podlib.deletion_order(live, now, related)[: min(surplus, BURST)] if surplus else [])


def observe_replicas(
    owner: Obj, pods: Sequence[Obj], now: datetime, failure: ApiError | None = None, creating: bool = False
) -> dict[str, Any]:
    """The status that `pods` give `owner`."""
    spec, old = owner["spec"], owner.get("status") or {}
    min_ready = spec.get("minReadySeconds") or 0
    template_labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    live = [pod for pod in pods if podlib.is_active(pod)]
    counts = {
        "replicas": len(live),
        "fullyLabeledReplicas": sum(template_labels.items() <= labels_of(pod).items() for pod in live),
        "readyReplicas": sum(map(podlib.is_ready, live)),
        "availableReplicas": sum(podlib.is_available(pod, min_ready, now) for pod in live),
    }
    status: dict[str, Any] = {"replicas": counts.pop("replicas")}
    status.update({name: count for name, count in counts.items() if count})
    status["observedGeneration"] = owner["metadata"].get("generation") or 0
    conditions = podlib.without_condition(old.get("conditions") or (), "ReplicaFailure")
    if failure is not None:
        conditions = podlib.set_condition(
            old.get("conditions") or (),
            {
                "type": "ReplicaFailure",
                "status": "True",
                "reason": "FailedCreate" if creating else "FailedDelete",
                "message": failure.message,
            },
            rfc3339(now),
        )
    if conditions:
        status["conditions"] = conditions
    return status


def next_availability(pods: Sequence[Obj], min_ready: int, now: datetime) -> float | None:
    """Seconds until the next ready pod becomes available, None when none is on its way."""
    waits = [wait for pod in pods if podlib.is_active(pod) and (wait := podlib.available_in(pod, min_ready, now))]
    return min(waits) if waits else None


class ReplicaSetReconciler(Reconciler):
    name = "replicaset"
    resource: ClassVar[Resource] = REPLICASETS
    component: ClassVar[str] = "replicaset-controller"

    def setup(self) -> None:
        self.sets = self.follow_wishes(self.resource)
        self.pods = self.follow_owned(PODS, self.resource.kind)
        index_by_controller(self.sets)
        self.sets.add_index("namespace", lambda obj: (key_of(obj).namespace,))
        self.pods.add_handler(self._orphan_seen)

    def _orphan_seen(self, old: Obj | None, new: Obj | None) -> None:
        """A pod without a controller may be one that a set waits for, or has just let go."""
        if new is None or controller_of(new) is not None or is_deleting(new):
            return
        if self.sets.synced.is_set():
            for owner in self.sets.indexed("namespace", key_of(new).namespace):
                if self.selector(owner).matches(labels_of(new)):
                    self.queue.add(key_of(owner))

    def selector(self, owner: Obj) -> LabelSelector:
        return label_selector_from_object(owner["spec"].get("selector"))

    async def reconcile(self, key: Key) -> float | None:
        owner = self.sets.get(key)
        if owner is None:
            return None
        pods = await claim_objects(self.api, self.resource, owner, self.selector(owner), PODS, self.pods)
        failure, creating = None, False
        wanted = _replicas(owner)
        if not is_deleting(owner):
            plan = plan_replicas(wanted, pods, self.clock.now(), self._related(owner))
            creating = bool(plan.create)
            failure = await self._apply(owner, plan)
            pods = list(self.pods.indexed("controller", uid_of(owner)))
        now = self.clock.now()
        owner = self.sets.with_newest_status(owner)
        status = observe_replicas(owner, pods, now, failure, creating)
        await self._write_status(owner, status)
        if failure is not None:
            raise failure
        if not is_deleting(owner) and plan_replicas(wanted, pods, now) != Plan():
            return 0.0
        return next_availability(pods, owner["spec"].get("minReadySeconds") or 0, now)

    def _related(self, owner: Obj) -> list[Obj] | None:
        """The pods of all sets that share this one's controller."""
        above = controller_of(owner)
        if above is None:
            return None
        sets = self.sets.indexed("controller", above["uid"])
        return [pod for one in sets for pod in self.pods.indexed("controller", uid_of(one))]

    async def _write_status(self, owner: Obj, status: dict[str, Any]) -> None:
        try:
            await self.api.update_status(self.resource, owner, status)
        except NotFound:
            return

    async def _apply(self, owner: Obj, plan: Plan) -> ApiError | None:
        """Do what `plan` says; the failure that kept a part of it from being done."""
        try:
            await gather_or_first_error(self._delete_pod(owner, pod) for pod in plan.delete)
            await in_growing_batches([lambda: self._create_pod(owner)] * plan.create)
        except ApiError as error:
            return error
        return None

    async def _create_pod(self, owner: Obj) -> None:
        try:
            pod = await self.api.create(PODS, podlib.pod_from_template(owner["spec"]["template"], owner))
        except ApiError as error:
            if not _namespace_is_going(error):
                self.events.warning(owner, "FailedCreate", f"Error creating: {error.message}", component=self.component)
            raise
        name = pod["metadata"]["name"]
        self.events.normal(owner, "SuccessfulCreate", f"Created pod: {name}", component=self.component)

    async def _delete_pod(self, owner: Obj, pod: Obj) -> None:
        name = pod["metadata"]["name"]
        try:
            deleted = await self.api.delete(PODS, pod)
        except ApiError as error:
            self.events.warning(owner, "FailedDelete", f"Error deleting: {error.message}", component=self.component)
            raise
        if deleted:
            self.events.normal(owner, "SuccessfulDelete", f"Deleted pod: {name}", component=self.component)


class ReplicationControllerReconciler(ReplicaSetReconciler):
    name = "replicationcontroller"
    resource = REPLICATIONCONTROLLERS
    component = "replication-controller"

    def selector(self, owner: Obj) -> LabelSelector:
        return label_selector_from_map(owner["spec"].get("selector"))


def _replicas(owner: Obj) -> int:
    replicas = owner["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _namespace_is_going(error: ApiError) -> bool:
    return isinstance(error, Forbidden) and any(cause.get("reason") == "NamespaceTerminating" for cause in error.causes)
