"""What the server does for itself now and then: old Events go, aggregated roles follow the roles they collect."""

from __future__ import annotations

import asyncio
import logging

from orchestrator.apiserver import delete, update
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.errors import ApiError
from orchestrator.objects import kinds
from orchestrator.objects.meta import Obj, clone
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.objects.times import seconds_of
from orchestrator.store.record import Record, StoreError, WatchDropped

log = logging.getLogger(__name__)

_EVENT_SWEEP = 60.0  # seconds between looks for expired Events
_BATCH = 200  # deletions between two pauses, so that a sweep never holds up requests


class Upkeep:
    def __init__(self, api: Api) -> None:
        self.api = api

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._expire_events_forever(), name="expire events")
            group.create_task(self._aggregate_roles_forever(), name="aggregate roles")

    async def _expire_events_forever(self) -> None:
        while True:
            await asyncio.sleep(_EVENT_SWEEP)
            try:
                await self.expire_events()
            except (ApiError, StoreError) as exc:
                log.warning("expired Events stay for now: %s", exc)

    async def expire_events(self) -> int:
        """Delete the Events whose last sign is older than their time to live; how many."""
        oldest = self.api.now() - self.api.settings.event_ttl
        expired = []
        for record in self.api.store.list(kinds.EVENTS.storage_key):
            if last_seen(record.obj) < oldest:
                expired.append(record)
            record.forget_decoded()
        for number, record in enumerate(expired, 1):
            call = Call("delete", kinds.EVENTS, record.key.namespace, record.key.name, internal=True)
            try:
                await delete.delete(self.api, call, delete.DeleteOptions())
            except ApiError:
                continue
            if number % _BATCH == 0:
                await asyncio.sleep(0.05)
        return len(expired)

    async def _aggregate_roles_forever(self) -> None:
        storage, store = kinds.CLUSTERROLES.storage_key, self.api.store
        watcher = await store.watch(storage, store.revision)
        try:
            while True:
                await self.aggregate_roles()
                await watcher.next()
                watcher.take()
        except WatchDropped:
            return
        finally:
            watcher.close()

    async def aggregate_roles(self) -> None:
        """Give each ClusterRole with an aggregationRule the rules of the roles it selects."""
        records = self.api.store.list(kinds.CLUSTERROLES.storage_key)
        for record in records:
            if not record.obj.get("aggregationRule"):
                continue
            rules = aggregated_rules(record.obj, records)
            if rules == (record.obj.get("rules") or []):
                continue
            call = Call(
                "update", kinds.CLUSTERROLES, "", record.key.name, field_manager="kube-apiserver", internal=True
            )
            old = self.api.store.latest(record.resource, record.key)
            try:
                if old is not None:
                    await update.write(self.api, call, old, {**clone(old.obj), "rules": clone(rules)})
            except (ApiError, StoreError) as exc:
                log.warning("role %s keeps its old rules for now: %s", record.key.name, exc)


def last_seen(event: Obj) -> float:
    """When it was last written or said to have happened, in seconds since 1970: news may come late."""
    meta, series = event["metadata"], event.get("series") or {}
    told = [event.get("lastTimestamp"), event.get("eventTime"), series.get("lastObservedTime")]
    written = [meta.get("creationTimestamp"), *(entry.get("time") for entry in meta.get("managedFields") or ())]
    return max((seconds_of(text) or 0.0 for text in (*told, *written) if text), default=0.0)


def aggregated_rules(role: Obj, records: list[Record]) -> list[Obj]:
    """The union of the rules of the roles that `role` selects, in the order of their names."""
    rules: list[Obj] = []
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
        matches = label_selector_from_object(selector).matches
        for record in records:
            if record.key.name != role["metadata"]["name"] and matches(record.obj["metadata"].get("labels") or {}):
                rules += [rule for rule in record.obj.get("rules") or () if rule not in rules]
    return rules
