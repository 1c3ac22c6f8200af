"""Writes a pod's status: at once when it matters to others, together with what follows when it doesn't."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from orchestrator.client import ApiClient
from orchestrator.errors import ApiError, Conflict, NotFound
from orchestrator.objects.kinds import PODS
from orchestrator.objects.meta import Obj, key_of, uid_of

log = logging.getLogger(__name__)

PATIENCE = 0.15  # seconds a status that only says "being made" may wait for better news
FIRST_RETRY, LONGEST_RETRY = 0.2, 10.0


class StatusWriter:
    def __init__(self, client: ApiClient, pod: Obj, observe: Callable[[], dict[str, Any]]) -> None:
        self.pod = pod
        self.written: dict[str, Any] = pod.get("status") or {}
        self._revision = revision_of(pod)  # of the pod that had `written`
        self._client, self._observe = client, observe
        self._task: asyncio.Task[None] | None = None
        self._urgent = asyncio.Event()
        self._closed = False

    def update(self, pod: Obj) -> None:
        """The pod as the API has it now. What others wrote of ours, as when this node seemed lost, is put right."""
        self.pod = pod
        if self._know(pod, pod.get("status") or {}):
            self.publish()

    def _know(self, pod: Obj, written: dict[str, Any]) -> bool:
        """False of a state that is older than what is known."""
        if revision_of(pod) <= self._revision:
            return False
        self._revision, self.written = revision_of(pod), written
        return True

    def publish(self) -> None:
        """The status may have changed."""
        if self._closed:
            return
        status = self._observe()
        if not differs(status, self.written):
            return
        if not is_patient(status):
            self._urgent.set()
        if self._task is None:
            self._task = asyncio.create_task(self._write(), name=f"status of {key_of(self.pod)}")

    async def flush(self) -> None:
        """Until what is so now is written, or the pod is gone."""
        self.publish()
        self._urgent.set()
        if self._task is not None:
            await asyncio.shield(self._task)

    def close(self) -> None:
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    async def _write(self) -> None:
        retry = FIRST_RETRY
        try:
            if not self._urgent.is_set():
                with contextlib.suppress(TimeoutError):  # no better news came
                    await asyncio.wait_for(self._urgent.wait(), PATIENCE)
            while not self._closed:
                status = self._observe()
                if not differs(status, self.written):
                    return
                try:
                    await self._patch(status)
                    retry = FIRST_RETRY
                except (NotFound, Conflict):
                    return  # another pod has the name, or none: the pod watch tells
                except (ApiError, OSError) as exc:
                    log.info("status of %s not written, trying again: %s", key_of(self.pod), exc)
                    await asyncio.sleep(retry)
                    retry = min(retry * 2, LONGEST_RETRY)
        finally:
            self._task = None
            self._urgent.clear()

    async def _patch(self, status: dict[str, Any]) -> None:
        key = key_of(self.pod)
        patch = {"metadata": {"uid": uid_of(self.pod)}, "status": for_merge(status, self.written)}
        patched = await self._client.patch(
            PODS, key.name, key.namespace, patch=patch, patch_type="strategic", subresource="status"
        )
        if revision_of(patched) == self._revision:
            self.written = status  # nothing to change, or the watch was faster
        else:
            self._know(patched, status)


def revision_of(pod: Obj) -> int:
    return int(pod["metadata"].get("resourceVersion") or 0)


def differs(status: dict[str, Any], written: dict[str, Any]) -> bool:
    if any(status[field] != written.get(field) for field in status if field != "conditions"):
        return True
    known = {condition.get("type"): condition for condition in written.get("conditions") or ()}
    compared = ("status", "reason", "message")
    return any(
        (condition.get(field) or None) != (known.get(condition.get("type"), {}).get(field) or None)
        for condition in status.get("conditions") or ()
        for field in compared
    )


def is_patient(status: dict[str, Any]) -> bool:
    """True of a status that only says that the pod's containers are being made."""
    entries = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    making = ("ContainerCreating", "PodInitializing")
    return status["phase"] == "Pending" and all(
        entry["state"].get("waiting", {}).get("reason") in making for entry in entries
    )


def for_merge(status: dict[str, Any], written: dict[str, Any]) -> dict[str, Any]:
    """The status as a strategic merge patch: lists of addresses are replaced, not merged with older ones."""
    patch = dict(status)
    for field in ("podIPs", "hostIPs"):
        if field in patch and written.get(field) not in (None, patch[field]):
            patch[field] = [{"$patch": "replace"}, *patch[field]]
    return patch
