"""Stopping containers: preStop within the grace period, the stop signal, at its end KILL; then the pod's removal."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.errors import ApiError, Conflict, NotFound
from orchestrator.kubelet.hooks import HookFailed, run_hook
from orchestrator.kubelet.pod import init_containers_of, is_sidecar
from orchestrator.kubelet.runtime import ContainerStatus, RuntimeFailure, RuntimeUnavailable
from orchestrator.objects.kinds import PODS
from orchestrator.objects.meta import Obj

if TYPE_CHECKING:
    from orchestrator.kubelet.worker import PodWorker

log = logging.getLogger(__name__)

DEFAULT_GRACE = 30.0
SHORTEST_TERM = 2.0  # seconds between TERM and KILL, even when preStop used up the grace period
KILL_DEADLINE = 10.0  # seconds for a killed process to be gone; then it is killed again
SLICE = 1.0  # seconds between looks at a deadline that a second delete may have shortened
FIRST_RETRY, LONGEST_RETRY = 0.2, 10.0


def grace_period_of(pod: Obj) -> float:
    """Seconds between TERM and KILL: what the delete asked for, else what the pod says."""
    for asked in (pod["metadata"].get("deletionGracePeriodSeconds"), pod["spec"].get("terminationGracePeriodSeconds")):
        if asked is not None:
            return max(float(asked), 1.0)
    return DEFAULT_GRACE


class Stopper:
    def __init__(self, worker: PodWorker) -> None:
        self._worker = worker
        self._deadline = float("inf")  # monotonic; of the whole pod
        self._stopping: set[str] = set()

    def begin(self, grace: float) -> None:
        """The pod is to stop within `grace` seconds; a later call can only shorten that."""
        self._deadline = min(self._deadline, time.monotonic() + grace)
        self._worker.seen.stopping = True
        self._worker.stop_now()

    def is_stopping(self, container_id: str) -> bool:
        return container_id in self._stopping

    async def stop_one(self, status: ContainerStatus, why: str, grace: float | None) -> None:
        """A container of a pod that goes on."""
        patience = grace_period_of(self._worker.pod) if grace is None else grace
        await self._stop(status, time.monotonic() + patience, why)

    async def stop_all(self, running: Sequence[ContainerStatus], grace: float) -> None:
        """The regular containers at once, then the sidecars, last started first."""
        deadline = min(self._deadline, time.monotonic() + grace)
        sidecars = [c["name"] for c in init_containers_of(self._worker.pod) if is_sidecar(c)]
        regular = [status for status in running if status.name not in sidecars]
        await asyncio.gather(*(self._stop(status, deadline) for status in regular))
        for name in reversed(sidecars):
            for status in [status for status in running if status.name == name]:
                await self._stop(status, deadline)

    async def finish(self, *, tell: bool) -> None:
        """The pod's end: stop everything, say so, delete the pod, clear up. Tried until it is done."""
        worker, retry = self._worker, FIRST_RETRY
        worker.watch.stop(keep_readiness=True)
        while True:
            try:
                await self._collect()
                running = [status for status in worker.attempts.all() if status.state == "running"]
                if not running:
                    break
                await self.stop_all(running, max(self._deadline - time.monotonic(), 0))
            except RuntimeFailure as exc:
                log.warning("pod %s doesn't stop, trying again: %s", worker.ref, exc)
                await asyncio.sleep(retry)
                retry = min(retry * 2, LONGEST_RETRY)
        if tell:
            await worker.writer.flush()
            await self._delete_pod()
        worker.close()
        await self.clear_up()

    async def clear_up(self) -> None:
        """Removes containers, sandbox and folders."""
        worker, runtime, retry = self._worker, self._worker.services.runtime, FIRST_RETRY
        while True:
            try:
                for status in worker.attempts.all():
                    await runtime.remove_container(status.id)
                worker.services.host_ports.close(worker.ref.uid)
                await runtime.release_sandbox(worker.ref)
                await worker.services.volumes.tear_down(worker.ref.uid)
                return
            except (RuntimeFailure, OSError) as exc:
                log.warning("can't clear up after pod %s, trying again: %s", worker.ref, exc)
                await asyncio.sleep(retry)
                retry = min(retry * 2, LONGEST_RETRY)

    async def _collect(self) -> None:
        """Learns of a container whose creation was cut short by the stop."""
        known = {status.id for status in self._worker.attempts.all()}
        if self._worker.seen.waiting or not known:
            for status in await self._worker.services.runtime.containers():
                if status.pod.uid == self._worker.ref.uid and status.id not in known:
                    await self._worker.attempts.refresh(status.id)

    async def _stop(self, status: ContainerStatus, deadline: float, why: str = "") -> None:
        if status.id in self._stopping:
            await self._worker.attempts.wait_exit(status.id, max(deadline - time.monotonic(), 0) + KILL_DEADLINE)
            return
        self._stopping.add(status.id)
        try:
            await self._stop_once(status, deadline, why)
        finally:
            self._stopping.discard(status.id)

    async def _stop_once(self, status: ContainerStatus, deadline: float, why: str) -> None:
        worker, runtime = self._worker, self._worker.services.runtime
        worker.services.recorder.normal(worker.pod, "Killing", why or f"Stopping container {status.name}")
        await self._run_pre_stop(status, deadline)
        await runtime.signal_container(status.id, status.stop_signal)
        least = time.monotonic() + SHORTEST_TERM
        while (left := max(least, min(deadline, self._deadline)) - time.monotonic()) > 0:
            if await worker.attempts.wait_exit(status.id, min(left, SLICE)):
                return
        while True:
            await runtime.signal_container(status.id, "SIGKILL")
            if await worker.attempts.wait_exit(status.id, KILL_DEADLINE):
                return

    async def _run_pre_stop(self, status: ContainerStatus, deadline: float) -> None:
        worker = self._worker
        container = next((c for c in self._containers() if c["name"] == status.name), {})
        hook = (container.get("lifecycle") or {}).get("preStop")
        left = deadline - time.monotonic()
        if not hook or left <= 0:
            return
        running = asyncio.create_task(
            run_hook(worker.services.runtime, container, status, hook, address=worker.address, deadline=left),
            name=f"preStop of {worker.ref}/{status.name}",
        )
        try:
            while not running.done() and (left := min(deadline, self._deadline) - time.monotonic()) > 0:
                await asyncio.wait((running,), timeout=min(left, SLICE))
                if "sleep" in hook and await worker.attempts.wait_exit(status.id, 0):
                    break
            if running.done():
                running.result()
        except HookFailed as exc:
            worker.services.recorder.warning(worker.pod, "FailedPreStopHook", f"PreStopHook failed: {exc}")
        finally:
            running.cancel()

    def _containers(self) -> list[Obj]:
        spec = self._worker.pod["spec"]
        return [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]

    async def _delete_pod(self) -> None:
        worker, retry = self._worker, FIRST_RETRY
        while True:
            try:
                await worker.services.client.delete(
                    PODS, worker.ref.name, worker.ref.namespace, uid=worker.ref.uid, grace_period=0
                )
                return
            except (NotFound, Conflict):
                return
            except (ApiError, OSError, RuntimeUnavailable) as exc:
                log.info("pod %s not deleted from the API yet, trying again: %s", worker.ref, exc)
                await asyncio.sleep(retry)
                retry = min(retry * 2, LONGEST_RETRY)
