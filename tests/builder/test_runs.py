"""A build's record: begun, kept, ended and told, whatever happens."""

import asyncio

import pytest

from builder import build_log
from builder.build_log import BuildLogs
from builder.controller_api import Run
from builder.errors import BuildFailed, ControllerError, NothingToBuild, PushRefused
from builder.progress import Progress
from builder.runs import Runs

RUN = Run("run-1", 1, "app", "uuid")


class Recorder:
    """A controller that may be away."""

    def __init__(self):
        self.ends, self.is_away, self.abandoned = [], False, 0

    async def end_run(self, uuid, end):
        if self.is_away:
            raise ControllerError("away")
        self.ends.append((uuid, end))

    async def abandon_runs(self, age):
        self.abandoned += 1


@pytest.fixture
def controller():
    return Recorder()


def carry_out(tmp_path, controller, work, during=None, **more):
    async def scene():
        runs, said = Runs(controller, BuildLogs(tmp_path)), []
        task = asyncio.ensure_future(runs.carry_out(RUN, "anna", Progress(said.append), work, **more))
        if during:
            await asyncio.sleep(0.01)
            during(runs, task)
        try:
            live = await task
        except asyncio.CancelledError:
            live = None
        await runs.settle()
        return live.state if live else "gone", b"".join(said).decode()

    return asyncio.run(scene())


def raising(exc):
    async def work(live):
        live.commit = "ab" * 20
        raise exc

    return work


async def endless(live):
    await asyncio.sleep(60)


@pytest.mark.parametrize(
    ("exc", "state", "words"),
    [
        (BuildFailed("No buildpack knows this app."), "failed", " !     No buildpack knows this app.\n       Next: "),
        (PushRefused("no"), "failed", " !     no"),
        (NothingToBuild("Nothing changed"), "skipped", "-----> Nothing changed"),
        (ValueError("oops"), "failed", "nobody foresaw"),
    ],
)
def test_an_end_is_said_kept_and_told(tmp_path, controller, exc, state, words):
    ended, said = carry_out(tmp_path, controller, raising(exc))
    assert ended == state and words in said
    ((uuid, end),) = controller.ends
    assert uuid == "run-1" and end["state"] == state and end["sha"] == "ab" * 20
    assert (tmp_path / "app/1.log").read_text() == said and not list(tmp_path.glob("*/*.end"))


def test_a_controller_that_is_away_hears_of_the_end_later(tmp_path, controller):
    controller.is_away = True
    carry_out(tmp_path, controller, raising(BuildFailed("x")))
    assert controller.ends == [] and (tmp_path / "app/1.end").exists()
    controller.is_away = False
    asyncio.run(Runs(controller, BuildLogs(tmp_path)).begin())  # another builder
    assert controller.ends[0][1]["cause"] == "x" and controller.abandoned == 1
    assert not (tmp_path / "app/1.end").exists()


def test_a_cancelled_build_says_by_whom(tmp_path, controller):
    ended, said = carry_out(tmp_path, controller, endless, lambda runs, task: runs.cancel("app", 1, "bob"))
    assert ended == "cancelled" and said == " !     The build was cancelled by bob.\n"
    assert controller.ends[0][1]["cause"] == "The build was cancelled by bob."


def test_a_client_that_goes_away_ends_its_build(tmp_path, controller):
    ended, _ = carry_out(tmp_path, controller, endless, lambda runs, task: task.cancel())
    assert ended == "gone" and controller.ends[0][1]["state"] == "cancelled"


def test_what_is_being_brought_live_is_not_cancelled(tmp_path, controller):
    async def releasing(live):
        live.releasing = True
        await asyncio.sleep(0.05)

    def during(runs, task):
        with pytest.raises(PushRefused, match="being brought live"):
            runs.cancel("app", 1, "bob")
        assert not runs.cancel("app", 2, "bob")

    assert carry_out(tmp_path, controller, releasing, during)[0] == "succeeded"


def test_a_log_is_bounded_but_keeps_steps_and_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(build_log, "LARGEST", 100)
    log = BuildLogs(tmp_path).open("app", 1)
    for line in (b"x" * 90 + b"\n", b"y" * 90 + b"\n", b"z\n", b" !     the cause\n"):
        log.write(line)
    log.close()
    log.write(b"late\n")
    text = (tmp_path / "app/1.log").read_text()
    assert "is not kept" in text and "z\n" not in text and text.endswith(" !     the cause\n")


def test_only_the_newest_logs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(build_log, "KEPT", 3)
    logs = BuildLogs(tmp_path)
    for number in range(1, 12):
        logs.open("app", number).close()
    assert sorted(int(path.stem) for path in tmp_path.glob("app/*.log")) == [9, 10, 11]


def test_an_archives_failure_is_told_and_recorded_for_who_deployed_it(tmp_path, controller):
    work = raising(BuildFailed("The build was lost. Push again."))
    _, said = carry_out(tmp_path, controller, work, source="upload")
    assert "The build was lost. Deploy again." in said and "ush again" not in said
    assert controller.ends[-1][1]["cause"] == "The build was lost. Deploy again."
