import asyncio

from orchestrator.client import WatchEvent
from orchestrator.errors import Expired
from orchestrator.machinery.clock import FakeClock
from orchestrator.machinery.informer import Informer, Informers
from orchestrator.objects.kinds import CONFIGMAPS
from orchestrator.objects.meta import Key
from tests.orchestrator.in_process import InProcessApi


def versioned(name, revision, uid="u", **fields):
    meta = {"name": name, "namespace": "default", "resourceVersion": str(revision), "uid": uid}
    return {"metadata": meta, **fields}


def started():
    informer = Informer(InProcessApi(), CONFIGMAPS, clock=FakeClock())
    informer.synced.set()
    seen = []
    informer.add_handler(lambda old, new: seen.append((old and old.get("v"), new and new.get("v"))))
    return informer, seen


KEY = Key("default", "a")


def test_an_own_write_is_seen_at_once_and_its_event_tells_nothing_new():
    informer, seen = started()
    informer.observe(versioned("a", 5, v=1))
    shared = versioned("a", 5, v=1)
    informer.apply(WatchEvent("ADDED", shared))
    assert seen == [(None, 1)]
    assert informer.get(KEY) is shared


def test_an_answer_that_comes_after_a_newer_event_is_ignored():
    informer, seen = started()
    informer.apply(WatchEvent("ADDED", versioned("a", 7, v=2)))
    informer.observe(versioned("a", 5, v=1))
    assert seen == [(None, 2)]


def test_an_answer_that_comes_after_the_deletion_does_not_bring_the_object_back():
    informer, seen = started()
    informer.apply(WatchEvent("ADDED", versioned("a", 5, v=1)))
    informer.apply(WatchEvent("DELETED", versioned("a", 8, v=1)))
    informer.observe(versioned("a", 6, v=2))
    assert informer.get(KEY) is None and seen == [(None, 1), (1, None)]


def test_a_replaced_object_of_the_same_name_is_gone_and_new():
    informer, seen = started()
    informer.apply(WatchEvent("ADDED", versioned("a", 5, v=1)))
    informer.apply(WatchEvent("MODIFIED", versioned("a", 9, uid="other", v=2)))
    assert seen == [(None, 1), (1, None), (None, 2)]


def test_indexes_follow_changes():
    informer, _ = started()
    informer.add_index("colour", lambda obj: obj.get("colours", ()))
    informer.apply(WatchEvent("ADDED", versioned("a", 1, colours=["red", "blue"])))
    informer.apply(WatchEvent("MODIFIED", versioned("a", 2, colours=["blue", "green"])))
    assert [bool(informer.indexed("colour", one)) for one in ("red", "blue", "green")] == [False, True, True]
    informer.apply(WatchEvent("DELETED", versioned("a", 3)))
    assert informer.count("colour", "blue") == 0


def test_one_bad_handler_does_not_keep_the_others_from_hearing():
    informer, seen = started()
    informer._handlers.insert(0, lambda old, new: 1 / 0)
    informer.apply(WatchEvent("ADDED", versioned("a", 1, v=1)))
    assert seen == [(None, 1)]


async def test_waiting_ends_with_the_change_or_with_the_time():
    clock = FakeClock()
    informer = Informer(InProcessApi(), CONFIGMAPS, clock=clock)
    waiting = asyncio.create_task(informer.until(KEY, lambda obj: obj is not None, 5))
    hopeless = asyncio.create_task(informer.until(Key("", "never"), lambda obj: obj is not None, 5))
    await asyncio.sleep(0)
    informer.apply(WatchEvent("ADDED", versioned("a", 1)))
    assert await waiting is True
    clock.advance(6)
    assert await hopeless is False


class Flaky(InProcessApi):
    """Its watches expire after one event."""

    async def watch(self, resource, namespace="", **options):
        async for event in super().watch(resource, namespace, **options):
            yield event
            raise Expired("too old resource version")


async def test_an_expired_watch_lists_again_and_nothing_is_missed():
    clock = FakeClock()
    api = Flaky(clock)
    await api.start()
    informers = Informers(api, clock)
    informer = informers.of(CONFIGMAPS)
    names = set()
    informer.add_handler(lambda old, new: names.add((new or old)["metadata"]["name"]) if new else None)
    informers.start()
    await informers.synced()
    for number in range(5):
        await api.create(CONFIGMAPS, {"metadata": {"name": f"c{number}", "namespace": "default"}})
        if number == 2:
            await api.delete(CONFIGMAPS, "c1", "default")
        for _ in range(10):
            await asyncio.sleep(0)
        clock.advance(1)
    for _ in range(20):
        clock.advance(10)
        await asyncio.sleep(0)
    assert {key.name for key in informer.keys() if key.name != "kube-root-ca.crt"} == {"c0", "c2", "c3", "c4"}
    await informers.stop()
