"""Any mix of writes, watches and compactions, against a model of what a watcher must see."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.objects.meta import Key
from orchestrator.store.log import MemoryLog
from orchestrator.store.record import Compacted, Exists, Missing, Stale
from orchestrator.store.sqlite import SqliteLog
from orchestrator.store.store import Store

NAMES = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), NAMES, st.integers(0, 3)),
        st.tuples(st.just("update"), NAMES, st.integers(0, 3)),
        st.tuples(st.just("delete"), NAMES, st.integers(0, 3)),
        st.tuples(st.just("watch"), st.just(""), st.integers(0, 6)),
        st.tuples(st.just("compact"), st.just(""), st.integers(0, 6)),
        st.tuples(st.just("settle"), st.just(""), st.just(0)),
    ),
    max_size=40,
)


class Model:
    """What must have happened: the state at each revision and the changes between them."""

    def __init__(self) -> None:
        self.states: list[dict[str, int]] = [{}]
        self.changes: list[tuple[str, str]] = []


async def run(store: Store, steps: list) -> None:
    model, watchers, pending, stamp = Model(), [], [], 0
    for action, name, number in steps:
        key, current = Key("n", name), dict(model.states[-1])
        latest = store.latest("things", key) if name else None
        expect = latest.revision - number if latest and number else None
        if action in ("create", "update", "delete"):
            stamp += 1
            obj = {"metadata": {"name": name, "namespace": "n"}, "stamp": stamp}
            if action == "create":
                attempt, refusal = store.create("things", key, obj), Exists if name in current else None
            else:
                attempt = (
                    store.update("things", key, obj, expect=expect)
                    if action == "update"
                    else store.delete("things", key, expect=expect)
                )
                refusal = Missing if name not in current else Stale if expect is not None else None
            task = asyncio.ensure_future(attempt)
            await asyncio.sleep(0)
            if refusal is not None:
                assert isinstance(task.exception(), refusal)
                continue
            if action == "delete":
                del current[name]
            else:
                current[name] = stamp
            model.states.append(current)
            model.changes.append((action, name))
            pending.append(task)
        elif action == "watch":
            start = max(store.revision - number, 0)
            try:
                watchers.append((start, await store.watch("things", start)))
            except Compacted:
                assert start < store.compacted
        elif action == "compact":
            await store.compact(max(store.revision - number, 0))
        else:
            await asyncio.gather(*pending)
            pending.clear()
            for revision in range(store.compacted, store.revision + 1):
                listed = {r.key.name: r.obj["stamp"] for r in await store.list_at("things", revision)}
                assert listed == model.states[revision]
    await asyncio.gather(*pending)
    types = {"create": "ADDED", "update": "MODIFIED", "delete": "DELETED"}
    expected = [(types[action], name) for action, name in model.changes]
    assert store.revision == len(expected)
    assert {r.key.name: r.obj["stamp"] for r in store.list("things")} == model.states[-1]
    for start, watcher in watchers:
        seen = watcher.take()
        assert [c.revision for c in seen] == list(range(start + 1, len(expected) + 1))
        assert [(c.type, c.record.key.name) for c in seen] == expected[start:]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_watchers_see_every_change_once_and_in_order(steps):
    async def scenario():
        store = Store(MemoryLog(), window=4)
        store.open()
        await run(store, steps)
        await store.close()

    asyncio.run(scenario())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_same_holds_on_disk(tmp_path_factory, steps):
    async def scenario():
        path = tmp_path_factory.mktemp("store") / "store.db"
        store = Store(SqliteLog(path), window=4)
        store.open()
        await run(store, steps)
        state, revision = {r.key: r.obj for r in store.list("things")}, store.revision
        await store.close()
        again = Store(SqliteLog(path))
        again.open()
        assert ({r.key: r.obj for r in again.list("things")}, again.revision) == (state, revision)
        await again.close()

    asyncio.run(scenario())
