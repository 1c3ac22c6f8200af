import asyncio

import pytest

from orchestrator.machinery.clock import FakeClock
from orchestrator.machinery.workqueue import WorkQueue, retry_delay


async def taken(queue):
    return await asyncio.wait_for(queue.get(), 60)


async def test_a_key_added_twice_is_worked_on_once():
    queue = WorkQueue(FakeClock())
    queue.add("a")
    queue.add("a")
    assert await taken(queue) == "a"
    queue.done("a")
    assert queue.is_idle


async def test_a_key_added_during_its_work_comes_back_afterwards_and_not_before():
    queue = WorkQueue(FakeClock())
    queue.add("a")
    await taken(queue)
    queue.add("a")
    assert len(queue) == 0
    queue.done("a")
    assert await taken(queue) == "a"


async def test_delayed_keys_come_when_due_and_the_soonest_delay_counts():
    clock = FakeClock()
    queue = WorkQueue(clock)
    queue.add_after("a", 10)
    queue.add_after("a", 3)
    queue.add_after("a", 20)
    clock.advance(2.9)
    assert len(queue) == 0
    clock.advance(0.2)
    assert await taken(queue) == "a"
    queue.done("a")
    clock.advance(60)
    assert len(queue) == 0


async def test_retries_wait_longer_each_time_until_forgotten():
    clock = FakeClock()
    queue = WorkQueue(clock)
    assert [queue.retry("a") for _ in range(3)] == [0.005, 0.01, 0.02]
    queue.forget("a")
    assert queue.retry("a") == 0.005
    assert retry_delay(60) == 60.0
    with pytest.raises(ValueError):
        retry_delay(0)


async def test_a_cancelled_waiter_passes_its_key_on():
    queue = WorkQueue(FakeClock())
    first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add("a")
    first.cancel()
    assert await asyncio.wait_for(second, 60) == "a"
