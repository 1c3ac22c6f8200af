"""What the controller asks about builds: their output, whole or its end, and to stop one; nobody else may."""

import asyncio

import aiohttp
import pytest

from builder.build_log import BuildLogs
from builder.controller_api import Run
from builder.progress import Progress
from builder.runs import Runs
from builder.slots import BuildSlots
from builder.web.app import WebServer
from builder.web.controller_questions import ControllerQuestions

KEY = {"X-Deis-Builder-Auth": "key"}


class Git:
    """Remembers whose repository was asked for."""

    def __init__(self):
        self.repositories, self.dropped = self, []

    def drop_if_other(self, app, uuid):
        self.dropped.append((app, uuid))


class Closed:
    """Whatever else the server serves; nobody asks for it here."""

    def __getattr__(self, name):
        async def refuse(request):
            raise AssertionError(f"{name} was asked")

        return refuse


class Deaf:
    async def end_run(self, uuid, end):
        pass


@pytest.fixture
def runs(tmp_path):
    return Runs(Deaf(), BuildLogs(tmp_path))


async def ask(runs, method, path, headers=KEY, git=None):
    """(status, text, bytes left out) of a request to a server of its own."""
    questions, others = ControllerQuestions(runs, git or Git(), "key"), (Closed(),) * 5
    server = WebServer(*others, questions, lambda: "")
    await server.start("127.0.0.1", 0)
    try:
        port = server._runner.addresses[0][1]
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.request(method, f"http://127.0.0.1:{port}{path}", headers=headers) as answer,
        ):
            return answer.status, await answer.text(), answer.headers.get("X-Left-Out")
    finally:
        await server.end()


async def test_the_output_is_told_whole_or_from_a_lines_beginning(runs):
    log, git = runs.logs.open("blue", 3), Git()
    log.write(b"first line\nsecond line\nthird\n")
    log.close()
    assert await ask(runs, "GET", "/runs/blue/3/output?app_uuid=u", git=git) == (
        200, "first line\nsecond line\nthird\n", "0",
    )  # fmt: skip
    assert git.dropped == [("blue", "u")]
    assert await ask(runs, "GET", "/runs/blue/3/output?tail=12") == (200, "third\n", "23")
    assert (await ask(runs, "GET", "/runs/blue/3/output?tail=x"))[1].startswith("first")
    assert (await ask(runs, "GET", "/runs/blue/4/output"))[0] == 404
    assert (await ask(runs, "GET", "/runs/..%2Fblue/3/output"))[0] == 404


@pytest.mark.parametrize("headers", [{}, {"X-Deis-Builder-Auth": "other"}, {"Authorization": "token x"}])
async def test_without_the_key_nothing_is_told_or_stopped(runs, headers):
    log = runs.logs.open("blue", 3)
    log.close()
    assert (await ask(runs, "GET", "/runs/blue/3/output", headers))[0] == 403
    assert (await ask(runs, "POST", "/runs/blue/3/cancel?by=eve", headers))[0] == 403


async def test_a_build_under_way_is_stopped_in_somebodys_name(runs):
    begun = asyncio.Event()

    async def endless(live):
        begun.set()
        await asyncio.sleep(60)

    task = asyncio.ensure_future(runs.carry_out(Run("r", 3, "blue", "u"), "anna", Progress(lambda data: None), endless))
    await begun.wait()
    assert (await ask(runs, "POST", "/runs/blue/3/cancel?by=anna"))[0] == 200
    assert (await task).state == "cancelled"
    await runs.settle()
    assert "cancelled by anna" in (await ask(runs, "GET", "/runs/blue/3/output"))[1]
    assert (await ask(runs, "POST", "/runs/blue/3/cancel?by=anna"))[0] == 404


async def test_a_build_that_waits_for_a_place_is_in_the_line_until_its_turn(runs):
    slots, places = BuildSlots(1), {}

    def progress(name):
        places[name] = Progress(lambda data: None)
        return places[name]

    async def build(name, live, done):
        async with slots.place(places[name]):
            await done.wait()

    done = asyncio.Event()
    tasks = [
        asyncio.ensure_future(
            runs.carry_out(
                Run("r", number, "blue", "u"), "anna", progress(number), lambda live, n=number: build(n, live, done)
            )
        )
        for number in (1, 2, 3)
    ]
    while slots.waiting < 2:  # noqa: ASYNC110 - the line has no event of its own
        await asyncio.sleep(0)
    assert await ask(runs, "GET", "/runs/blue/line") == (200, '{"2": 1, "3": 2}', None)
    assert (await ask(runs, "GET", "/runs/green/line"))[1] == "{}"
    assert (await ask(runs, "GET", "/runs/blue/line", {}))[0] == 403
    done.set()
    await asyncio.gather(*tasks)
    assert [one.ahead for one in places.values()] == [0, 0, 0]
    await runs.settle()
