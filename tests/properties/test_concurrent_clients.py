"""Many writers and watchers of the same objects at once, over the durable store, held against a model.

Each object counts: a writer reads it and writes the next number with the version it read. Then a lost update, a stale
read, a conflict without a cause, and an event that is lost, doubled or out of order all show as a wrong number.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.apiserver.api import Api
from orchestrator.apiserver.local import LocalClient
from orchestrator.apiserver.signer import Signer
from orchestrator.errors import AlreadyExists, Conflict, Expired, NotFound
from orchestrator.objects.kinds import CONFIGMAPS, NAMESPACES
from orchestrator.objects.meta import Key
from orchestrator.settings import ServerSettings
from orchestrator.store.sqlite import SqliteLog
from orchestrator.store.store import Store

NAMES = ("a", "b")
WRITES = 25  # of each writer
STORAGE = CONFIGMAPS.storage_key


def counted(obj) -> int:
    return int(obj["data"]["n"])


class World:
    def __init__(self, path: Path, seed: int) -> None:
        self.store = Store(SqliteLog(path), window=16)
        self.store.open()
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.client = LocalClient(Api(self.store, ServerSettings(data=path.parent), Signer(path), tls, "CA"))
        self.chance = random.Random(seed)
        self.written: dict[str, list[tuple[int, int]]] = {name: [] for name in NAMES}
        """(revision, number) of each acknowledged write."""

    async def pause(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)

    # what clients do

    async def write(self, own: dict[str, int]) -> None:
        name = self.chance.choice(NAMES)
        try:
            read = await self.client.get(CONFIGMAPS, name, "default")
        except NotFound:
            await self.create(name, own)
            return
        version = int(read["metadata"]["resourceVersion"])
        assert version >= own.get(name, 0), "a read told less than an own write before it"
        await self.pause()
        latest = self.store.latest(STORAGE, Key("default", name))
        is_stale = latest is None or latest.revision != version
        wanted = {**read, "data": {"n": str(counted(read) + 1)}}
        try:
            made = await self.client.update(CONFIGMAPS, wanted)
        except (Conflict, NotFound):
            assert is_stale, "a conflict although the version was the newest"
            return
        assert not is_stale, "an old version was written over a newer one"
        self.note(name, made, own)

    async def create(self, name: str, own: dict[str, int]) -> None:
        meta = {"name": name, "namespace": "default"}
        try:
            made = await self.client.create(CONFIGMAPS, {"metadata": meta, "data": {"n": "0"}})
        except AlreadyExists:
            return
        self.note(name, made, own)

    def note(self, name: str, made, own: dict[str, int]) -> None:
        own[name] = int(made["metadata"]["resourceVersion"])
        self.written[name].append((own[name], counted(made)))
        stored = self.store.get(STORAGE, Key("default", name))
        assert stored is not None and stored.revision >= own[name], "a write is not seen after it"

    async def writer(self) -> None:
        own: dict[str, int] = {}
        for _ in range(WRITES):
            await self.write(own)
            await self.pause()

    async def watcher(self, stop: asyncio.Event) -> list[tuple[str, int]]:
        """What it was told, object by object; it breaks off now and then and goes on from the last version it knows."""
        seen: list[tuple[str, int]] = []
        position = await self.relist(seen)
        while not stop.is_set() or position < self.store.changed(STORAGE):
            budget = self.chance.randrange(1, 12)
            try:
                async for event in self.client.watch(CONFIGMAPS, "default", resource_version=str(position)):
                    revision = int(event.object["metadata"]["resourceVersion"])
                    assert revision > position, "an event came twice or out of order"
                    position = revision
                    if event.object["metadata"]["name"] in NAMES:
                        seen.append((event.object["metadata"]["name"], counted(event.object)))
                    budget -= 1
                    if not budget or (stop.is_set() and position >= self.store.changed(STORAGE)):
                        break
            except Expired:
                position = await self.relist(seen)
            await self.pause()
        return seen

    async def relist(self, seen: list[tuple[str, int]]) -> int:
        listed = await self.client.list(CONFIGMAPS, "default")
        for obj in listed.items:
            name = obj["metadata"]["name"]
            if name in NAMES and (name, counted(obj)) not in seen:
                seen.append((f"{name} listed", counted(obj)))
        return int(listed.resource_version)

    async def compactor(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await asyncio.sleep(0.002)
            await self.store.compact(self.store.revision - self.chance.randrange(12))


async def run(path: Path, seed: int, writers: int, watchers: int) -> None:
    world, stop = World(path, seed), asyncio.Event()
    await world.client.create(NAMESPACES, {"metadata": {"name": "default"}})
    watching = [asyncio.create_task(world.watcher(stop)) for _ in range(watchers)]
    compacting = asyncio.create_task(world.compactor(stop))
    await asyncio.gather(*(world.writer() for _ in range(writers)))
    stop.set()
    await world.client.create(CONFIGMAPS, {"metadata": {"name": "last", "namespace": "default"}})  # wakes who waits
    told = await asyncio.wait_for(asyncio.gather(*watching), 60)
    await compacting
    for name in NAMES:
        numbers = [number for _, number in sorted(world.written[name])]
        assert numbers == list(range(len(numbers))), "an update was lost"
        final = world.store.get(STORAGE, Key("default", name))
        assert (counted(final.obj) if final else -1) == len(numbers) - 1
        for seen in told:
            check_told(seen, name, len(numbers) - 1)
    await world.store.close()


def check_told(seen: list[tuple[str, int]], name: str, last: int) -> None:
    """Every number once and in order; only a list may leap over some, after the version was compacted away."""
    known = -1
    for what, number in seen:
        if what == name:
            assert number == known + 1, f"{name}: after {known} came {number}"
            known = number
        elif what == f"{name} listed":
            assert number >= known
            known = number
    assert known == last, f"{name}: heard last of {known}, it is {last}"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), writers=st.integers(1, 6), watchers=st.integers(1, 4))
def test_nothing_is_lost_doubled_reordered_or_stale(tmp_path_factory, seed, writers, watchers):
    asyncio.run(run(tmp_path_factory.mktemp("store") / "store.db", seed, writers, watchers))
