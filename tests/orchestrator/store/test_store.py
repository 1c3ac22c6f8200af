"""What the store promises, tried over both logs."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from orchestrator.objects.meta import Key
from orchestrator.store.log import MemoryLog
from orchestrator.store.record import Compacted, Exists, InUse, Missing, Stale, WatchDropped, WriteFailed
from orchestrator.store.sqlite import SqliteLog
from orchestrator.store.store import Store
from orchestrator.store.watch import MAX_BEHIND, FieldIs


@pytest.fixture(params=["memory", "sqlite"])
async def store(request, tmp_path):
    store = Store(MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "store.db"), window=8)
    store.open()
    yield store
    await store.close()


def thing(name: str, **content) -> dict:
    return {"metadata": {"name": name, "namespace": "n"}, **content}


def key(name: str) -> Key:
    return Key("n", name)


async def put(store: Store, name: str, **content):
    if store.latest("things", key(name)) is None:
        return await store.create("things", key(name), thing(name, **content))
    return await store.update("things", key(name), thing(name, **content))


async def test_every_write_gets_the_next_revision_of_all_resources(store):
    first = await store.create("things", key("a"), thing("a"))
    second = await store.create("others", key("a"), thing("a"))
    assert (second.revision, second.obj["metadata"]["resourceVersion"]) == (first.revision + 1, str(second.revision))
    assert store.revision == second.revision


async def test_a_key_is_created_once(store):
    await put(store, "a")
    with pytest.raises(Exists):
        await store.create("things", key("a"), thing("a"))


async def test_a_write_from_an_old_revision_is_refused_and_changes_nothing(store):
    old = await put(store, "a", v=1)
    await put(store, "a", v=2)
    with pytest.raises(Stale):
        await store.update("things", key("a"), thing("a", v=3), expect=old.revision)
    with pytest.raises(Stale):
        await store.delete("things", key("a"), expect=old.revision)
    assert store.get("things", key("a")).obj["v"] == 2


async def test_what_is_gone_cannot_be_changed(store):
    await put(store, "a")
    await store.delete("things", key("a"))
    assert store.get("things", key("a")) is None
    with pytest.raises(Missing):
        await store.update("things", key("a"), thing("a"))
    with pytest.raises(Missing):
        await store.delete("things", key("a"))


async def test_writers_see_queued_writes_and_readers_do_not(store):
    writing = store.create("things", key("a"), thing("a"))
    task = asyncio.ensure_future(writing)
    await asyncio.sleep(0)
    seen_by_readers, seen_by_writers = store.get("things", key("a")), store.latest("things", key("a"))
    record = await task
    assert seen_by_writers.revision == record.revision
    assert seen_by_readers is None or seen_by_readers is record
    assert store.get("things", key("a")) is record


async def test_concurrent_writers_of_one_object_all_win_in_turn_or_are_stale(store):
    first = await put(store, "a", v=0)
    results = await asyncio.gather(
        *(store.update("things", key("a"), thing("a", v=n), expect=first.revision) for n in range(20)),
        return_exceptions=True,
    )
    assert sum(not isinstance(r, Exception) for r in results) == 1
    assert all(isinstance(r, Stale) for r in results if isinstance(r, Exception))


async def test_lists_are_sorted_and_limited_to_their_namespace(store):
    for namespace, name in (("b", "x"), ("a", "z"), ("a", "y"), ("ab", "w")):
        obj = {"metadata": {"name": name, "namespace": namespace}}
        await store.create("things", Key(namespace, name), obj)
    assert [tuple(r.key) for r in store.list("things")] == [("a", "y"), ("a", "z"), ("ab", "w"), ("b", "x")]
    assert [r.key.name for r in store.list("things", "a")] == ["y", "z"]


async def test_an_old_revision_can_still_be_listed(store):
    await put(store, "a", v=1)
    await put(store, "b", v=1)
    then = store.revision
    await put(store, "a", v=2)
    await store.delete("things", key("b"))
    await put(store, "c", v=1)
    assert [(r.key.name, r.obj["v"]) for r in await store.list_at("things", then)] == [("a", 1), ("b", 1)]


async def test_an_old_revision_is_read_from_the_log_when_memory_has_forgotten_it(store):
    await put(store, "a", v=1)
    then = store.revision
    for n in range(30):
        await put(store, "a", v=n + 2)
    assert [r.obj["v"] for r in await store.list_at("things", then)] == [1]
    watcher = await store.watch("things", then)
    changes = watcher.take()
    assert [c.record.obj["v"] for c in changes] == list(range(2, 32))
    assert [c.previous.obj["v"] for c in changes] == list(range(1, 31))


async def test_a_watch_tells_what_came_before_and_what_comes_after_it_began(store):
    await put(store, "a")
    start = store.revision
    await put(store, "b")
    watcher = await store.watch("things", start)
    await put(store, "c")
    await store.delete("things", key("b"))
    seen = []
    while len(seen) < 3:
        seen += await watcher.next(5)
    assert [(c.type, c.record.key.name) for c in seen] == [("ADDED", "b"), ("ADDED", "c"), ("DELETED", "b")]
    assert [c.revision for c in seen] == sorted(c.revision for c in seen)


async def test_a_watch_of_one_field_value_sees_objects_come_and_go(store):
    watcher = await store.watch("things", store.revision, field=FieldIs("spec.nodeName", "n1"))
    await put(store, "a", spec={"nodeName": "n1"})
    await put(store, "b", spec={"nodeName": "n2"})
    await put(store, "a", spec={"nodeName": "n2"})
    await put(store, "a", spec={"nodeName": "n3"})
    assert [(c.type, c.record.obj["spec"]["nodeName"]) for c in watcher.take()] == [("ADDED", "n1"), ("MODIFIED", "n2")]


async def test_a_watch_from_a_compacted_revision_is_refused(store):
    await put(store, "a", v=1)
    start = store.revision
    await put(store, "a", v=2)
    await put(store, "a", v=3)
    await store.compact(store.revision)
    with pytest.raises(Compacted):
        await store.watch("things", start)
    with pytest.raises(Compacted):
        await store.list_at("things", start)
    assert store.get("things", key("a")).obj["v"] == 3


async def test_history_after_the_compacted_revision_stays(store):
    for n in range(5):
        await put(store, "a", v=n)
    middle = store.revision
    await put(store, "a", v=5)
    await store.delete("things", key("a"))
    await store.compact(middle)
    watcher = await store.watch("things", middle)
    assert [c.type for c in watcher.take()] == ["MODIFIED", "DELETED"]


async def test_a_watcher_that_falls_behind_is_dropped(store):
    watcher = await store.watch("things", store.revision)
    record = await put(store, "a")
    change = watcher.take()[0]
    for _ in range(MAX_BEHIND + 1):
        watcher.offer(change)
    with pytest.raises(WatchDropped):
        await watcher.next(1)
    assert store.watch_counts()["things"] == 0 and record


async def test_closing_ends_watches_after_their_last_change(store):
    watcher = await store.watch("things", store.revision)
    await put(store, "a")
    store.close_watches()
    assert [c.type for c in await watcher.next(1)] == ["ADDED"]
    with pytest.raises(WatchDropped):
        await watcher.next(1)


async def test_a_reopened_store_is_as_it_was(tmp_path):
    store = Store(SqliteLog(tmp_path / "store.db"))
    store.open()
    for n in range(10):
        await put(store, "a", v=n)
    await put(store, "b")
    await store.delete("things", key("b"))
    revision = store.revision
    await store.close()
    again = Store(SqliteLog(tmp_path / "store.db"))
    again.open()
    assert again.revision == revision
    assert [r.obj["v"] for r in again.list("things")] == [9]
    watcher = await again.watch("things", revision - 2)
    assert [c.type for c in watcher.take()] == ["ADDED", "DELETED"]
    await again.close()


async def test_revisions_never_go_back_when_the_newest_row_was_compacted(tmp_path):
    store = Store(SqliteLog(tmp_path / "store.db"))
    store.open()
    await put(store, "a")
    await store.delete("things", key("a"))
    revision = store.revision
    await store.compact(revision)
    await store.close()
    again = Store(SqliteLog(tmp_path / "store.db"))
    again.open()
    assert again.revision == revision
    assert (await again.create("things", key("b"), thing("b"))).revision == revision + 1
    await again.close()


async def test_a_disk_that_refuses_fails_the_queued_writes_and_leaves_none_visible(tmp_path):
    log = SqliteLog(tmp_path / "store.db")
    store = Store(log)
    store.open()
    await put(store, "a", v=1)
    log._writer.execute("PRAGMA query_only = ON")
    results = await asyncio.gather(
        *(store.update("things", key("a"), thing("a", v=n)) for n in (2, 3)),
        store.create("things", key("b"), thing("b")),
        return_exceptions=True,
    )
    assert all(isinstance(result, WriteFailed) for result in results)
    assert store.get("things", key("a")).obj["v"] == 1 and store.latest("things", key("b")) is None
    log._writer.execute("PRAGMA query_only = OFF")
    record = await store.create("things", key("b"), thing("b"))
    assert record.revision == 2 and store.revision == 2
    await store.close()


async def test_compaction_removes_what_nobody_can_ask_for(tmp_path):
    store = Store(SqliteLog(tmp_path / "store.db"))
    store.open()
    for n in range(100):
        await put(store, "a", v=n)
    await put(store, "b")
    await store.delete("things", key("b"))
    await store.compact(store.revision)
    await store.close()
    with sqlite3.connect(tmp_path / "store.db") as db:
        assert db.execute("SELECT name, count(*) FROM log GROUP BY name").fetchall() == [("a", 1)]


async def test_a_file_belongs_to_one_server_at_a_time(tmp_path):
    first = Store(SqliteLog(tmp_path / "store.db"))
    first.open()
    with pytest.raises(InUse, match="in use by another server"):
        Store(SqliteLog(tmp_path / "store.db")).open()
    await first.close()
    second = Store(SqliteLog(tmp_path / "store.db"))
    second.open()
    await second.close()
