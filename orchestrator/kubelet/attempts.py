"""What the engine says of a pod's containers, taken in as it changes: exits, rests before the next start, messages."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.kubelet.pod import all_containers_of, backoff_after, backoff_of_attempt, ended_at
from orchestrator.kubelet.runtime import ContainerGone, ContainerStatus, RuntimeFailure
from orchestrator.kubelet.termination_message import read_termination_message

if TYPE_CHECKING:
    from orchestrator.kubelet.worker import PodWorker

log = logging.getLogger(__name__)

OOM_PATIENCE = 0.2  # seconds between a kill and the engine's knowing that it was for memory


class Attempts:
    """The attempts of one pod's containers; what is known of them is in the worker's `seen.history`."""

    def __init__(self, worker: PodWorker) -> None:
        self._worker = worker
        self.rests: dict[str, float] = {}  # container → seconds it rests before its next start
        self._counted: set[str] = set()  # exited containers whose rest is decided
        self._exits: dict[str, asyncio.Event] = {}
        self._refreshing: dict[str, asyncio.Task[None]] = {}
        self._changed: set[str] = set()  # containers that changed again while they were being looked at

    def close(self) -> None:
        for task in self._refreshing.values():
            task.cancel()

    def adopt(self, attempts: Sequence[ContainerStatus]) -> None:
        """Attempts of one container that an earlier agent made, oldest first."""
        current = attempts[-1]
        if ends := current.attempt + (current.state == "exited"):  # the first end is followed by a start at once
            self.rests[current.name] = backoff_of_attempt(ends)
        self._counted |= {attempt.id for attempt in attempts if attempt.state == "exited"}

    def all(self) -> list[ContainerStatus]:
        return [status for attempts in self._worker.seen.history.values() for status in attempts]

    def get(self, container_id: str) -> ContainerStatus | None:
        return next((status for status in self.all() if status.id == container_id), None)

    async def refresh(self, container_id: str) -> None:
        """Takes in what the engine says of one container now."""
        known = self.get(container_id)
        try:
            status = await self._worker.services.runtime.inspect(container_id)
        except ContainerGone:
            if known is None:
                return
            status = dataclasses.replace(known, state="exited", exit_code=137, finished_at=time.time())
        if self._may_be_out_of_memory(status):
            await asyncio.sleep(OOM_PATIENCE)
            status = await self._worker.services.runtime.inspect(container_id)
        worker = self._worker
        if status.pod.uid != worker.ref.uid or not status.name:
            return
        if status.state == "exited" and status.id not in self._counted:
            await self._note_message(status)
        history = {name: list(attempts) for name, attempts in worker.seen.history.items()}
        others = [attempt for attempt in history.get(status.name, ()) if attempt.id != status.id]
        history[status.name] = sorted([*others, status], key=lambda attempt: attempt.attempt)
        worker.seen.history = history
        if status.state == "exited":
            self._ended(status)
        worker.wake()
        worker.writer.publish()

    def _may_be_out_of_memory(self, status: ContainerStatus) -> bool:
        """Killed, and not by us: the engine may learn only now that memory ran out."""
        killed = status.state == "exited" and status.exit_code == 137 and not status.oom_killed
        return killed and status.id not in self._counted and not self._worker.stopper.is_stopping(status.id)

    async def _note_message(self, status: ContainerStatus) -> None:
        worker = self._worker
        container = next((c for c in all_containers_of(worker.pod) if c["name"] == status.name), None)
        message = await read_termination_message(worker.services, container, status) if container else ""
        if message:
            kept = {each.id for each in self.all()}
            messages = {id_: text for id_, text in worker.seen.messages.items() if id_ in kept}
            worker.seen.messages = {**messages, status.id: message}

    def _ended(self, status: ContainerStatus) -> None:
        self._exits.setdefault(status.id, asyncio.Event()).set()
        self._worker.watch.end(status)
        if status.id in self._counted:
            return
        self._counted.add(status.id)
        rested = self.rests.get(status.name)
        ran_for = ended_at(status) - status.started_at if status.started_at else 0.0
        self.rests[status.name] = 0.0 if rested is None else backoff_after(rested, ran_for)

    def forget(self, status: ContainerStatus) -> None:
        """An attempt that is to be removed."""
        self._counted.discard(status.id)
        self._exits.pop(status.id, None)

    def refresh_soon(self, container_id: str) -> None:
        if self.get(container_id) is None:
            return
        self._changed.add(container_id)
        if container_id not in self._refreshing:
            task = asyncio.create_task(self._refresh_changed(container_id), name=f"refresh {self._worker.ref}")
            self._refreshing[container_id] = task
            task.add_done_callback(lambda _: self._refreshing.pop(container_id, None))

    async def _refresh_changed(self, container_id: str) -> None:
        """Until nothing changed while the engine was being asked: its answer may be of the moment before."""
        while container_id in self._changed:
            self._changed.discard(container_id)
            await self._refresh_safely(container_id)

    async def _refresh_safely(self, container_id: str) -> None:
        try:
            await self.refresh(container_id)
        except RuntimeFailure as exc:
            log.info("pod %s: %s", self._worker.ref, exc)  # the relist after the engine is back asks again

    async def wait_exit(self, container_id: str, deadline: float) -> bool:
        """True once the container has exited."""
        status = self.get(container_id)
        if status is None or status.state == "exited":
            return True
        event = self._exits.setdefault(container_id, asyncio.Event())
        try:
            await asyncio.wait_for(event.wait(), deadline)
        except TimeoutError:
            await self._refresh_safely(container_id)
        return event.is_set()
