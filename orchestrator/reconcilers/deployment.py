"""Deployments: one ReplicaSet a revision, grown and shrunk so that the rollout never leaves its limits.

What to do is in `deployment_plan`, `deployment_revisions` and `deployment_status`, all pure; this reads and writes.
Source: kubernetes pkg/controller/deployment.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from orchestrator.errors import AlreadyExists, ApiError, NotFound
from orchestrator.machinery import pods as podlib
from orchestrator.machinery.reconciler import (
    Reconciler,
    Retry,
    crowd_delay,
    gather_or_first_error,
    index_by_controller,
    wish_of,
)
from orchestrator.objects.kinds import DEPLOYMENTS, PODS, REPLICASETS
from orchestrator.objects.meta import Key, Obj, annotations_of, controller_of, is_deleting, key_of, uid_of
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.reconcilers.deployment_plan import (
    SetView,
    is_scaling_event,
    limits_of,
    plan_new_size,
    plan_rolling,
    plan_scaling,
)
from orchestrator.reconcilers.deployment_revisions import (
    REVISION,
    annotations_for,
    is_complete,
    newest_set,
    next_revision,
    plan_cleanup,
    render_set,
    sizing_annotations,
)
from orchestrator.reconcilers.deployment_status import (
    noted_progress,
    observe_deployment,
    pause_transition,
    seconds_to_deadline,
)
from orchestrator.reconcilers.ownership import claim_objects
from orchestrator.reconcilers.replicaset import next_availability

COMPONENT = "deployment-controller"


class DeploymentReconciler(Reconciler):
    name = "deployment"

    def setup(self) -> None:
        self.deployments = self.follow(DEPLOYMENTS)
        self.sets = self.informer(REPLICASETS)
        index_by_controller(self.sets)
        self.sets.add_handler(self._set_changed)
        self.pods = self.informer(PODS)
        index_by_controller(self.pods)
        self.pods.add_handler(self._pod_changed)

    def _set_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and new is not None and _telling(old) == _telling(new):
            return
        for one in (old, new):
            owner = controller_of(one) if one is not None else None
            if one is not None and owner is not None and owner["kind"] == "Deployment":
                self.queue.add(Key(key_of(one).namespace, owner["name"]))

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old
        owner = controller_of(pod) if pod is not None else None
        if pod is None or owner is None or owner["kind"] != "ReplicaSet":
            return
        namespace = key_of(pod).namespace
        replica_set = self.sets.get(Key(namespace, owner["name"]))
        above = controller_of(replica_set) if replica_set else None
        if above is not None and above["kind"] == "Deployment":
            delay = crowd_delay(self.pods.count("controller", owner["uid"]))
            self.queue.add_after(Key(namespace, above["name"]), delay)

    async def reconcile(self, key: Key) -> float | None:
        deployment = self.deployments.get(key)
        if deployment is None:
            return None
        selector = label_selector_from_object(deployment["spec"].get("selector"))
        if selector.is_everything:
            self.events.warning(
                deployment, "SelectingAll",
                "This deployment is selecting all pods. A non-empty selector is required.", component=COMPONENT,
            )  # fmt: skip
            return None
        owned = await claim_objects(self.api, DEPLOYMENTS, deployment, selector, REPLICASETS, self.sets)
        if not is_deleting(deployment):
            if (told := pause_transition(deployment, self.clock.now())) is not None:
                deployment = await self.api.update_status(DEPLOYMENTS, deployment, told)
            await self._drive(deployment, owned)
        return await self._report(key)

    async def _drive(self, deployment: Obj, owned: list[Obj]) -> None:
        new = newest_set(deployment, owned)
        olds = [one for one in owned if one is not new]
        views = [self._view(one) for one in owned]
        paused = bool(deployment["spec"].get("paused"))
        if paused or is_scaling_event(deployment, views):
            await self._scale_all(deployment, new, olds)
            return
        if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            await self._recreate(deployment, new, olds)
        else:
            new = await self._newest(deployment, new, olds)
            if new is None:
                return
            limits = limits_of(deployment)
            sizes = plan_rolling(limits, self._view(new), [self._view(old) for old in olds])
            await self._resize(deployment, [new, *olds], sizes)
        await self._clean_up(deployment, olds)

    # steps

    async def _scale_all(self, deployment: Obj, new: Obj | None, olds: list[Obj]) -> None:
        """The Deployment was scaled, or is paused: sizes change, revisions don't."""
        if new is not None:
            new = await self._annotate(deployment, new, olds)
        sizes = plan_scaling(
            limits_of(deployment),
            self._view(new) if new else None,
            [self._view(old) for old in olds],
            (deployment.get("status") or {}).get("replicas", 0),
        )
        every = [*([new] if new else []), *olds]
        await self._resize(deployment, every, sizes)
        marks = sizing_annotations(limits_of(deployment))
        for one in every:  # those that kept their size are marked too, or this would look unfinished for ever
            if one["metadata"]["name"] not in sizes and one["spec"].get("replicas"):
                await self._mark(one, marks)

    async def _recreate(self, deployment: Obj, new: Obj | None, olds: list[Obj]) -> None:
        """All old pods end before the first new one starts."""
        sizes = {old["metadata"]["name"]: 0 for old in olds if old["spec"].get("replicas")}
        if sizes:
            await self._resize(deployment, olds, sizes)
        if any(not podlib.is_finished(pod) for old in olds for pod in self.pods.indexed("controller", uid_of(old))):
            return
        if (new := await self._newest(deployment, new, olds)) is not None:
            desired = limits_of(deployment).desired
            await self._resize(deployment, [new], {new["metadata"]["name"]: desired})

    async def _newest(self, deployment: Obj, new: Obj | None, olds: list[Obj]) -> Obj | None:
        """The newest set, made if it is missing; None when it could not be made yet."""
        if new is not None:
            return await self._annotate(deployment, new, olds)
        limits = limits_of(deployment)
        room = sum(self._view(old).room for old in olds)
        size = plan_new_size(limits, 0, 0, room)
        if (deployment["spec"].get("strategy") or {}).get("type") == "Recreate":
            size = limits.desired
        wanted = render_set(deployment, size, limits, next_revision(olds))
        name = wanted["metadata"]["name"]
        try:
            new = await self.api.create(REPLICASETS, wanted)
        except AlreadyExists:
            await self._collided(deployment, name)
            return None
        except ApiError as error:
            status = noted_progress(deployment, "ReplicaSetCreateError", error.message, self.clock.now(), "False")
            await self._write_status(deployment, status)
            raise
        if size:
            self._scaled(deployment, "up", name, 0, size)
        note = noted_progress(deployment, "NewReplicaSetCreated", f'Created new replica set "{name}"', self.clock.now())
        deployment = await self._set_revision(deployment, new)
        await self._write_status(deployment, note)
        return new

    async def _collided(self, deployment: Obj, name: str) -> None:
        """Another template's set has our name: count it into the hash. Our own set, not cached yet: wait for it."""
        try:
            found = await self.api.get(REPLICASETS, name, key_of(deployment).namespace)
        except NotFound:
            raise Retry(0.05, f"replica set {name} is going away") from None
        if newest_set(deployment, [found]) and (controller_of(found) or {}).get("uid") == uid_of(deployment):
            raise Retry(0.05, f"replica set {name} is not in the cache yet")
        status = dict(deployment.get("status") or {})
        status["collisionCount"] = (status.get("collisionCount") or 0) + 1
        await self.api.update_status(DEPLOYMENTS, deployment, status)
        raise Retry(0.001, f"the name {name} is taken by another template")

    async def _annotate(self, deployment: Obj, new: Obj, olds: list[Obj]) -> Obj:
        """Keep the newest set's annotations and minReadySeconds as the Deployment says."""
        existing = annotations_of(new)
        wanted = annotations_for(deployment, existing, next_revision(olds))
        patch: dict[str, Any] = {}
        if wanted != existing:
            patch["metadata"] = {"annotations": wanted}
        min_ready = deployment["spec"].get("minReadySeconds") or 0
        if (new["spec"].get("minReadySeconds") or 0) != min_ready:
            patch["spec"] = {"minReadySeconds": min_ready}
        if patch:
            key = key_of(new)
            new = await self.api.patch(REPLICASETS, key.name, key.namespace, patch=patch)
        await self._set_revision(deployment, new)
        return new

    async def _set_revision(self, deployment: Obj, new: Obj) -> Obj:
        revision = annotations_of(new).get(REVISION)
        if not revision or annotations_of(deployment).get(REVISION) == revision:
            return deployment
        patch = {"metadata": {"annotations": {REVISION: revision}}}
        key = key_of(deployment)
        return await self.api.patch(DEPLOYMENTS, key.name, key.namespace, patch=patch)

    async def _resize(self, deployment: Obj, sets: list[Obj], sizes: dict[str, int]) -> None:
        """Write new sizes, those that grow together with those that shrink."""
        marks = sizing_annotations(limits_of(deployment))
        await gather_or_first_error(
            self._resize_one(deployment, one, sizes[one["metadata"]["name"]], marks)
            for one in sets
            if one["metadata"]["name"] in sizes
        )

    async def _resize_one(self, deployment: Obj, one: Obj, size: int, marks: dict[str, str]) -> None:
        before = one["spec"].get("replicas") or 0
        if before == size:
            await self._mark(one, marks)
            return
        key = key_of(one)
        patch = {
            "metadata": {"annotations": marks, "resourceVersion": one["metadata"]["resourceVersion"]},
            "spec": {"replicas": size},
        }
        await self.api.patch(REPLICASETS, key.name, key.namespace, patch=patch)
        self._scaled(deployment, "up" if size > before else "down", key.name, before, size)

    async def _mark(self, one: Obj, marks: dict[str, str]) -> None:
        if not marks.items() <= annotations_of(one).items():
            key = key_of(one)
            await self.api.patch(REPLICASETS, key.name, key.namespace, patch={"metadata": {"annotations": marks}})

    def _scaled(self, deployment: Obj, way: str, name: str, before: int, after: int) -> None:
        message = f"Scaled {way} replica set {name} from {before} to {after}"
        self.events.normal(deployment, "ScalingReplicaSet", message, component=COMPONENT)

    async def _clean_up(self, deployment: Obj, olds: list[Obj]) -> None:
        if is_complete(deployment, deployment.get("status") or {}):
            live = {old["metadata"]["name"] for old in olds if self.pods.count("controller", uid_of(old))}
            for old in plan_cleanup(deployment, olds, live):
                await self.api.delete(REPLICASETS, old)

    # reporting

    async def _report(self, key: Key) -> float | None:
        deployment = self.deployments.get(key)
        if deployment is None:
            return None
        owned = self.sets.indexed("controller", uid_of(deployment))
        new = newest_set(deployment, owned)
        now = self.clock.now()
        views = [self._view(one, now) for one in owned if one is not new]
        status = observe_deployment(deployment, self._view(new, now) if new else None, views, now)
        await self._write_status(deployment, status)
        return self._next_turn({**deployment, "status": status}, owned, now)

    def _next_turn(self, deployment: Obj, owned: list[Obj], now: datetime) -> float | None:
        """When time alone will change something: a pod becomes available, the deadline passes.

        `now` is the moment of the report: what has changed since then is still to come.
        """
        pods = [pod for one in owned for pod in self.pods.indexed("controller", uid_of(one))]
        waits = [
            next_availability(pods, deployment["spec"].get("minReadySeconds") or 0, now),
            seconds_to_deadline(deployment, podlib.condition_of(deployment, "Progressing"), now),
        ]
        due = [max(wait, 0.01) for wait in waits if wait is not None]
        return min(due) if due else None

    async def _write_status(self, deployment: Obj, status: dict[str, Any]) -> None:
        try:
            await self.api.update_status(DEPLOYMENTS, deployment, status)
        except NotFound:
            return

    def _view(self, replica_set: Obj, now: datetime | None = None) -> SetView:
        pods = [pod for pod in self.pods.indexed("controller", uid_of(replica_set)) if podlib.is_active(pod)]
        now, min_ready = now or self.clock.now(), replica_set["spec"].get("minReadySeconds") or 0
        return SetView(
            obj=replica_set,
            size=replica_set["spec"].get("replicas", 1),
            active=len(pods),
            ready=sum(map(podlib.is_ready, pods)),
            available=sum(podlib.is_available(pod, min_ready, now) for pod in pods),
        )


def _telling(replica_set: Obj) -> tuple[Any, ...]:
    """What of a set matters here: pods are counted from the pods themselves, not from its status."""
    status = replica_set.get("status") or {}
    return wish_of(replica_set), status.get("conditions"), not status.get("replicas"), status.get("observedGeneration")
