"""Events for users: what a reconciler did and why, recorded without making it wait.

The same event again raises the count of the first; more than `SIMILAR` different messages of one reason about one
object within `WINDOW` become one that counts them. Source: client-go tools/record/events_cache.go.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.client import ApiClient
from orchestrator.errors import ApiError, NotFound
from orchestrator.machinery.clock import Clock, rfc3339
from orchestrator.objects.kinds import EVENTS
from orchestrator.objects.meta import Obj

log = logging.getLogger(__name__)

QUEUE = 4096  # events waiting to be written; more are dropped, as a flood of events must not hold up the work
AT_ONCE = 16  # writes under way
REMEMBERED = 4096  # written events whose count can still be raised
SIMILAR, WINDOW = 10, 600.0  # messages, seconds
MESSAGE_LIMIT = 1024


@dataclass(slots=True)
class _Written:
    name: str
    namespace: str
    count: int


@dataclass(slots=True)
class _Group:
    since: float
    messages: set[str]


class Recorder:
    def __init__(self, client: ApiClient, clock: Clock, component: str) -> None:
        self._client, self._clock, self.component = client, clock, component
        self._queue: asyncio.Queue[Obj] = asyncio.Queue(QUEUE)
        self._written: OrderedDict[tuple[str, ...], _Written] = OrderedDict()
        self._groups: OrderedDict[tuple[str, ...], _Group] = OrderedDict()
        self._sequence = 0
        self._dropped = 0

    def normal(self, about: Mapping[str, Any], reason: str, message: str, *, component: str = "") -> None:
        self.record(about, "Normal", reason, message, component=component)

    def warning(self, about: Mapping[str, Any], reason: str, message: str, *, component: str = "") -> None:
        self.record(about, "Warning", reason, message, component=component)

    def record(self, about: Mapping[str, Any], kind: str, reason: str, message: str, *, component: str = "") -> None:
        event = self.render(about, kind, reason, message, component or self.component)
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            self._dropped += 1

    def render(self, about: Mapping[str, Any], kind: str, reason: str, message: str, component: str) -> Obj:
        meta = about["metadata"]
        self._sequence += 1
        now = self._clock.now()
        unique = f"{int(now.timestamp() * 1e6) * 1000 + self._sequence % 1000:x}"
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{meta['name'][:230]}.{unique}",
                "namespace": meta.get("namespace") or "default",
            },
            "involvedObject": {
                key: value
                for key, value in {
                    "apiVersion": about.get("apiVersion"),
                    "kind": about.get("kind"),
                    "name": meta["name"],
                    "namespace": meta.get("namespace"),
                    "uid": meta.get("uid"),
                    "resourceVersion": meta.get("resourceVersion"),
                }.items()
                if value
            },
            "type": kind,
            "reason": reason,
            "message": message[:MESSAGE_LIMIT],
            "source": {"component": component},
            "reportingComponent": component,
            "reportingInstance": "",
            "firstTimestamp": rfc3339(now),
            "lastTimestamp": rfc3339(now),
            "count": 1,
        }

    async def run(self) -> None:
        """Write what is recorded, until cancelled."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < AT_ONCE and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            by_key: dict[tuple[str, ...], list[Obj]] = {}
            for event in batch:
                by_key.setdefault(_identity(event), []).append(event)
            await asyncio.gather(*(self._write_all(events) for events in by_key.values()))
            if self._dropped and self._queue.empty():
                log.warning("%d events were dropped, as %d were waiting to be written", self._dropped, QUEUE)
                self._dropped = 0

    async def _write_all(self, events: list[Obj]) -> None:
        """Events of one object and reason, in their order."""
        for event in events:
            try:
                await self._write(self._combined(event))
            except ApiError as error:  # mostly: its namespace is going away
                log.debug("event not written: %s", error.message)
            except OSError as error:
                log.warning("event lost, the API does not answer: %s", error)

    def _combined(self, event: Obj) -> Obj:
        key = _identity(event)
        now = self._clock.monotonic()
        group = self._groups.get(key)
        if group is None or now - group.since > WINDOW:
            group = self._groups[key] = _Group(now, set())
        self._groups.move_to_end(key)
        if len(self._groups) > REMEMBERED:
            self._groups.popitem(last=False)
        if len(group.messages) < SIMILAR:
            group.messages.add(event["message"])
        elif event["message"] not in group.messages:
            event["message"] = f"(combined from similar events): {event['message']}"[:MESSAGE_LIMIT]
            event["_combined"] = True
        return event

    async def _write(self, event: Obj) -> None:
        combined = event.pop("_combined", False)
        key = (*_identity(event), "" if combined else event["message"])
        known = self._written.get(key)
        if known is not None:
            known.count += 1
            patch = {"count": known.count, "lastTimestamp": event["lastTimestamp"], "message": event["message"]}
            try:
                await self._client.patch(EVENTS, known.name, known.namespace, patch=patch)
                return
            except NotFound:  # it expired: a new one begins
                del self._written[key]
        meta = event["metadata"]
        await self._client.create(EVENTS, event, meta["namespace"])
        self._written[key] = _Written(meta["name"], meta["namespace"], 1)
        if len(self._written) > REMEMBERED:
            self._written.popitem(last=False)


def _identity(event: Mapping[str, Any]) -> tuple[str, ...]:
    about = event["involvedObject"]
    return (
        event["source"]["component"], about.get("kind", ""), about.get("namespace", ""), about["name"],
        about.get("uid", ""), event["type"], event["reason"],
    )  # fmt: skip
