"""How changes reach watchers: those that can be pushed to, those that can't, and what else the loop has to do."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.objects.meta import Key
from orchestrator.store.record import Change, Record
from orchestrator.store.watch import SLICE, Hub, Watcher


def change(revision: int) -> Change:
    return Change("ADDED", Record("things", Key("n", f"t{revision}"), revision, {"metadata": {}}), None)


class Reader:
    """A watcher whose connection is `full` or not, and who reads what can't be pushed."""

    def __init__(self, hub: Hub) -> None:
        self.pushed: list[int] = []
        self.read: list[int] = []
        self.full = False
        self.watcher = Watcher(hub, None)
        self.watcher.push = self._push
        hub.add(self.watcher)
        self.task = asyncio.create_task(self._run())

    def _push(self, changes) -> bool:
        if not self.full:
            self.pushed += [each.revision for each in changes]
        return not self.full

    async def _run(self) -> None:
        while True:
            self.read += [each.revision for each in await self.watcher.next()]


@pytest.fixture
async def hub():
    return Hub()


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_changes_of_one_turn_are_pushed_together_and_nobody_is_woken(hub):
    reader = Reader(hub)
    await turns()
    for revision in (1, 2, 3):
        hub.publish(change(revision))
    await turns()
    assert (reader.pushed, reader.read) == ([1, 2, 3], [])


async def test_a_full_connection_has_its_reader_woken_and_delays_nobody_else(hub):
    slow, quick = Reader(hub), Reader(hub)
    slow.full = True
    await turns()
    for revision in (1, 2):
        hub.publish(change(revision))
    await turns()
    slow.full = False
    hub.publish(change(3))
    await turns()
    assert (slow.read, slow.pushed) == ([1, 2], [3])
    assert (quick.read, quick.pushed) == ([], [1, 2, 3])


async def test_nothing_is_pushed_past_a_reader_that_is_still_writing(hub):
    reader = Reader(hub)
    hub.publish(change(1))  # the reader hasn't asked yet
    await turns()
    assert (reader.read, reader.pushed) == ([1], [])


async def test_a_push_that_fails_wakes_its_own_reader_only(hub, caplog):
    broken, sound = Reader(hub), Reader(hub)
    broken.watcher.push = lambda changes: 1 / 0
    await turns()
    hub.publish(change(1))
    await turns()
    assert (broken.read, sound.pushed) == ([1], [1]) and "ZeroDivisionError" in caplog.text


async def test_between_slices_of_many_watchers_others_have_their_turn(hub):
    readers = [Reader(hub) for _ in range(3 * SLICE)]
    await turns()
    hub.publish(change(1))
    served = []
    while not served or served[-1] < len(readers):
        await asyncio.sleep(0)
        served.append(sum(map(len, (reader.pushed for reader in readers))))
    assert served[0] <= SLICE and len(served) >= 3


async def test_a_change_in_the_turn_in_which_patience_ends_is_told(hub):
    watcher = Watcher(hub, None)
    hub.add(watcher)
    reading = asyncio.create_task(watcher.next(0))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(hub.publish, change(1))
    assert [each.revision for each in await reading] == [1]
