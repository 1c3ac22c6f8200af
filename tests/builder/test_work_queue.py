"""A claimed build's record ends, however the build does: nobody else would end it."""

import asyncio
from types import SimpleNamespace

import pytest

from builder import work_queue
from builder.controller_api import Run
from builder.errors import BuildFailed, ControllerError
from builder.locks import AppLocks
from builder.runs import UNFORESEEN


class Controller:
    """Hands out one build, and is away when the first end is told."""

    def __init__(self):
        self.waiting, self.away = [Run("u-1", 7, "shop", "uuid", user="bob")], 1
        self.ends, self.told = [], asyncio.Event()

    async def claim_run(self):
        return self.waiting.pop() if self.waiting else None

    async def start_run(self, uuid):
        return True

    async def end_run(self, uuid, end):
        if self.away:
            self.away -= 1
            raise ControllerError("The platform's controller doesn't answer.")
        self.ends.append((uuid, end))
        self.told.set()


@pytest.mark.parametrize(
    ("broken", "cause"), [(BuildFailed("No place to build."), "No place to build."), (KeyError("x"), UNFORESEEN)]
)
async def test_the_end_of_a_build_that_never_began_is_told_until_it_is_heard(monkeypatch, broken, cause):
    async def carry_out(*args):
        raise broken

    monkeypatch.setattr(work_queue, "TELL_AGAIN", 0)
    controller, git = Controller(), SimpleNamespace(locks=AppLocks())
    queue = work_queue.WorkQueue(controller, SimpleNamespace(carry_out=carry_out), git, None)
    running = asyncio.create_task(queue.run())
    async with asyncio.timeout(10):
        await controller.told.wait()
    running.cancel()
    assert controller.ends == [("u-1", {"state": "failed", "cause": cause})]
