"""Turns at the engine."""

from __future__ import annotations

import asyncio

from orchestrator.kubelet.start_slots import StartSlots


async def test_app_containers_go_before_sandboxes() -> None:
    slots, order = StartSlots(1), []

    async def take(name: str, first: bool) -> None:
        async with slots.first() if first else slots.second():
            order.append(name)
            await asyncio.sleep(0)

    now = asyncio.get_running_loop().time
    assert slots.rests(now()) > 3600
    async with slots.first():
        tasks = [asyncio.create_task(take(name, first)) for name, first in (("s", False), ("a", True), ("b", True))]
        await asyncio.sleep(0)
        assert slots.rests(now() + 10) == 0
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "s"]
    assert 10 <= slots.rests(now() + 10) < 60


async def test_what_comes_before_a_start_is_no_rest_and_takes_no_turn() -> None:
    slots, now = StartSlots(1), asyncio.get_running_loop().time
    with slots.preparing():
        assert slots.rests(now() + 10) == 0
        async with asyncio.timeout(60), slots.second():
            pass
    assert 10 <= slots.rests(now() + 10) < 60


async def test_a_cancelled_turn_is_passed_on() -> None:
    slots = StartSlots(1)

    async def take() -> None:
        async with slots.first():
            await asyncio.sleep(3600)

    async with slots.first():
        waiting = asyncio.create_task(take())
        await asyncio.sleep(0)
        late = asyncio.create_task(slots.first().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
    async with asyncio.timeout(60):
        await late
