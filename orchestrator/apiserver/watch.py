"""WATCH: the changes of a resource as one client's selectors see them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from orchestrator import errors
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.read import parse_version
from orchestrator.apiserver.selection import Selection, select
from orchestrator.objects.meta import Obj
from orchestrator.store.record import Change, Compacted, Record, WatchDropped
from orchestrator.store.watch import Watcher

INITIAL_EVENTS_END = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class WatchOptions:
    label_selector: str = ""
    field_selector: str = ""
    resource_version: str = ""
    bookmarks: bool = False
    initial_events: bool | None = None
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """`record` is None for a bookmark, whose object is `bookmark`."""

    type: str
    record: Record | None
    bookmark: Obj | None = None


Push = Callable[[Sequence[Event]], bool]
"""Sends events without awaiting; False, and nothing sent, when it can't now."""


async def open_watch(
    api: Api, call: Call, options: WatchOptions, push: Push | None = None
) -> AsyncIterator[list[Event]]:
    """Batches of events until `options.timeout`, or until the store closes or drops the watcher.

    While the iterator is being waited for, what `push` takes is not among them.

    Raises: Expired when the version is compacted, BadRequest.
    """
    selection = select(call.resource, call.namespace, options.label_selector, options.field_selector)
    if options.initial_events and not options.bookmarks:
        raise errors.BadRequest("sendInitialEvents requires allowWatchBookmarks=true")
    version = parse_version(options.resource_version)
    snapshot = options.initial_events or (options.initial_events is None and version == 0)
    store = api.store
    start = store.revision if snapshot or version == 0 else version
    try:
        watcher = await store.watch(call.resource.storage_key, start, field=selection.index())
    except Compacted as exc:
        raise errors.Expired(f"too old resource version: {start} ({store.compacted})") from exc
    initial: list[Event] = []
    if snapshot:
        records = store.list(call.resource.storage_key, selection.namespace)
        initial = [Event("ADDED", record) for record in records if selection.matches(record.obj)]
    if options.initial_events:
        initial.append(_bookmark(call, start, initial_end=True))
    if push is not None:
        watcher.push = lambda changes: not (events := events_of(changes, selection)) or push(events)
    return _events(api, call, options, selection, watcher, initial)


async def _events(
    api: Api, call: Call, options: WatchOptions, selection: Selection, watcher: Watcher, initial: list[Event]
) -> AsyncIterator[list[Event]]:
    try:
        if initial:
            yield initial
        deadline = None if options.timeout is None else api.now() + options.timeout
        while True:
            wait = api.settings.bookmark_interval
            if deadline is not None:
                wait = min(wait, deadline - api.now())
            changes = await watcher.next(wait) if wait > 0 else []
            if changes:
                if events := events_of(changes, selection):
                    yield events
            elif options.bookmarks:
                yield [_bookmark(call, api.store.revision)]
            if deadline is not None and api.now() >= deadline:
                return
    except WatchDropped:
        return
    finally:
        watcher.close()


def events_of(changes: Sequence[Change], selection: Selection) -> list[Event]:
    """What the changes look like through the selectors: an object may enter and leave without being made or removed."""
    if selection.is_everything and not selection.namespace:
        return [Event(change.type, change.record) for change in changes]
    events = []
    for change in changes:
        if event := _event_of(change, selection):
            events.append(event)
    return events


def _event_of(change: Change, selection: Selection) -> Event | None:
    now = change.type != "DELETED" and selection.matches(change.record.obj)
    previous = change.previous
    before = previous is not None and selection.matches(previous.obj)
    if now:
        return Event("MODIFIED" if before else "ADDED", change.record)
    if not before or previous is None:
        return None
    if change.type == "DELETED" and selection.matches(change.record.obj):
        return Event("DELETED", change.record)
    return Event("DELETED", _at_revision(previous, change.revision))


def _at_revision(record: Record, revision: int) -> Record:
    """The record's last matching state, stamped with the revision at which it stopped to match."""
    meta = {**record.obj["metadata"], "resourceVersion": str(revision)}
    return Record(record.resource, record.key, revision, {**record.obj, "metadata": meta})


def _bookmark(call: Call, revision: int, *, initial_end: bool = False) -> Event:
    meta: Obj = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial_end:
        meta["annotations"] = {INITIAL_EVENTS_END: "true"}
    bookmark = {"kind": call.resource.kind, "apiVersion": call.resource.api_version, "metadata": meta}
    return Event("BOOKMARK", None, bookmark)
