"""kill -9 of any one process: apps answer throughout, the process comes back, what was acknowledged is there."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from host.health import is_ready
from host.programs import plan_programs
from host.settings import Platform
from host.supervisor import Supervisor
from tests.e2e.developer import Developer, until

Example = tuple[str, Path]
PROGRAMS = (
    "docker-engine", "redis", "registry", "orchestrator-server", "orchestrator-agent", "controller",
    "controller-worker", "builder", "router-proxy", "router-sync", "guardian",
)  # fmt: skip

MORE = 20  # requests after everything is said to be back


class Visitor:
    """Asks an app over and over from another thread and counts what didn't answer 200."""

    def __init__(self, developer: Developer, app: str) -> None:
        self._developer, self._app, self._stop = developer, app, threading.Event()
        self.asked, self.failures = 0, list[str]()

    def __enter__(self) -> Visitor:
        self._thread = threading.Thread(target=self._visit, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def go_on(self) -> None:
        """Returns when it has asked some times more."""
        enough = self.asked + MORE
        until(lambda: self.asked > enough, 120, "the visitor waits for an answer")

    def _visit(self) -> None:
        while not self._stop.is_set():
            self.asked += 1
            try:
                answer = self._developer.ask(self._app)
                if answer.status != 200:
                    self.failures.append(f"status {answer.status}")
            except OSError as exc:
                self.failures.append(repr(exc))
            time.sleep(0.02)


def process_of(platform: Platform, program: str) -> int:
    """The pid to kill: the program's own process, or the proxy's master under its launcher."""
    pid = int(str(Supervisor(platform).states()[program]["pid"]))
    if program == "router-proxy":
        return int((platform.home / "router" / "nginx.pid").read_text())
    return pid


def all_ready(platform: Platform) -> bool:
    states = Supervisor(platform).states()
    return all(
        states[program.name]["statename"] == "RUNNING" and (not program.ready or is_ready(program.ready))
        for program in plan_programs(platform, os.environ)
    )


@pytest.mark.parametrize("program", PROGRAMS)
def test_apps_answer_while_a_process_is_killed(
    admin: Developer, platform: Platform, example_app: Example, program: str
) -> None:
    name, _ = example_app
    if program not in Supervisor(platform).states():
        assert program == "docker-engine", "only the engine may be someone else's"
        return
    admin.paas("config:set", f"BEFORE_{program.replace('-', '_').upper()}=kept", "-a", name)
    killed = process_of(platform, program)
    with Visitor(admin, name) as visitor:
        os.kill(killed, signal.SIGKILL)
        until(lambda: process_of(platform, program) not in (0, killed), 60, f"{program} did not come back")
        until(lambda: all_ready(platform), 90, f"not all ready after {program} was killed")
        visitor.go_on()
    assert visitor.failures == [], visitor.failures[:5]
    assert f"BEFORE_{program.replace('-', '_').upper()}" in admin.paas("config", "-a", name).stdout
    admin.paas("ps:restart", "web", "-a", name)
    assert admin.ask(name).status == 200


def test_apps_answer_while_the_supervisor_is_killed(admin: Developer, platform: Platform, example_app: Example) -> None:
    name, _ = example_app
    supervisor = Supervisor(platform)
    killed = supervisor.pid()
    assert killed
    with Visitor(admin, name) as visitor:
        os.kill(killed, signal.SIGKILL)
        until(lambda: supervisor.pid() not in (None, killed), 60, "no new supervisor")
        until(lambda: all_ready(platform), 90)
        visitor.go_on()
    assert visitor.failures == [], visitor.failures[:5]


@pytest.mark.parametrize(
    "program", ["builder", "controller", "controller-worker", "orchestrator-server", "docker-engine"]
)
def test_a_push_in_flight_fails_clearly_or_completes(
    admin: Developer, platform: Platform, example_app: Example, program: str
) -> None:
    name, folder = example_app
    if program not in Supervisor(platform).states():
        return
    admin.commit(folder, {"note.txt": f"pushed while {program} dies {time.time()}"})
    push = admin.start_git(folder, "push", "deis", "HEAD:master")
    time.sleep(0.6)
    os.kill(process_of(platform, program), signal.SIGKILL)
    output, _ = push.communicate(timeout=200)
    assert push.returncode == 0 or "!" in output or "fatal" in output, output
    until(lambda: all_ready(platform), 90)
    assert admin.ask(name).status == 200
    if push.returncode != 0:
        until(lambda: admin.git(folder, "push", "deis", "HEAD:master", ok=False).returncode == 0, 120)
    head = admin.git(folder, "rev-parse", "HEAD").stdout.strip()
    assert head in admin.git(folder, "ls-remote", "deis", "refs/heads/master").stdout
