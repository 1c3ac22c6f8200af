"""A node: its pods in step with the API, one worker each.

The agent lists and watches the pods bound to its node; the engine tells which containers changed. Both only wake
workers, which look for themselves.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from orchestrator.client import ApiClient
from orchestrator.errors import ApiError, Expired, ServiceUnavailable
from orchestrator.kubelet.runtime import ContainerStatus, PodRef, RuntimeFailure, Sandbox
from orchestrator.kubelet.services import NodeServices
from orchestrator.kubelet.worker import PodWorker
from orchestrator.machinery.pods import created_at
from orchestrator.objects.kinds import PODS
from orchestrator.objects.meta import Obj, is_deleting, uid_of

log = logging.getLogger(__name__)

FIRST_RETRY, LONGEST_RETRY = 0.2, 5.0  # seconds between attempts to reach the API
SHORTEST_WATCH = 1.0  # seconds; one that ends sooner is a fault, and asking again at once would be a busy loop
REFRESH_EVERY = 10.0  # seconds between looks at the ConfigMaps and Secrets that pods have mounted


class NodeAgent:
    """The pods of one node. `observe_pods` and `observe_pod` take what the API says, from whatever watch."""

    def __init__(self, name: str, services: NodeServices, *, refresh_every: float = REFRESH_EVERY) -> None:
        self.name, self.services, self._refresh_every = name, services, refresh_every
        self.workers: dict[str, PodWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._found: dict[str, list[ContainerStatus]] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._clearing: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Ready to take pods: what an earlier agent left is known. Tried until the engine answers."""
        delay = FIRST_RETRY
        while True:
            try:
                await self.services.volumes.start()
                await self.services.runtime.start()
                self._sandboxes = await self.services.runtime.claimed_sandboxes()
                for status in await self.services.runtime.containers():
                    self._found.setdefault(status.pod.uid, []).append(status)
                return
            except RuntimeFailure as exc:
                log.warning("the container engine isn't ready, trying again: %s", exc)
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_RETRY)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_engine(), name=f"engine events of {self.name}")
            group.create_task(self._refresh_volumes(), name=f"volumes of {self.name}")

    async def close(self) -> None:
        """Leaves the containers as they are."""
        for worker in self.workers.values():
            worker.close()
        tasks = [*self._tasks.values(), *self._clearing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def observe_pods(self, pods: Iterable[Obj]) -> None:
        """The whole list: what isn't in it is gone, also what an earlier agent left."""
        wanted = {uid_of(pod): pod for pod in pods}
        for uid in [uid for uid in self.workers if uid not in wanted]:
            self.workers[uid].forget()
        known = self.workers.keys() | self._found.keys() | self._sandboxes.keys()
        for pod in sorted(wanted.values(), key=lambda pod: (uid_of(pod) not in known, created_at(pod))):
            self.observe_pod(pod)
        for uid in (self._found.keys() | self._sandboxes.keys() | self.services.volumes.known()) - wanted.keys():
            if uid not in self.workers:
                self._clear_orphan(uid)
        self._found, self._sandboxes = {}, {}

    def observe_pod(self, pod: Obj) -> None:
        uid = uid_of(pod)
        worker = self.workers.get(uid)
        if worker is None:
            worker = PodWorker(
                self.services, pod, sandbox=self._sandboxes.pop(uid, None), found=self._found.pop(uid, ()),
                others=[other.pod for other in self.workers.values() if other.takes_room],
            )  # fmt: skip
            self.workers[uid] = worker
            task = asyncio.create_task(worker.run(), name=f"pod {worker.ref}")
            self._tasks[uid] = task
            task.add_done_callback(lambda done: self._worker_done(uid, done))
            if not is_deleting(pod):
                return
        worker.update(pod)

    def observe_deletion(self, pod: Obj) -> None:
        if (worker := self.workers.get(uid_of(pod))) is not None:
            worker.forget(pod)

    def _worker_done(self, uid: str, task: asyncio.Task[None]) -> None:
        worker = self.workers.pop(uid, None)
        self._tasks.pop(uid, None)
        if task.cancelled() or task.exception() is None or worker is None:
            return
        log.error("the worker of pod %s failed and starts anew", worker.ref, exc_info=task.exception())
        asyncio.get_running_loop().call_later(1.0, self._revive, worker)

    def _revive(self, failed: PodWorker) -> None:
        if failed.ref.uid not in self.workers:
            self._found[failed.ref.uid] = failed.attempts.all()
            if failed.sandbox is not None:
                self._sandboxes[failed.ref.uid] = failed.sandbox
            self.observe_pod(failed.pod)

    def _clear_orphan(self, uid: str) -> None:
        """Stops and removes what belongs to a pod that the API no longer has."""
        found, sandbox = self._found.pop(uid, []), self._sandboxes.pop(uid, None)
        ref = found[0].pod if found else PodRef("", "", uid)
        names = dict.fromkeys(status.name for status in found)
        pod: Obj = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": ref.namespace, "name": ref.name or uid, "uid": uid},
            "spec": {"containers": [{"name": name, "image": ""} for name in names]},
        }
        worker = PodWorker(self.services, pod, sandbox=sandbox, found=found)
        worker.forget()
        task = asyncio.create_task(worker.run(), name=f"orphan {uid}")
        self.workers[uid] = worker
        self._clearing.add(task)

        def done(finished: asyncio.Task[None]) -> None:
            self._clearing.discard(finished)
            self.workers.pop(uid, None)

        task.add_done_callback(done)

    async def _follow_engine(self) -> None:
        async for event in self.services.runtime.events():
            if event.kind == "relist":
                for each in list(self.workers.values()):
                    each.notify()
            elif (worker := self.workers.get(event.pod_uid)) is not None:
                worker.notify(event.container_id)
            elif not event.pod_uid:
                self._sandbox_changed(event.container_id)

    def _sandbox_changed(self, sandbox_id: str) -> None:
        for worker in self.workers.values():
            if worker.sandbox is not None and worker.sandbox.id == sandbox_id:
                worker.notify(sandbox_id)

    async def _refresh_volumes(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_every)
            begun = time.monotonic()
            for worker in list(self.workers.values()):
                if worker.volumes is not None:
                    await self.services.volumes.refresh(worker.pod, worker.address, since=begun)


class PodSource:
    """Lists and watches the pods of one node, or of every simulated node at once."""

    def __init__(self, client: ApiClient, agents: dict[str, NodeAgent]) -> None:
        self._client, self._agents = client, agents
        self._selector = f"spec.nodeName={next(iter(agents))}" if len(agents) == 1 else "spec.nodeName!="

    async def run(self) -> None:
        delay = FIRST_RETRY
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list()
                begun = asyncio.get_running_loop().time()
                version = await self._watch(version)
                if asyncio.get_running_loop().time() - begun < SHORTEST_WATCH:
                    raise ServiceUnavailable("the watch ended as soon as it began")
                delay = FIRST_RETRY
            except Expired:
                version = ""
                continue
            except (ApiError, OSError, TimeoutError) as exc:
                log.warning("lost the pods of this node, asking again: %s", exc)
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_RETRY)

    async def _list(self) -> str:
        found = await self._client.list(PODS, field_selector=self._selector)
        by_node: dict[str, list[Obj]] = {name: [] for name in self._agents}
        for pod in found.items:
            by_node.get(pod["spec"].get("nodeName", ""), []).append(pod)
        for name, pods in by_node.items():
            self._agents[name].observe_pods(pods)
        return found.resource_version

    async def _watch(self, version: str) -> str:
        """Until the connection ends; the version to go on from."""
        watch = self._client.watch(PODS, resource_version=version, field_selector=self._selector)
        async for event in watch:
            version = event.object["metadata"].get("resourceVersion") or version
            agent = self._agents.get((event.object.get("spec") or {}).get("nodeName", ""))
            if agent is None or event.type == "BOOKMARK":
                continue
            if event.type == "DELETED":
                agent.observe_deletion(event.object)
            else:
                agent.observe_pod(event.object)
        return version
