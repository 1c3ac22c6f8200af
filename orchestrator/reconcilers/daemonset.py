"""DaemonSets: a pod on every node that should have one."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from orchestrator.errors import ApiError, NotFound
from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import parse_time
from orchestrator.machinery.reconciler import Reconciler, gather_or_first_error, in_growing_batches
from orchestrator.machinery.workqueue import retry_delay
from orchestrator.objects.kinds import CONTROLLERREVISIONS, DAEMONSETS, NODES, PODS
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of, labels_of, uid_of
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.reconcilers.daemonset_plan import (
    Plan,
    node_of,
    observe_daemonset,
    plan_placement,
    plan_rolling,
    render_pod,
)
from orchestrator.reconcilers.history import HASH, current_revision, hash_of, plan_trim
from orchestrator.reconcilers.ownership import claim_objects
from orchestrator.reconcilers.replicaset import next_availability

COMPONENT = "daemonset-controller"


class DaemonSetReconciler(Reconciler):
    name = "daemonset"
    workers = 2

    def setup(self) -> None:
        self._failures: dict[tuple[str, str], int] = {}
        self.sets = self.follow(DAEMONSETS)
        self.pods = self.follow_owned(PODS, "DaemonSet")
        self.revisions = self.follow_owned(CONTROLLERREVISIONS, "DaemonSet")
        self.nodes = self.informer(NODES)
        self.nodes.add_handler(self._node_changed)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and new is not None and _offer(old) == _offer(new):
            return
        for key in self.sets.keys():
            self.queue.add(key)

    async def reconcile(self, key: Key) -> float | None:
        daemonset = self.sets.get(key)
        if daemonset is None:
            return None
        selector = label_selector_from_object(daemonset["spec"].get("selector"))
        pods = await claim_objects(self.api, DAEMONSETS, daemonset, selector, PODS, self.pods)
        if is_deleting(daemonset):
            return None
        revision = await current_revision(self.api, self.revisions, daemonset)
        now = self.clock.now()  # of the whole turn: what becomes available after it is still to come
        delay = await self._drive(daemonset, pods, hash_of(revision), now)
        pods = self.pods.indexed("controller", uid_of(daemonset))
        daemonset = self.sets.with_newest_status(daemonset)
        status = observe_daemonset(daemonset, list(self.nodes), pods, hash_of(revision), now)
        try:
            await self.api.update_status(DAEMONSETS, daemonset, status)
        except NotFound:
            return None
        await self._trim(daemonset, revision, pods)
        waits = [delay, next_availability(pods, daemonset["spec"].get("minReadySeconds") or 0, now)]
        return min((wait for wait in waits if wait is not None), default=None)

    async def _drive(self, daemonset: Obj, pods: list[Obj], revision: str, now: datetime) -> float | None:
        nodes = list(self.nodes)
        plan = plan_placement(daemonset, nodes, pods)
        delay = self._hold_back_failures(daemonset, plan)
        await self._apply(daemonset, plan, revision)
        strategy = (daemonset["spec"].get("updateStrategy") or {}).get("type") or "RollingUpdate"
        if strategy == "RollingUpdate":
            pods = self.pods.indexed("controller", uid_of(daemonset))
            await self._apply(daemonset, plan_rolling(daemonset, nodes, pods, revision, now), revision)
        return delay

    def _hold_back_failures(self, daemonset: Obj, plan: Plan) -> float | None:
        """A pod that fails on a node again and again is replaced ever later."""
        delays: list[float] = []
        for pod in plan.failed:
            where = (uid_of(daemonset), node_of(pod))
            failures = self._failures[where] = self._failures.get(where, 0) + 1
            if failures > 1:
                delays.append(retry_delay(min(failures + 7, 40)))
            name = pod["metadata"]["name"]
            message = f"Found failed daemon pod {key_of(pod)} on node {node_of(pod)}, will try to kill it"
            self.events.warning(daemonset, "FailedDaemonPod", message, component=COMPONENT)
            if failures > 1 and self._is_too_soon(pod, delays[-1]):
                plan.delete = [one for one in plan.delete if one["metadata"]["name"] != name]
                self._failures[where] -= 1
        return min(delays) if delays else None

    def _is_too_soon(self, pod: Obj, delay: float) -> bool:
        age = (self.clock.now() - parse_time(podlib.created_at(pod))).total_seconds()
        return age < delay

    async def _apply(self, daemonset: Obj, plan: Plan, revision: str) -> None:
        await gather_or_first_error(self._delete_pod(daemonset, pod) for pod in plan.delete)
        calls = [partial(self._create_pod, daemonset, node, revision) for node in plan.create]
        await in_growing_batches(calls)

    async def _create_pod(self, daemonset: Obj, node: str, revision: str) -> None:
        try:
            pod = await self.api.create(PODS, render_pod(daemonset, node, revision))
        except ApiError as error:
            self.events.warning(daemonset, "FailedCreate", f"Error creating: {error.message}", component=COMPONENT)
            raise
        name = pod["metadata"]["name"]
        self.events.normal(daemonset, "SuccessfulCreate", f"Created pod: {name}", component=COMPONENT)

    async def _delete_pod(self, daemonset: Obj, pod: Obj) -> None:
        if await self.api.delete(PODS, pod):
            name = pod["metadata"]["name"]
            self.events.normal(daemonset, "SuccessfulDelete", f"Deleted pod: {name}", component=COMPONENT)

    async def _trim(self, daemonset: Obj, revision: Obj, pods: list[Obj]) -> None:
        limit = daemonset["spec"].get("revisionHistoryLimit")
        hashes = {labels_of(pod).get(HASH) for pod in pods}
        revisions = self.revisions.indexed("controller", uid_of(daemonset))
        in_use = {one["metadata"]["name"] for one in revisions if hash_of(one) in hashes}
        in_use.add(revision["metadata"]["name"])
        for one in plan_trim(revisions, in_use, 10 if limit is None else int(limit)):
            await self.api.delete(CONTROLLERREVISIONS, one)


def _offer(node: Obj) -> tuple[object, ...]:
    spec = node.get("spec") or {}
    return labels_of(node), spec.get("taints"), spec.get("unschedulable")
