"""Pods that nobody will end: bound to a node that is gone, deleted before they were bound, finished and too many.

Source: kubernetes pkg/controller/podgc.
"""

from __future__ import annotations

from orchestrator.errors import NotFound
from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import rfc3339
from orchestrator.machinery.reconciler import Reconciler, gather_or_first_error
from orchestrator.objects.kinds import NODES, PODS
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of

QUARANTINE = 40.0  # seconds a node must be missing: it may only be registering anew
FINISHED_LIMIT = 12500  # finished pods kept in the whole cluster
_OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"
_FINISHED_KEY = Key("", " finished")


class PodGarbageCollector(Reconciler):
    """Keys: a node's name with no namespace, a pod's own key, or `_FINISHED_KEY` for the count of finished ones."""

    name = "pod-garbage"
    workers = 2

    def setup(self) -> None:
        self.nodes = self.follow(NODES)
        self._missing: dict[str, float] = {}
        self.pods = self.informer(PODS)
        self.pods.add_index("node", lambda pod: [pod["spec"].get("nodeName") or ""])
        self.pods.add_index("finished", lambda pod: ["yes"] if podlib.is_finished(pod) else [])
        self.pods.add_handler(self._pod_changed)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if new is None:
            return
        node = new["spec"].get("nodeName")
        if not node:
            if is_deleting(new):
                self.queue.add(key_of(new))
        elif self.nodes.get(Key("", node)) is None:
            self.queue.add(Key("", node))
        if podlib.is_finished(new) and self.pods.count("finished", "yes") > FINISHED_LIMIT:
            self.queue.add(_FINISHED_KEY)

    async def reconcile(self, key: Key) -> float | None:
        if key == _FINISHED_KEY:
            await self._thin_out()
            return None
        if key.namespace:
            pod = self.pods.get(key)
            if pod is not None and is_deleting(pod) and not pod["spec"].get("nodeName"):
                await self._remove(pod, "")
            return None
        return await self._check_node(key)

    async def _check_node(self, key: Key) -> float | None:
        pods = self.pods.indexed("node", key.name)
        node = self.nodes.get(key)
        if node is not None:
            self._missing.pop(key.name, None)
            if any(taint["key"] == _OUT_OF_SERVICE for taint in (node.get("spec") or {}).get("taints") or ()):
                await gather_or_first_error(self._remove(pod, "") for pod in pods if is_deleting(pod))
            return None
        if not pods:
            self._missing.pop(key.name, None)
            return None
        now = self.clock.monotonic()
        left = self._missing.setdefault(key.name, now) + QUARANTINE - now
        if left > 0:
            return left
        try:
            await self.api.get(NODES, key.name)
        except NotFound:
            await gather_or_first_error(self._remove(pod, "PodGC: node no longer exists") for pod in pods)
        return None

    async def _thin_out(self) -> None:
        finished = sorted(self.pods.indexed("finished", "yes"), key=podlib.created_at)
        await gather_or_first_error(self._remove(pod, "") for pod in finished[: max(0, len(finished) - FINISHED_LIMIT)])

    async def _remove(self, pod: Obj, why: str) -> None:
        try:
            if why and not podlib.is_finished(pod):
                status = {**(pod.get("status") or {}), "phase": "Failed"}
                status["conditions"] = podlib.set_condition(
                    status.get("conditions") or (),
                    {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": why},
                    rfc3339(self.clock.now()),
                )
                pod = await self.api.update_status(PODS, pod, status)
            await self.api.delete(PODS, pod, grace_period=0)
        except NotFound:
            return
