"""Who waits for what: builds for a place, deploys for their app, each told where it stands, in order."""

import asyncio

import pytest

from builder.errors import PushRefused
from builder.locks import MOST_WAITING, AppLocks
from builder.progress import Progress
from builder.slots import BuildSlots


def test_builds_get_places_in_the_order_they_came_and_hear_their_position():
    async def scene():
        slots, order, told = BuildSlots(1), [], {}

        async def build(name):
            lines = told.setdefault(name, [])
            async with slots.place(Progress(lambda data: lines.append(data.decode().strip()))):
                order.append(name)
                await asyncio.sleep(0)

        await asyncio.gather(*(build(name) for name in "abc"))
        return order, told, slots.waiting

    order, told, waiting = asyncio.run(scene())
    assert order == ["a", "b", "c"] and waiting == 0
    assert told["a"] == [] and told["b"] == ["-----> Waiting for 1 build ahead of this one"]
    assert told["c"][0] == "-----> Waiting for 2 builds ahead of this one" and told["c"][-1] == told["b"][0]


def test_a_build_that_gives_up_frees_its_place():
    async def scene():
        slots, quiet = BuildSlots(1), Progress(lambda data: None)
        async with slots.place(quiet):
            waiting = [asyncio.create_task(slots.place(quiet).__aenter__()) for _ in range(3)]
            await asyncio.sleep(0)
            waiting[0].cancel()
            await asyncio.sleep(0)
            assert slots.waiting == 2
        waiting[1].cancel()  # its turn has come, and it is gone
        await asyncio.sleep(0)
        await asyncio.wait_for(waiting[2], 60)
        return slots.waiting

    assert asyncio.run(scene()) == 0


def test_deploys_of_an_app_wait_in_order_and_pushes_are_refused_meanwhile():
    async def scene():
        locks, order, told = AppLocks(), [], []

        async def deploy(name):
            async with locks.turn("app", name, told.append):
                order.append(name)
                await asyncio.sleep(0)

        with locks.hold("app", "anna"):
            tasks = [asyncio.create_task(deploy(name)) for name in "xyz"]
            await asyncio.sleep(0)
            tasks[1].cancel()
            with pytest.raises(PushRefused, match="Another git push is ongoing: anna is pushing app since"):
                locks.refuse_if_held("app")
            async with locks.turn("other", "o", told.append):
                pass
        with pytest.raises(PushRefused), locks.hold("app", "late"):  # it is x's already
            pass
        await asyncio.gather(*tasks, return_exceptions=True)
        return order, told, locks.held()

    order, told, held = asyncio.run(scene())
    assert order == ["x", "z"] and held == {}
    assert told[0].startswith("Waiting for anna, who is deploying app since") and "1 more before" in told[1]


def test_too_many_waiting_deploys_are_refused():
    async def scene():
        locks = AppLocks()
        with locks.hold("app", "anna"):
            tasks = [
                asyncio.create_task(locks.turn("app", "x", lambda text: None).__aenter__()) for _ in range(MOST_WAITING)
            ]
            await asyncio.sleep(0)
            with pytest.raises(PushRefused, match="10 deploys of app are waiting"):
                await locks.turn("app", "y", lambda text: None).__aenter__()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return locks.held()

    assert asyncio.run(scene()) == {}
