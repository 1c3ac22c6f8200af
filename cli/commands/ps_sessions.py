"""Ways into running processes: a command in one, a local port to one."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

from cli import output, terminal
from cli.client import Client
from cli.errors import CliError, UsageError
from cli.session import Session
from cli.table import APP, Arg, Option, command

if TYPE_CHECKING:
    import socket

    from cli.websocket import WebSocket

FORWARD_PROTOCOLS = ("v4.channel.k8s.io", "portforward.k8s.io")
DATA, ERRORS = 0, 1
PING_SECONDS = 30.0
LAST_WORDS = 5.0  # seconds of silence after the local side ended; the protocol has no half-closed connections
CHUNK = 32 * 1024


@command(
    "ps:exec",
    "Run a command in a running process; a shell when none is named",
    "paas ps:exec web -- ls -la /app",
    args=(
        Arg("process", "a type (web), or one process as `paas ps` names it; web when missing", required=False),
        Arg("command", "one quoted shell line, or words that reach the command unchanged", required=False, rest=True),
    ),
    options=(Option("--no-tty", "plain streams, even when this is a terminal"), APP),
    details="Standard input is passed on, Ctrl-C too; the exit code is the command's. What it changes in the process' "
    "files is gone with the process.",
)
def execute(session: Session, process: str | None, command: list[str] | None, no_tty: bool | None) -> int:
    tty = terminal.wanted(no_tty)
    line = terminal.shell_line(command) if command else "bash"
    stream = session.api.upgrade(
        session.app_path("exec"),
        terminal.PROTOCOLS,
        process=process or default_type(session),
        command=line,
        tty="1" if tty else "0",
    )
    return terminal.joined(stream, tty=tty)


def default_type(session: Session) -> str:
    structure: dict[str, int] = session.api.get(session.app_path(""))["structure"]
    running = [kind for kind in ("web", "cmd", *sorted(structure)) if structure.get(kind)]
    if not running:
        raise CliError(f"No process of {session.app} is wished to run; `paas scale web=1` starts one.")
    return running[0]


@command(
    "ps:forward",
    "Forward local ports to a process, until Ctrl-C",
    "paas port-forward 5432:5432 db",
    args=(
        Arg("port", "LOCAL:REMOTE, or one number for both"),
        Arg("process", "a type, or one process as `paas ps` names it; the routed type when missing", required=False),
    ),
    options=(Option("--address", "the local address to listen on", value="ADDRESS", default="127.0.0.1"), APP),
)
def forward(session: Session, port: str, process: str | None, address: str) -> None:
    import socket

    local, remote = parse_ports(port)
    path, client = session.app_path("portforward"), session.api
    session.api.get(session.app_path(""))  # who may not, or has no such app, hears it now
    try:
        listener = socket.create_server((address, local))
    except OSError as exc:
        raise CliError(f"{address}:{local} can't be listened on ({exc.strerror}); choose another local port.") from exc
    with listener:
        listener.settimeout(1.0)  # so that Ctrl-C is heard on every system
        shown = listener.getsockname()[1]
        output.line(f"Forwarding {address}:{shown} to port {remote} of {session.app}; Ctrl-C ends it")
        while True:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            arguments = (client, path, connection, remote, process or "")
            threading.Thread(target=carry_connection, args=arguments, daemon=True).start()


def parse_ports(text: str) -> tuple[int, int]:
    """`5432:5433` as (5432, 5433); a single number is both; a local 0 takes any free port."""
    found = re.fullmatch(r"(?:(\d{1,5}):)?(\d{1,5})", text)
    if not found or not 1 <= int(found[2]) <= 65535 or int(found[1] or 0) > 65535:
        raise UsageError(f"'{text}' are no ports; write LOCAL:REMOTE, for example 15432:5432.")
    return int(found[1] if found[1] is not None else found[2]), int(found[2])


def carry_connection(client: Client, path: str, connection: socket.socket, port: int, process: str) -> None:
    """One local connection, until either side ends it."""
    try:
        tunnel = client.upgrade(path, FORWARD_PROTOCOLS, port=port, process=process)
    except CliError as exc:
        output.error(str(exc))
        connection.close()
        return
    try:
        Forwarded(connection, tunnel).carry()
    except (CliError, OSError) as exc:
        output.note(f" !    A forwarded connection ended: {exc}")
    finally:
        connection.close()
        tunnel.close()


class Forwarded:
    """The bytes of one connection: what the local side sends goes into channel 0, what comes from there to it."""

    def __init__(self, connection: socket.socket, tunnel: WebSocket) -> None:
        self._connection, self._tunnel = connection, tunnel
        self._begun: set[int] = set()
        self._lock = threading.Condition()
        self._waiting: list[bytes] = []
        self._ended = False
        self._quiet_since = time.monotonic()

    def carry(self) -> None:
        threading.Thread(target=self._read_local, daemon=True).start()
        next_ping = time.monotonic() + PING_SECONDS
        while not self._tunnel.closed:
            self._tunnel.wait(1.0 if self._ended else max(next_ping - time.monotonic(), 0))
            if time.monotonic() >= next_ping:
                next_ping = time.monotonic() + PING_SECONDS
                self._tunnel.ping()
            if data := self._take_local():
                self._tunnel.send(bytes([DATA]) + data)
            for message in self._tunnel.receive():
                self._take(message)
            if self._ended and time.monotonic() > self._quiet_since + LAST_WORDS:
                return

    def _take_local(self) -> bytes:
        with self._lock:
            data, self._waiting = b"".join(self._waiting), []
            self._lock.notify()
        return data

    def _take(self, message: bytes) -> None:
        channel, data = message[0], message[1:]
        if channel not in self._begun:  # each channel begins with its port
            self._begun.add(channel)
            data = data[2:]
        self._quiet_since = time.monotonic()
        if channel == DATA and data:
            self._connection.sendall(data)
        elif channel == ERRORS and data:
            raise CliError(data.decode("utf-8", "replace"))

    def _read_local(self) -> None:
        while True:
            try:
                data = self._connection.recv(CHUNK)
            except OSError:
                data = b""
            with self._lock:
                self._lock.wait_for(lambda: len(self._waiting) < 16, timeout=60)
                self._waiting.append(data)
                self._quiet_since, self._ended = time.monotonic(), not data
            self._tunnel.wake()
            if not data:
                return
