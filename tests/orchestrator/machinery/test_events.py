import asyncio
from contextlib import asynccontextmanager

from orchestrator.machinery.clock import FakeClock
from orchestrator.machinery.events import SIMILAR, Recorder
from orchestrator.objects.kinds import EVENTS
from tests.orchestrator.in_process import InProcessApi

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "namespace": "default", "uid": "u"}}


@asynccontextmanager
async def recording():
    clock = FakeClock()
    api = InProcessApi(clock)
    await api.start()
    recorder = Recorder(api, clock, "test")
    task = asyncio.create_task(recorder.run())
    try:
        yield api, recorder
    finally:
        task.cancel()


async def written(api):
    for _ in range(200):
        await asyncio.sleep(0)
    return [(event["message"], event["count"]) for event in api.peek(EVENTS)]


async def test_the_same_event_again_raises_the_count():
    async with recording() as (api, recorder):
        for _ in range(3):
            recorder.normal(POD, "Pulled", "again")
        recorder.normal(POD, "Pulled", "other")
        assert await written(api) == [("again", 3), ("other", 1)]
        (event, _) = api.peek(EVENTS)
        assert event["involvedObject"]["uid"] == "u" and event["source"] == {"component": "test"}


async def test_many_similar_messages_become_one():
    async with recording() as (api, recorder):
        for number in range(SIMILAR + 5):
            recorder.warning(POD, "Failed", f"try {number}")
        found = await written(api)
        assert len(found) == SIMILAR + 1
        assert found[-1][0].startswith("(combined from similar events): ") and found[-1][1] == 5


async def test_a_count_of_an_expired_event_starts_a_new_one():
    async with recording() as (api, recorder):
        recorder.normal(POD, "Pulled", "x")
        await written(api)
        (event,) = api.peek(EVENTS)
        await api.delete(EVENTS, event["metadata"]["name"], "default")
        recorder.normal(POD, "Pulled", "x")
        assert await written(api) == [("x", 1)]
