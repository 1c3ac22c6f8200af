"""Terminals into the platform, and a log that outlives the processes that wrote it, here and where it drains to."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.e2e.developer import Developer, until

Example = tuple[str, Path]
PATIENCE = 60.0  # seconds for one thing to show on a terminal
AGAIN = 0.5  # seconds after which something is typed once more


class Terminal:
    """A command at a terminal of 100 columns and 40 lines."""

    def __init__(self, developer: Developer, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(40, 100)
        command = [sys.executable, "-m", "cli.main", *words]
        environment = developer._environment | {"TERM": "xterm"}
        self.process = subprocess.Popen(
            command, env=environment, cwd=developer.home, stdin=theirs, stdout=theirs, stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(theirs)
        self.seen = ""

    def resize(self, lines: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def until(self, wanted: str, typing: str = "") -> None:
        """What was shown holds `wanted`; `typing` is typed until it does, more and more seldom."""
        deadline, pause, due = time.monotonic() + PATIENCE, AGAIN, 0.0
        while wanted not in self.seen:
            assert time.monotonic() < deadline, f"{wanted!r} was not shown, but: {self.seen}"
            if typing and time.monotonic() > due:
                self.type(typing)
                due, pause = time.monotonic() + pause, pause * 2
            readable, _, _ = select.select([self._ours], [], [], 0.2)
            if readable:
                self.seen += os.read(self._ours, 4096).decode("utf-8", "replace")
        self.seen = self.seen.partition(wanted)[2]

    def exit_code(self) -> int:
        while self.process.poll() is None:
            readable, _, _ = select.select([self._ours], [], [], 0.2)
            if readable:
                try:
                    os.read(self._ours, 4096)
                except OSError:
                    break
        return self.process.wait(timeout=PATIENCE)


def test_a_shell_behaves_like_one_and_is_gone_with_its_client(admin: Developer, example_app: Example) -> None:
    app, _ = example_app
    shell = Terminal(admin, "run", "-a", app, "bash")
    shell.type("stty size; echo $((6*7))\n")
    shell.until("40 100")
    shell.until("42")
    shell.resize(50, 120)
    shell.until("50 120", typing="stty size\n")
    shell.type('echo asl""eep; sleep 300\n')
    shell.until("asleep")
    shell.until("interrupted", typing='\x03echo inter""rupted\n')  # bash misses one while it starts a command
    shell.type("exit 7\n")
    assert shell.exit_code() == 7
    piped = admin.run(
        [sys.executable, "-m", "cli.main", "run", "-q", "-a", app, "--", "tr", "a-z", "A-Z"], stdin="hello\n"
    )
    assert piped.stdout == "HELLO\n"
    inside = admin.paas("ps:exec", "web", "-a", app, "--", "printenv", "DEIS_APP")
    assert inside.stdout == f"{app}\n"
    left = Terminal(admin, "run", "-a", app, "sleep", "300")
    until(lambda: running(admin, app), PATIENCE, "the command never began")
    left.process.kill()
    until(lambda: not running(admin, app), PATIENCE, "a command went on without its client")


def router_lines(admin: Developer, app: str) -> str:
    return admin.paas("logs", "-a", app, "--source", "router", "-n", "500").stdout


def running(admin: Developer, app: str) -> list[str]:
    rows = admin.json("runs", "-a", app)
    return [row["name"] for row in rows if row["state"] == "running"]  # type: ignore[attr-defined, index]


@contextmanager
def receiver(answer: bytes = b"") -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Takes connections on a port of this machine; what it got. `answer` is sent after each piece."""
    got: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                while data := connection.recv(65536):
                    got.append(data)
                    if answer:
                        connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], lambda: b"".join(got)


def test_the_log_outlives_its_processes_and_drains_elsewhere(admin: Developer, example_app: Example) -> None:
    app, _ = example_app
    answered = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    with receiver() as (syslog_port, syslog), receiver(answered) as (http_port, posted):
        admin.paas("logs:drains:add", f"syslog://127.0.0.1:{syslog_port}", "-a", app)
        admin.paas("logs:drains:add", f"http://127.0.0.1:{http_port}/in", "-a", app)
        until(lambda: admin.ask(app, "/?before-the-restart").status == 200, PATIENCE, "the app doesn't answer")
        until(lambda: b"before-the-restart" in syslog(), PATIENCE, "nothing came over syslog")
        until(lambda: b"before-the-restart" in posted(), PATIENCE, "nothing was posted")
        assert f" {app} app web.v".encode() in syslog()
        assert b"Content-Type: application/logplex-1" in posted()
    before = admin.paas("logs", "-a", app, "--ps", "web", "-g", "before-the-restart").stdout
    assert before.count("\n") == 1
    suffix = before.partition("].")[0].rpartition(".")[2].partition("]")[0]
    admin.paas("ps:restart", "-a", app)
    assert suffix not in admin.paas("ps", "-a", app).stdout
    assert admin.paas("logs", "-a", app, "--ps", "web", "-g", "before-the-restart").stdout == before
    until(  # nginx keeps lines back for a moment
        lambda: "method=GET" in (requests := router_lines(admin, app)) and "status=200" in requests,
        PATIENCE,
        "the request is not in the router's part of the log",
    )
    admin.paas("run:detached", "-a", app, "echo", "said by a detached command")
    until(
        lambda: "said by a detached command" in admin.paas("logs", "-a", app, "--source", "app").stdout,
        PATIENCE,
        "what a detached command printed is not in the log",
    )
