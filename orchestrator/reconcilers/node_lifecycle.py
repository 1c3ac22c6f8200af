"""Nodes: whose lease runs out is not ready, is tainted so, and its pods leave when their tolerance ends.

Source: kubernetes pkg/controller/nodelifecycle and tainteviction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.errors import Conflict, NotFound
from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import parse_time, rfc3339
from orchestrator.machinery.reconciler import Reconciler, gather_or_first_error
from orchestrator.machinery.tolerations import eviction_delay
from orchestrator.objects.kinds import LEASES, NODES, PODS
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of

LEASE_NAMESPACE = "kube-node-lease"
GRACE = 40.0  # seconds without a renewed lease before a node counts as lost; the agent renews every 10
START_GRACE = 60.0  # seconds a new node may take for its first status
NOBODY_LEFT = 10.0  # seconds between looks for a node that answers, while none does

_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
_PRESSURES = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
_OURS = {_NOT_READY, _UNREACHABLE, _UNSCHEDULABLE, *_PRESSURES.values()}
_LOST = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


def plan_taints(node: Obj, now: datetime) -> list[dict[str, Any]]:
    """The taints the node should have: what its conditions and `spec.unschedulable` say, besides foreign ones."""
    old = (node.get("spec") or {}).get("taints") or []
    ready = (podlib.condition_of(node, "Ready") or {}).get("status", "Unknown")
    wanted: list[tuple[str, str]] = []
    if ready == "False":
        wanted = [(_NOT_READY, "NoSchedule"), (_NOT_READY, "NoExecute")]
    elif ready != "True":
        wanted = [(_UNREACHABLE, "NoSchedule"), (_UNREACHABLE, "NoExecute")]
    for kind, key in _PRESSURES.items():
        if (podlib.condition_of(node, kind) or {}).get("status") == "True":
            wanted.append((key, "NoSchedule"))
    if (node.get("spec") or {}).get("unschedulable"):
        wanted.append((_UNSCHEDULABLE, "NoSchedule"))
    taints = [dict(taint) for taint in old if taint["key"] not in _OURS or (taint["key"], taint["effect"]) in wanted]
    present = {(taint["key"], taint["effect"]) for taint in taints}
    for key, effect in wanted:
        if (key, effect) not in present:
            taint = {"key": key, "effect": effect}
            if effect == "NoExecute" or key in (_NOT_READY, _UNREACHABLE):
                taint["timeAdded"] = rfc3339(now)
            taints.append(taint)
    return taints


def observe_lost(node: Obj, now: datetime) -> dict[str, Any]:
    """The status of a node that has stopped reporting."""
    status = dict(node.get("status") or {})
    conditions = status.get("conditions") or []
    for kind in _LOST:
        seen = podlib.condition_of(node, kind)
        conditions = podlib.set_condition(
            conditions,
            {
                "type": kind,
                "status": "Unknown",
                "reason": "NodeStatusUnknown" if seen else "NodeStatusNeverUpdated",
                "message": "Kubelet stopped posting node status." if seen else "Kubelet never posted node status.",
                "lastHeartbeatTime": (seen or {}).get("lastHeartbeatTime"),
            },
            rfc3339(now),
        )
    status["conditions"] = conditions
    return status


def evictions(node: Obj, pods: Sequence[Obj], since: datetime, now: datetime) -> tuple[list[Obj], float | None]:
    """The pods whose tolerance of the node's taints has ended, and in how many seconds the next one's does.

    `since`: when the taints began.
    """
    taints = no_execute_taints(node)
    due: list[Obj] = []
    waits: list[float] = []
    for pod in pods:
        if not taints or is_deleting(pod):
            continue
        delay = eviction_delay(taints, pod["spec"].get("tolerations") or ())
        if delay is None:
            continue
        start = max(since, parse_time(podlib.created_at(pod)))
        left = (start + timedelta(seconds=delay) - now).total_seconds()
        if left <= 0 or delay == 0:
            due.append(pod)
        else:
            waits.append(left)
    return due, min(waits) if waits else None


def no_execute_taints(node: Obj) -> list[dict[str, Any]]:
    taints = (node.get("spec") or {}).get("taints") or ()
    return [taint for taint in taints if taint.get("effect") == "NoExecute"]


class NodeLifecycleReconciler(Reconciler):
    name = "node-lifecycle"
    component = "node-controller"
    workers = 8

    def setup(self) -> None:
        self._heard: dict[str, tuple[Any, float]] = {}
        self._tainted: dict[tuple[str, str, str], datetime] = {}
        self._nobody_until = datetime.min.replace(tzinfo=UTC)  # when no node answered last
        self.nodes = self.follow(NODES)
        self.leases = self.informer(LEASES)
        self.leases.add_handler(self._lease_changed)
        self.pods = self.follow(PODS, self._node_of_pod)
        self.pods.add_index("node", lambda pod: [pod["spec"].get("nodeName") or ""])

    def _node_of_pod(self, pod: Obj) -> list[Key]:
        """Only pods of nodes with a NoExecute taint concern us."""
        node = self.nodes.get(Key("", pod["spec"].get("nodeName") or ""))
        return [key_of(node)] if node and no_execute_taints(node) else []

    def _lease_changed(self, old: Obj | None, new: Obj | None) -> None:
        lease = new or old
        if lease is None or key_of(lease).namespace != LEASE_NAMESPACE or new is None:
            return
        name = key_of(lease).name
        renewed = (lease.get("spec") or {}).get("renewTime")
        self._hear(name, renewed)
        node = self.nodes.get(Key("", name))
        if node is not None and _ready_status(node) == "Unknown":
            self.queue.add(key_of(node))

    def _hear(self, name: str, mark: Any) -> None:
        """Note when a heartbeat changed by our own clock: the node's may be wrong."""
        known = self._heard.get(name)
        if known is None or known[0] != mark:
            self._heard[name] = (mark, self.clock.monotonic())

    async def reconcile(self, key: Key) -> float | None:
        node = self.nodes.get(key)
        if node is None:
            self._heard.pop(key.name, None)
            return None
        silent = self._silent_for(node)
        grace = GRACE if podlib.condition_of(node, "Ready") else START_GRACE
        if silent >= grace and _ready_status(node) != "Unknown":
            node = await self._lose(node)
        node = await self._taint(node)
        pods = self.pods.indexed("node", key.name)
        now = self.clock.now()
        if _ready_status(node) == "Unknown":
            if not self._another_is_ready():
                self._nobody_until = now
                return NOBODY_LEFT
            await self._mark_pods_not_ready(pods)
        since = max(self._tainted_since(node, now), self._nobody_until)
        due, next_eviction = evictions(node, pods, since, now)
        await gather_or_first_error(self._evict(pod) for pod in due)
        waits = [next_eviction, grace - silent if silent < grace else None]
        return min((wait for wait in waits if wait is not None), default=None)

    def _another_is_ready(self) -> bool:
        """With no node left, pods stay where they are and keep their traffic: there is nowhere else for either, and
        it is likelier that we don't hear the nodes, or an agent fails, than that every container is gone.

        Source: kubernetes pkg/controller/nodelifecycle, full disruption.
        """
        return any(_ready_status(node) == "True" for node in self.nodes)

    def _silent_for(self, node: Obj) -> float:
        """Seconds since the node's lease, or else its Ready condition, was last renewed."""
        name = key_of(node).name
        if self.leases.get(Key(LEASE_NAMESPACE, name)) is None:
            self._hear(name, (podlib.condition_of(node, "Ready") or {}).get("lastHeartbeatTime"))
        heard = self._heard.get(name)
        return self.clock.monotonic() - heard[1] if heard else 0.0

    def _tainted_since(self, node: Obj, now: datetime) -> datetime:
        """When the youngest NoExecute taint began: as it says itself, or when it was first seen."""
        name, taints = key_of(node).name, no_execute_taints(node)
        present = {(name, taint["key"], taint.get("value") or "") for taint in taints}
        for gone in [mark for mark in self._tainted if mark[0] == name and mark not in present]:
            del self._tainted[gone]
        moments = []
        for taint in taints:
            mark = (name, taint["key"], taint.get("value") or "")
            told = taint.get("timeAdded")
            moments.append(parse_time(told) if told else self._tainted.setdefault(mark, now))
        return max(moments, default=now)

    async def _lose(self, node: Obj) -> Obj:
        name = key_of(node).name
        lost = await self.api.update_status(NODES, node, observe_lost(node, self.clock.now()))
        self.events.normal(node, "NodeNotReady", f"Node {name} status is now: NodeNotReady", component=self.component)
        return lost

    async def _taint(self, node: Obj) -> Obj:
        taints = plan_taints(node, self.clock.now())
        if taints == ((node.get("spec") or {}).get("taints") or []):
            return node
        patch = {
            "metadata": {"resourceVersion": node["metadata"]["resourceVersion"]},
            "spec": {"taints": taints or None},
        }
        return await self.api.patch(NODES, key_of(node).name, patch=patch)

    async def _mark_pods_not_ready(self, pods: Sequence[Obj]) -> None:
        """Nobody reports for them any more, so no traffic may be sent to them."""
        await gather_or_first_error(self._mark_not_ready(pod) for pod in pods if podlib.is_ready(pod))

    async def _mark_not_ready(self, pod: Obj) -> None:
        status = dict(pod["status"])
        status["conditions"] = podlib.set_condition(
            status.get("conditions") or (),
            {"type": "Ready", "status": "False", "reason": "NodeNotReady"},
            rfc3339(self.clock.now()),
        )
        try:
            await self.api.update_status(PODS, pod, status)
        except (NotFound, Conflict):
            return
        self.events.warning(pod, "NodeNotReady", "Node is not ready", component=self.component)

    async def _evict(self, pod: Obj) -> None:
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
        status = dict(pod.get("status") or {})
        status["conditions"] = podlib.set_condition(
            status.get("conditions") or (), condition, rfc3339(self.clock.now())
        )
        self.events.normal(
            pod,
            "TaintManagerEviction",
            f"Marking for deletion Pod {key_of(pod)}",
            component="taint-eviction-controller",
        )
        try:
            await self.api.update_status(PODS, pod, status)
            await self.api.delete(PODS, pod)
        except NotFound:
            return


def _ready_status(node: Obj) -> str:
    return str((podlib.condition_of(node, "Ready") or {}).get("status", "Unknown"))
