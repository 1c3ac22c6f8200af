"""The scheduler: takes waiting pods by priority, decides, binds; tells of what has no place, and retries on change.

Deciding is synchronous over the snapshot; bindings and status writes run beside it, so a slow disk delays no decision.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from orchestrator.errors import ApiError, Conflict, NotFound
from orchestrator.machinery.clock import rfc3339
from orchestrator.machinery.pods import is_finished, set_condition
from orchestrator.machinery.reconciler import World, gather_or_first_error
from orchestrator.objects.kinds import (
    NAMESPACES,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODDISRUPTIONBUDGETS,
    PODS,
    STORAGECLASSES,
)
from orchestrator.objects.meta import Key, Obj, annotations_of, is_deleting, key_of, labels_of, uid_of
from orchestrator.scheduler import filters
from orchestrator.scheduler.decide import Decider, Decision
from orchestrator.scheduler.preemption import Victims, is_eligible, plan_preemption
from orchestrator.scheduler.queue import SchedulingQueue, Waiting
from orchestrator.scheduler.snapshot import NodeInfo, PodInfo, Snapshot
from orchestrator.scheduler.volumes import SELECTED_NODE, Volumes, is_bound

log = logging.getLogger(__name__)

NAME = "default-scheduler"
BINDINGS = 128  # under way at once
CLAIM_DEADLINE = 60.0  # seconds for a claim to be bound once its pod has a node
TURN = 8  # decisions between two turns of the event loop
RETELL, REPEAT = 5.0, 60.0  # seconds before a pod is told of another reason, and again of the same one

ROOM, NODE, POD, VOLUME = "room", "node", "pod", "volume"
"""Events that can help a parked pod."""


def helped_by(decision: Decision) -> set[str]:
    """The events that can undo what refused the pod."""
    if decision.problem:
        return {VOLUME}
    events = {NODE}
    for reasons in decision.refusals.values():
        for reason in reasons:
            if reason.startswith(("Insufficient", filters.TOO_MANY, filters.PORTS)):
                events.add(ROOM)
            elif reason in (filters.POD_AFFINITY, filters.POD_ANTI_AFFINITY, filters.REPELLED, filters.SPREAD):
                events.update((POD, ROOM))
            elif "volume" in reason:
                events.add(VOLUME)
    return events


class Scheduler:
    name = "scheduler"

    def __init__(self, world: World) -> None:
        self.world, self.api, self.clock, self.events = world, world.api, world.clock, world.events
        self.snapshot = Snapshot()
        self.queue = SchedulingQueue(self.clock)
        informers = world.informers
        self.namespaces = informers.of(NAMESPACES)
        self.nodes = informers.of(NODES)
        self.budgets = informers.of(PODDISRUPTIONBUDGETS)
        self.volumes = Volumes(
            informers.of(PERSISTENTVOLUMECLAIMS), informers.of(PERSISTENTVOLUMES), informers.of(STORAGECLASSES)
        )
        self.decider = Decider(self.snapshot, self._namespace_labels, self.volumes)
        self._refused: dict[tuple[object, ...], tuple[int, Decision]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._bindings = asyncio.Semaphore(BINDINGS)
        self.nodes.add_handler(self._node_changed)
        self.pods = informers.of(PODS)
        self.pods.add_handler(self._pod_changed)
        for informer in (self.volumes.claims, self.volumes.volumes, self.volumes.classes):
            informer.add_handler(lambda old, new: self.queue.helpful(VOLUME))

    def _namespace_labels(self, name: str) -> Mapping[str, str]:
        namespace = self.namespaces.get(Key("", name))
        return labels_of(namespace) if namespace else {}

    # following

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        name = key_of(new or old or {}).name
        if self.snapshot.node_changed(name, new) and new is not None:
            self.queue.helpful(NODE)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        pod = new or old
        assert pod is not None
        uid = uid_of(pod)
        if new is None or is_finished(new):
            self._pod_left(uid)
        elif new["spec"].get("nodeName"):
            self.queue.remove(uid)
            self.decider.drop_nomination(uid)
            known = self.snapshot.where(uid)
            self.snapshot.pod_changed(new)
            if not known or (old is not None and labels_of(old) != labels_of(new)):
                self.queue.helpful(POD)
        elif is_deleting(new) or not _is_ours(new):
            self._pod_left(uid)
        elif not self.snapshot.where(uid):
            self.queue.add(PodInfo(new))

    def _pod_left(self, uid: str) -> None:
        self.queue.remove(uid)
        self.decider.drop_nomination(uid)
        if self.snapshot.pod_gone(uid):
            self.queue.helpful(ROOM)

    # deciding

    async def run(self) -> None:
        """Schedule until cancelled; unfinished bindings are cancelled with it."""
        try:
            turns = 0
            while True:
                waiting = await self.queue.get()
                self.schedule(waiting)
                turns += 1
                if turns % TURN == 0 or self._bindings.locked():
                    await asyncio.sleep(0)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def schedule(self, waiting: Waiting) -> None:
        """One decision, and what follows from it."""
        pod = waiting.pod
        current = self.pods.get(pod.key)
        if current is None or uid_of(current) != pod.uid or current["spec"].get("nodeName"):
            return
        if current["spec"].get("schedulingGates"):
            self.queue.park(waiting, ())
            self._spawn(self._report(pod, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates"))
            return
        decision = self._decide(pod)
        if decision.node:
            self.snapshot.assume(pod, decision.node)
            self._spawn(self._bind(waiting, decision.node))
            return
        self._refuse(waiting, pod, decision)

    def _decide(self, pod: PodInfo) -> Decision:
        """Many copies of one pod that has no place are refused by one decision, while nothing changes."""
        special = pod.ports or pod.claims or pod.spread or pod.affinity or pod.anti_affinity
        if special or self.snapshot.repelling or self.decider.nominated:
            return self.decider.decide(pod)
        shape = (pod.static_signature, tuple(sorted(pod.requests.items())), pod.priority)
        known = self._refused.get(shape)
        if known is not None and known[0] == self.snapshot.changes:
            return known[1]
        decision = self.decider.decide(pod)
        if decision.node:
            self._refused.pop(shape, None)
        else:
            if len(self._refused) > 256:
                self._refused.clear()
            self._refused[shape] = (self.snapshot.changes, decision)
        return decision

    def _refuse(self, waiting: Waiting, pod: PodInfo, decision: Decision) -> None:
        """Park the pod, preempt for it if that helps, and tell why it waits."""
        message = decision.message(len(self.snapshot.order))
        self.queue.park(waiting, helped_by(decision))
        victims = self._victims(pod, decision)
        if victims is not None:
            self.decider.nominate(pod, victims.node)
            waiting.helped_by |= {ROOM}
            self._spawn(self._preempt(pod, victims))
        elif decision.refusals:
            message += f" preemption: {self._why_no_preemption(pod, decision)}"
        self._tell(waiting, message, victims.node if victims else "")

    def _tell(self, waiting: Waiting, message: str, nominated: str) -> None:
        """Report why the pod waits, unless that was just done; a new reason that comes too soon is told later."""
        now = self.clock.monotonic()
        due = waiting.told_at + (REPEAT if message == waiting.told else RETELL)
        if nominated or not waiting.told or now >= due:
            waiting.told, waiting.told_at, waiting.untold = message, now, ""
            self._spawn(self._report(waiting.pod, "Unschedulable", message, nominated))
        elif message != waiting.told:
            if not waiting.untold:
                self.clock.call_later(due - now, lambda: self._tell_late(waiting))
            waiting.untold = message

    def _tell_late(self, waiting: Waiting) -> None:
        if waiting.untold and waiting.state in ("parked", "backoff", "active"):
            self._tell(waiting, waiting.untold, "")

    def _victims(self, pod: PodInfo, decision: Decision) -> Victims | None:
        nominated = next((name for name, pods in self.decider.nominated.items() if pod.uid in pods), "")
        if not decision.refusals or not is_eligible(pod, self.snapshot.nodes.get(nominated)):
            return None
        if not any(other.priority < pod.priority for node in self.snapshot.order for other in node.pods.values()):
            return None
        return plan_preemption(
            pod,
            self.snapshot.nodes,
            decision.refusals,
            list(self.budgets),
            lambda node: self._would_fit(pod, node),
        )

    def _would_fit(self, pod: PodInfo, changed: NodeInfo) -> bool:
        """Whether the pod could run on a node as thought up; counts over other nodes see that one instead."""
        real = self.snapshot.nodes[changed.name]
        order = self.snapshot.order
        self.snapshot.order = [changed if node is real else node for node in order]
        self.snapshot.nodes[changed.name] = changed
        try:
            staying = {uid: other for uid, other in self.snapshot.repelling.items() if uid in changed.pods
                       or self.snapshot.where(uid) != changed.name}  # fmt: skip
            repelling, self.snapshot.repelling = self.snapshot.repelling, staying
            try:
                return not self.decider.reasons(pod, changed, self.decider.topology(pod))
            finally:
                self.snapshot.repelling = repelling
        finally:
            self.snapshot.order, self.snapshot.nodes[changed.name] = order, real

    def _why_no_preemption(self, pod: PodInfo, decision: Decision) -> str:
        """As Kubernetes words it, for each node."""
        total = len(self.snapshot.order)
        if not pod.preempts:
            return "not eligible due to preemptionPolicy=Never.."
        hopeless = sum(filters.is_hopeless(reasons) for reasons in decision.refusals.values())
        counts = {
            "Preemption is not helpful for scheduling": hopeless,
            "No preemption victims found for incoming pod": total - hopeless,
        }
        return filters.render_refusal(total, {reason: count for reason, count in counts.items() if count})

    # writing

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bind(self, waiting: Waiting, node: str) -> None:
        pod = waiting.pod
        async with self._bindings:
            try:
                await self._bind_claims(pod, node)
                await self.api.create_subresource(PODS, pod.key, "binding", _binding(pod, node))
            except NotFound as error:
                self.snapshot.forget(pod.uid)
                if self.pods.get(pod.key) is not None:
                    self._failed(waiting, node, error.message)
            except (ApiError, TimeoutError, OSError) as error:
                self.snapshot.forget(pod.uid)
                self._failed(waiting, node, str(error))
            except Exception:
                self.snapshot.forget(pod.uid)
                log.exception("binding of %s to %s failed", pod.key, node)
                self._failed(waiting, node, "the scheduler failed; see its log")
            else:
                self.decider.drop_nomination(pod.uid)
                self.events.normal(pod.obj, "Scheduled", f"Successfully assigned {pod.key} to {node}", component=NAME)

    def _failed(self, waiting: Waiting, node: str, why: str) -> None:
        log.warning("binding of %s to %s failed: %s; trying again", waiting.pod.key, node, why)
        self.events.warning(waiting.pod.obj, "FailedScheduling", f"binding rejected: {why}", component=NAME)
        self.queue.retry(waiting)
        self.queue.helpful(ROOM)

    async def _bind_claims(self, pod: PodInfo, node: str) -> None:
        """Say where claims that waited for the pod shall be provisioned, and wait until they are."""
        for claim in self.volumes.unbound(pod):
            key = key_of(claim)
            if annotations_of(claim).get(SELECTED_NODE) != node:
                patch = {"metadata": {"annotations": {SELECTED_NODE: node}}}
                await self.api.patch(PERSISTENTVOLUMECLAIMS, key.name, key.namespace, patch=patch)
            bound = await self.volumes.claims.until(key, lambda now: now is None or is_bound(now), CLAIM_DEADLINE)
            if not bound:
                raise TimeoutError(f'claim "{key.name}" was not bound within {CLAIM_DEADLINE:.0f} s; see its events')

    async def _report(self, pod: PodInfo, reason: str, message: str, nominated: str = "") -> None:
        """Tell on the pod, and in an event, why it has no node."""
        current = self.pods.get(pod.key)
        if current is None or uid_of(current) != pod.uid or current["spec"].get("nodeName"):
            return
        if reason != "SchedulingGated":
            self.events.warning(current, "FailedScheduling", message, component=NAME)
        status = dict(current.get("status") or {})
        condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
        status["conditions"] = set_condition(status.get("conditions") or (), condition, rfc3339(self.clock.now()))
        if nominated:
            status["nominatedNodeName"] = nominated
        try:
            await self.api.update_status(PODS, current, status)
        except (NotFound, Conflict):
            return
        except ApiError as error:
            log.warning("could not tell why %s has no node: %s", pod.key, error.message)

    async def _preempt(self, pod: PodInfo, victims: Victims) -> None:
        try:
            await gather_or_first_error(self._evict(victim, pod) for victim in victims.pods)
        except ApiError as error:
            log.warning("preemption for %s on %s failed: %s", pod.key, victims.node, error.message)
            self.decider.drop_nomination(pod.uid)

    async def _evict(self, victim: PodInfo, pod: PodInfo) -> None:
        current = self.pods.get(victim.key)
        if current is None or uid_of(current) != victim.uid or is_deleting(current):
            return
        status = dict(current.get("status") or {})
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "PreemptionByScheduler",
            "message": f"{NAME}: preempting to accommodate a higher priority pod",
        }
        status["conditions"] = set_condition(status.get("conditions") or (), condition, rfc3339(self.clock.now()))
        try:
            current = await self.api.update_status(PODS, current, status)
        except (NotFound, Conflict) as error:
            log.debug("victim %s changed meanwhile: %s", victim.key, error.message)
        await self.api.delete(PODS, current)
        node = self.snapshot.where(victim.uid)
        self.events.normal(current, "Preempted", f"Preempted by pod {pod.uid} on node {node}", component=NAME)


def _is_ours(pod: Obj) -> bool:
    return (pod["spec"].get("schedulerName") or NAME) == NAME


def _binding(pod: PodInfo, node: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": pod.key.name, "namespace": pod.key.namespace, "uid": pod.uid},
        "target": {"apiVersion": "v1", "kind": "Node", "name": node},
    }
