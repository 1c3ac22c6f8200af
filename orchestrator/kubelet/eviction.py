"""Pods that have to go for the node's sake: those over their own storage limits, and the ones it can best do without
when its disk or memory runs out.

Source: kubernetes pkg/kubelet/eviction (eviction_manager.go, helpers.go).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.kubelet.admission import is_critical
from orchestrator.kubelet.agent import NodeAgent
from orchestrator.kubelet.garbage import GarbageCollector
from orchestrator.kubelet.pod import containers_of, latest
from orchestrator.kubelet.pressure import FULL, LEAST_MEMORY, Pressures, Signals
from orchestrator.kubelet.resources import bytes_of
from orchestrator.kubelet.runtime import RuntimeFailure
from orchestrator.kubelet.worker import PodWorker
from orchestrator.objects.meta import Obj

log = logging.getLogger(__name__)

EVERY = 10.0  # seconds between looks
GRACE = 1.0  # seconds an evicted pod gets: what it would write, the node has no room for


class Usage(NamedTuple):
    """What each container of a pod uses of a resource, and `own`, what the pod itself does (its emptyDirs)."""

    containers: Mapping[str, int]
    own: int = 0

    @property
    def total(self) -> int:
        return sum(self.containers.values()) + self.own


class Evictor:
    def __init__(
        self, agent: NodeAgent, collector: GarbageCollector, read: Callable[[], Signals], pressures: Pressures
    ) -> None:
        self._agent, self._collector, self._read, self._pressures = agent, collector, read, pressures

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except (RuntimeFailure, OSError) as exc:
                log.warning("can't see whether pods have to be evicted: %s", exc)

    async def look(self) -> None:
        """One look at every limit, and at most one pod evicted for the node."""
        workers = [worker for worker in self._agent.workers.values() if worker.is_active]
        for worker in workers:
            if problem := await self._own_excess(worker):
                worker.fail("Evicted", problem, grace=GRACE)
        signals = self._read()
        if signals.disk >= FULL:
            await self._collector.collect(signals.disk)
            signals = self._read()
        self._agent.services.pressures.clear()
        self._agent.services.pressures.update(self._pressures.take(signals))
        candidates = [worker for worker in workers if worker.is_active and not is_critical(worker.pod)]
        if len(candidates) < len([worker for worker in workers if not is_critical(worker.pod)]):
            return  # what was just evicted may have been enough
        if signals.disk >= FULL:
            text = f"The node was low on resource: ephemeral-storage. {signals.disk:.0%} of a disk is in use."
            await self._evict_one(candidates, "ephemeral-storage", storage_use, text)
        elif signals.memory < LEAST_MEMORY:
            text = f"The node was low on resource: memory. {signals.memory // 2**20}Mi are available."
            await self._evict_one(candidates, "memory", memory_use, text)

    async def _own_excess(self, worker: PodWorker) -> str:
        """In which way a pod uses more disk than it may; empty when it doesn't."""
        for volume in worker.pod["spec"].get("volumes") or ():
            limit = (volume.get("emptyDir") or {}).get("sizeLimit")
            if limit and (volume.get("emptyDir") or {}).get("medium") != "Memory":
                folder = worker.services.volumes.folder(worker.ref.uid) / "volumes" / volume["name"]
                if await asyncio.to_thread(folder_size, folder) > bytes_of(limit):
                    return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{limit}". '
        limits = {c["name"]: asked_of(c, "limits", "ephemeral-storage") for c in containers_of(worker.pod)}
        if not any(limits.values()):
            return ""
        used = await storage_use(worker)
        for name, limit in limits.items():
            if limit and used.containers.get(name, 0) > limit:
                return f'Container {name} exceeded its local ephemeral storage limit "{limit}". '
        if all(limits.values()) and used.total > sum(limits.values()):
            total = sum(limits.values())
            return f"Pod ephemeral local storage usage exceeds the total limit of containers {total}. "
        return ""

    async def _evict_one(self, candidates: Iterable[PodWorker], resource: str, measure: Any, text: str) -> None:
        measured = [(worker, await measure(worker)) for worker in candidates]
        if not measured:
            return
        worker, used = min(measured, key=lambda each: eviction_rank(each[0].pod, each[1], resource))
        for name, figure in used.containers.items():
            container = next((c for c in containers_of(worker.pod) if c["name"] == name), {})
            text += f" Container {name} was using {figure}, request is {asked_of(container, 'requests', resource)}."
        worker.fail("Evicted", f"{text} ", grace=GRACE)


def eviction_rank(pod: Obj, used: Usage, resource: str) -> tuple[bool, int, int]:
    """First the pods that use more than they asked for, then those of least priority, then by their excess."""
    excess = used.total - sum(asked_of(container, "requests", resource) for container in containers_of(pod))
    return excess <= 0, int(pod["spec"].get("priority") or 0), -excess


def asked_of(container: Mapping[str, Any], kind: str, resource: str) -> int:
    quantity = ((container.get("resources") or {}).get(kind) or {}).get(resource)
    return bytes_of(quantity) if quantity else 0


async def storage_use(worker: PodWorker) -> Usage:
    """Bytes of disk: writable layers, logs, emptyDirs."""
    found = {}
    for name, attempts in worker.seen.history.items():
        found[name] = sum([await worker.services.runtime.storage_use(attempt.id) for attempt in attempts])
    folder = worker.services.volumes.folder(worker.ref.uid) / "volumes"
    return Usage(found, await asyncio.to_thread(folder_size, folder))


async def memory_use(worker: PodWorker) -> Usage:
    """Bytes of memory in the working sets."""
    found = {}
    for name in worker.seen.history:
        status = latest(worker.seen.history, name)
        usage = await worker.services.runtime.usage(status) if status is not None else None
        found[name] = usage.memory_working_set if usage is not None else 0
    return Usage(found)


def folder_size(folder: Path) -> int:
    """Bytes that a folder takes on its own file system; what vanishes meanwhile counts nothing."""
    try:
        device = os.stat(folder).st_dev
    except OSError:
        return 0
    size = 0
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if device_of(os.path.join(parent, name)) == device]
        for name in files:
            try:
                size += os.lstat(os.path.join(parent, name)).st_blocks * 512
            except OSError:
                continue
    return size


def device_of(path: str) -> int:
    try:
        return os.lstat(path).st_dev
    except OSError:
        return -1
