"""`make scratch`: a whole platform for tests comes up in seconds, works through `paas` and kubectl, and is gone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from host import scratch
from host.settings import Platform

ROOT = Path(__file__).parents[2]
START, STOP = 180, 60  # seconds; it takes about 3 and 1 on an idle machine


@dataclass
class Running:
    """A scratch platform, started as `make scratch` starts it."""

    process: subprocess.Popen[str]
    temporary: Path
    url: str
    kubeconfig: Path

    @property
    def folder(self) -> Path:
        return self.kubeconfig.parent.parent

    def stop(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=STOP)

    def processes(self) -> list[str]:
        """The command lines of what runs with this folder in its command or environment."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                seen = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if str(self.folder).encode() in seen:
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def started(temporary: Path) -> Iterator[Running]:
    port = free_port()
    command = [sys.executable, "-m", "host.scratch", "--port", str(port)]
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            said = ""
            assert process.stdout is not None
            while "logs " not in said and (line := process.stdout.readline()):
                said += line
            assert f"http://127.0.0.1:{port} " in said, said
            kubeconfig = re.search(r"kubeconfig +(\S+)", said)
            assert kubeconfig is not None, said
            yield Running(process, temporary, f"http://127.0.0.1:{port}", Path(kubeconfig[1]))
        finally:
            process.terminate()
            process.wait(timeout=STOP)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(tmp_path_factory.mktemp("one")) as running:
        yield running


class Client:
    """`paas` as somebody at a terminal uses it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        home.mkdir(exist_ok=True)

    def __call__(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", *words], cwd=self.home, text=True, capture_output=True, timeout=60,
            env={**os.environ, "HOME": str(self.home), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


def register(url: str, home: Path, name: str) -> Client:
    client = Client(home)
    client("register", url, f"--username={name}", "--password=correct horse", f"--email={name}@example.test")
    return client


def eventually(seen: Callable[[], str], wanted: Callable[[str], bool], seconds: float = 60) -> None:
    """A busy machine may take a moment between an answer and what it leads to."""
    deadline = time.monotonic() + seconds
    while not wanted(text := seen()):
        assert time.monotonic() < deadline, text
        time.sleep(0.3)


def test_the_life_of_an_app_through_the_command_line(platform: Running, tmp_path: Path) -> None:
    paas = register(platform.url, tmp_path / "bob", "bob")
    (paas.home / "Procfile").write_text("web: python app.py\nworker: python work.py\n")
    paas("create", "shop", "--no-remote")
    paas("pull", "registry.example/team/shop:1", "-a", "shop")
    assert "bob deployed registry.example/team/shop:1" in paas("releases", "-a", "shop")
    eventually(lambda: paas("ps", "-a", "shop"), lambda text: text.count(" up (v2)\n") == 1)
    paas("scale", "web=3", "worker=1", "-a", "shop")
    eventually(lambda: paas("ps", "-a", "shop"), lambda text: text.count(" up (v2)\n") == 4)
    assert "GREETING      hello" in paas("config:set", "GREETING=hello", "-a", "shop")
    eventually(lambda: paas("ps", "-a", "shop"), lambda text: text.count(" up (v3)\n") == 4)
    assert "bob added GREETING" in paas("logs", "-a", "shop", "-n", "500")
    eventually(lambda: paas("logs", "-a", "shop", "-n", "500"), lambda text: "simulated: python app.py" in text)


def test_one_off_commands_print_and_end(platform: Running, tmp_path: Path) -> None:
    paas = register(platform.url, tmp_path / "carol", "carol")
    paas("create", "jobs", "--no-remote")
    paas("pull", "registry.example/jobs:1", "-a", "jobs", "-p", "web: serve")
    assert "hello\n" in paas("run", "-a", "jobs", "echo hello; exit 3", code=3)
    assert "simulated: python manage.py migrate\n" in paas("run", "-a", "jobs", "python manage.py migrate")


def test_kubernetes_clients_see_nodes_logs_and_exec(platform: Running, tmp_path: Path) -> None:
    paas = register(platform.url, tmp_path / "dora", "dora")
    paas("create", "seen", "--no-remote")
    paas("pull", "registry.example/seen:1", "-a", "seen", "-p", "web: serve")
    name = json.loads(paas("ps", "--json", "-a", "seen"))[0]["name"]

    def kubectl(*words: str) -> str:
        command = ["kubectl", f"--kubeconfig={platform.kubeconfig}", *words]
        return subprocess.run(command, text=True, capture_output=True, timeout=60, check=True).stdout

    assert kubectl("get", "nodes", "-o", "name").splitlines() == ["node/node-0000", "node/node-0001"]
    assert kubectl("logs", "-n", "seen", name) == "simulated: serve\n"
    assert "DEIS_APP=seen\n" in kubectl("exec", "-n", "seen", name, "--", "env")


def test_two_at_once_know_nothing_of_each_other_and_interrupts_leave_nothing(tmp_path: Path, platform: Running) -> None:
    with started(tmp_path) as other:
        first = register(other.url, tmp_path / "eve", "eve")
        assert "Is Superuser:  true" in first("whoami", "--all")
        first("create", "mine", "--no-remote")
        assert "mine" not in register(platform.url, tmp_path / "frank", "frank")("apps")
        assert len(other.processes()) >= len(scratch.PROGRAMS)
        assert other.stop(signal.SIGINT) == 0
        assert other.processes() == []
        assert list(tmp_path.glob("scratch-*")) == []


def test_a_program_that_ends_takes_the_rest_with_it_and_is_named(tmp_path: Path) -> None:
    with started(tmp_path) as running:
        redis = next(
            int(entry.name)
            for entry in Path("/proc").glob("[0-9]*")
            if _command(entry).startswith("redis-server") and str(running.folder) in _command(entry)
        )
        os.kill(redis, signal.SIGKILL)
        assert running.process.wait(timeout=STOP) == 1
        assert running.process.stdout is not None
        said = running.process.stdout.read()
        assert "redis ended by itself (exit code -9). The end of its log:\n" in said
        assert running.processes() == []
        assert not running.folder.exists()


def _command(entry: Path) -> str:
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_a_taken_port_is_refused_with_another_to_try() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "host.scratch", "--port", str(port)],
            cwd=ROOT, capture_output=True, text=True, timeout=90,
        )  # fmt: skip
    assert done.returncode == 1
    assert f"Port {port} is taken on this machine; choose another: `make scratch PORT={port + 1}`." in done.stderr


def test_it_runs_a_command_and_ends_with_its_code(tmp_path: Path) -> None:
    home = "pathlib.Path(os.environ['SCRATCH_HOME'], 'platform.json')"
    check = f"import os, pathlib, sys; sys.exit(7 if {home}.exists() else 1)"
    done = subprocess.run(
        [sys.executable, "-m", "host.scratch", "--port", str(free_port()), "--run", sys.executable, "-c", check],
        cwd=ROOT, capture_output=True, text=True, timeout=START, env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 7, done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_has_no_engine_builder_or_router(tmp_path: Path) -> None:
    planned = {program.name: program for program in scratch.plan_scratch(Platform(home=tmp_path, docker_host="none"))}
    assert set(planned) == set(scratch.PROGRAMS)
    assert planned["controller"].environment["REGISTRATION_MODE"] == "enabled"
    assert planned["orchestrator-agent"].environment["AGENT_RUNTIME"] == "memory"


def test_a_deadline_says_what_was_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "log").mkdir()
    made = scratch.Scratch(Platform(home=tmp_path, docker_host="none"))
    monkeypatch.setattr(scratch, "START_PATIENCE", 0.0)
    (tmp_path / "log" / "controller.log").write_text("cannot bind\n")
    with pytest.raises(scratch.HostError, match=r"controller was not ready within 0 s(.|\n)*cannot bind"):
        made._await(lambda: time.monotonic() < 0, "controller")
