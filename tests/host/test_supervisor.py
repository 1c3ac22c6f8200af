"""A real supervisor over programs of its own: stopped together, and put right again when that was interrupted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.health import wait_until
from host.programs import Program
from host.settings import Platform
from host.supervisor import Supervisor, render

NAMES = ("app", "redis", "docker-engine")


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    for name in ("run", "log"):
        (tmp_path / name).mkdir()
    platform = Platform(home=tmp_path)
    made = Supervisor(platform)
    programs = [Program(name, ["sleep", "600"]) for name in NAMES]
    made.configuration.write_text(render(platform, programs, {"PATH": os.environ["PATH"]}))
    made.start()
    yield made
    made.stop()


def states(supervisor: Supervisor) -> dict[str, object]:
    return {name: info["statename"] for name, info in supervisor.states().items()}


def wait_for_all(supervisor: Supervisor) -> None:
    wait_until(lambda: set(states(supervisor).values()) == {"RUNNING"}, 30, lambda: str(states(supervisor)))


def test_programs_that_were_stopped_halfway_stop_and_start_again(supervisor: Supervisor) -> None:
    supervisor.stop_programs(but=("redis", "docker-engine"))  # as a `make down` that was killed leaves them
    assert states(supervisor)["app"] == "STOPPED"
    supervisor.stop_programs(but=("docker-engine",))
    left = states(supervisor)
    assert left.pop("docker-engine") in ("RUNNING", "STARTING")
    assert set(left.values()) == {"STOPPED"}
    supervisor.apply()
    wait_for_all(supervisor)


def test_stopping_takes_every_program_along(supervisor: Supervisor, tmp_path: Path) -> None:
    pids = [int(str(info["pid"])) for info in supervisor.states().values()]
    supervisor.stop()  # at once: a program that was just being started doesn't miss it
    said = (tmp_path / "log" / "supervisord.log").read_text()
    assert said.count("(terminated by SIGTERM)") == len(NAMES) and "SIGKILL" not in said, said
    assert supervisor.pid() is None
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
