"""`make scratch PORT=8900`: a platform for API and client tests, over simulated nodes, gone when it is stopped.

The real controller, worker and orchestrator run over empty stores in a temporary folder, and agents of the memory
runtime on which any image "runs": no Docker, no root, no router, no builder. It stays in the foreground; Ctrl-C or
TERM ends all it started and removes the folder. Several run at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from host import health, say, secret_files, settings, simulated_nodes
from host.errors import HostError
from host.programs import Program, base_environment, controller_environment, plan_programs
from host.settings import CHECKOUT, Platform

DEFAULT_PORT = 8900
FOLDERS = ("run", "log", "redis", "orchestrator", "agent", "controller", "logger")
PROGRAMS = ("redis", "orchestrator-server", "orchestrator-agent", "controller", "controller-worker", "logger")
NEEDED = {"redis-server": "redis-server", "setpriv": "util-linux"}  # command → package
START_PATIENCE = 120.0  # seconds for one program to become ready
STOP_PATIENCE = 5.0  # seconds the programs get to end by themselves
INTERRUPTED = 130
LOOK = 0.1  # seconds between looks at the programs
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORKER_READY = " ready."  # what the worker logs when it takes work


class Stopped(Exception):
    """Ctrl-C or TERM came."""


def plan_scratch(platform: Platform) -> list[Program]:
    """The programs of a real platform that a scratch one has, in the order they start."""
    controller = {
        "DATABASE_URL": database_url(platform),
        "PLATFORM_URL": url_of(platform),
        "ROUTER_METRICS_URL": "",
        "REGISTRATION_MODE": "enabled",
    }
    changes = {
        "orchestrator-agent": simulated_nodes.agent_environment(platform),
        "controller": controller,
        "controller-worker": controller,
    }
    return [
        dataclasses.replace(program, environment={**program.environment, **changes.get(program.name, {})})
        for program in plan_programs(platform, {})
        if program.name in PROGRAMS
    ]


def plan_migration(platform: Platform) -> Program:
    environment = controller_environment(platform) | {"DATABASE_URL": database_url(platform)}
    command = [sys.executable, str(CHECKOUT / "manage.py"), "migrate", "--no-input", "-v", "0"]
    return Program("migrate", command, environment)


def url_of(platform: Platform) -> str:
    return f"http://127.0.0.1:{platform.controller_port}"


def database_url(platform: Platform) -> str:
    return f"sqlite:///{platform.home}/controller/db.sqlite3"


def scratch_platform(home: Path, port: int) -> Platform:
    api_port, agent_port = free_ports(2)
    return Platform(
        home=home, http_port=port, controller_port=port, api_port=api_port, agent_port=agent_port,
        docker_host="none",
    )  # fmt: skip


def free_ports(count: int) -> list[int]:
    """Ports that the system gives out, so that platforms starting side by side get different ones."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Scratch:
    """One scratch platform: its programs, from the first start to the last end."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.stopping = False
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def stop_soon(self, number: int, frame: FrameType | None) -> None:
        """Signal handler: the next look at the programs ends the run."""
        self.stopping = True

    def start(self) -> None:
        """Returns when everything is ready. Raises: HostError, Stopped."""
        programs = {program.name: program for program in plan_scratch(self.platform)}
        for name in ("redis", "orchestrator-server"):
            self._launch(programs[name])
        self._migrate()
        for name in ("controller", "controller-worker", "logger"):
            self._launch(programs[name])
        self._await_ready(programs["orchestrator-server"])
        simulated_nodes.write_certificate(self.platform)
        self._launch(programs["orchestrator-agent"])
        for program in programs.values():
            self._await_ready(program)
        self._await(lambda: simulated_nodes.all_ready(self.platform), "orchestrator-agent")
        self._await(self._takes_work, "controller-worker")

    def watch(self) -> None:
        """Until a signal comes. Raises: Stopped, HostError when a program ended by itself."""
        while True:
            self._look()
            time.sleep(LOOK)

    def run(self, command: Sequence[str]) -> int:
        """The exit code of `command`. Raises: Stopped, HostError when a program ended by itself meanwhile."""
        environment = {**os.environ, "SCRATCH_HOME": str(self.platform.home)}
        with subprocess.Popen(command, env=environment) as process:
            try:
                while process.poll() is None:
                    self._look()
                    time.sleep(LOOK)
            finally:
                process.terminate()
        return process.returncode

    def stop(self) -> None:
        """End every program and all that it started."""
        for process in reversed(self._running.values()):
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_PATIENCE
        for process in self._running.values():
            try:
                process.wait(timeout=max(deadline - time.monotonic(), 0))
            except subprocess.TimeoutExpired:
                continue
        for process in self._running.values():
            _signal_group(process, signal.SIGKILL)
            process.wait(timeout=STOP_PATIENCE)
        self._running.clear()

    def _launch(self, program: Program) -> None:
        self._look()
        # setpriv: the programs end with this process, even when it is killed
        command = ["setpriv", "--pdeathsig", "TERM", "--", *program.command]
        with self._log(program.name).open("wb") as log:
            self._running[program.name] = subprocess.Popen(
                command,
                env=base_environment(os.environ) | program.environment,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for this process, which stops the others in order
            )

    def _migrate(self) -> None:
        program = plan_migration(self.platform)
        self._launch(program)
        migrating = self._running.pop(program.name)
        try:
            self._await(lambda: migrating.poll() is not None, program.name)
        finally:
            _signal_group(migrating, signal.SIGKILL)
            code = migrating.wait(timeout=STOP_PATIENCE)
        if code != 0:
            raise HostError(self._complaint(program.name, f"exited with {code}"))

    def _takes_work(self) -> bool:
        return WORKER_READY in self._log("controller-worker").read_text(errors="replace")

    def _await_ready(self, program: Program) -> None:
        if program.ready:
            self._await(lambda: health.is_ready(program.ready), program.name)

    def _await(self, condition: Callable[[], bool], name: str) -> None:
        def looked() -> bool:
            self._look()
            return condition()

        problem = f"was not ready within {START_PATIENCE:.0f} s"
        health.wait_until(looked, START_PATIENCE, lambda: self._complaint(name, problem))

    def _look(self) -> None:
        if self.stopping:
            raise Stopped
        for name, process in self._running.items():
            if (code := process.poll()) is not None:
                raise HostError(self._complaint(name, f"ended by itself (exit code {code})"))

    def _complaint(self, name: str, problem: str) -> str:
        return f"{name} {problem}. The end of its log:\n{health.tail(self._log(name))}"

    def _log(self, name: str) -> Path:
        return self.platform.home / "log" / f"{name}.log"


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def run(port: int, command: Sequence[str] = ()) -> int:
    """From nothing to nothing: until a signal comes, or `command` has ended, whose exit code is returned.

    Raises: HostError when it can't start, or a program ends by itself.
    """
    refuse_what_cannot_work(port)
    began = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="scratch-"))
    scratch = Scratch(scratch_platform(home, port))
    before = {number: signal.signal(number, scratch.stop_soon) for number in STOP_SIGNALS}
    try:
        for name in FOLDERS:
            (home / name).mkdir()
        secret_files.ensure(home / "secrets")
        scratch.platform.save()
        scratch.start()
        print_ready(scratch.platform, time.monotonic() - began)
        if command:
            return scratch.run(command)
        scratch.watch()
    except Stopped:
        say.step("Stopping; nothing of it stays")
        return INTERRUPTED if command else 0
    finally:
        scratch.stop()
        shutil.rmtree(home, ignore_errors=True)
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def refuse_what_cannot_work(port: int) -> None:
    """Raises: HostError."""
    if not 1 <= port <= 65535:
        raise HostError(f"PORT={port}: a TCP port is a number from 1 to 65535.")
    if not settings.is_free(port):
        raise HostError(f"Port {port} is taken on this machine; choose another: `make scratch PORT={port + 1}`.")
    for command, package in NEEDED.items():
        if shutil.which(command) is None:
            raise HostError(f"`{command}` is missing; install the package {package} (`make up` and `make test` do).")


def print_ready(platform: Platform, seconds: float) -> None:
    url = url_of(platform)
    say.step(f"Ready after {seconds:.1f} s; Ctrl-C ends it and removes everything")
    say.detail(f"controller  {url}   (the first to register is the administrator)")
    say.detail(f"            paas register {url}")
    say.detail(f"kubeconfig  {platform.home}/orchestrator/admin.kubeconfig")
    say.detail(f"logs        {platform.home}/log")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m host.scratch", description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="of the controller, on 127.0.0.1")
    parser.add_argument(
        "--run", nargs=argparse.REMAINDER, default=[], metavar="COMMAND",
        help="run this once it is ready, with SCRATCH_HOME in its environment, and stop when that has ended",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    try:
        return run(options.port, options.run)
    except HostError as exc:
        say.warn(str(exc))
        return 1


if __name__ == "__main__":
    sys.exit(main())
