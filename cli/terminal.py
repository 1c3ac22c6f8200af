"""A command on the other side, joined to this terminal or to pipes: keys there, output here, its exit code at the end.

Messages are a channel number and bytes, as Kubernetes has it: 0 input, 1 output, 2 errors, 3 the result, 4 the
terminal's size, 255 closes a channel.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cli import output
from cli.errors import CliError
from cli.system import patience

if TYPE_CHECKING:
    from cli.websocket import WebSocket

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, RESULT, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
PING_SECONDS = 30.0  # the controller counts a client as gone that says nothing for two minutes
CHUNK = 32 * 1024
PENDING = 64  # chunks of input read ahead


def wanted(no_tty: bool | None) -> bool:
    """Whether the other side gets a terminal: both ends of us are one, and nobody said --no-tty.

    On Windows it never does, as its console can't be switched to raw input the same way: who sits there is told.
    """
    if no_tty or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    if sys.platform == "win32":
        output.note(
            "Without a terminal of its own, as this is Windows: lines are sent when you press Enter, Ctrl-Z and Enter "
            "end the input. In WSL it is a whole terminal; --no-tty leaves this remark out."
        )
        return False
    return True


def shell_line(words: list[str]) -> str:
    """One word is a shell line as it stands; several are one command, each word kept as typed."""
    import shlex

    return words[0] if len(words) == 1 else shlex.join(words)


def joined(socket: WebSocket, *, tty: bool, stdin: bool = True) -> int:
    """The command's exit code, once it has ended.

    Raises: CliError when it couldn't be run or the connection broke.
    """
    return Joined(socket, tty=tty, stdin=stdin).run()


class Joined:
    def __init__(self, socket: WebSocket, *, tty: bool, stdin: bool) -> None:
        self._socket, self._tty = socket, tty
        self._typed: queue.Queue[bytes] = queue.Queue(maxsize=PENDING)
        self._resized = tty
        self._result: dict[str, Any] | None = None
        if stdin:
            threading.Thread(target=self._read_stdin, daemon=True).start()
        else:
            self._typed.put(b"")

    def run(self) -> int:
        try:
            with raw_terminal(self._tty), self._told_of_resizes():
                self._carry()
        finally:
            self._socket.close()
        return exit_code(self._result)

    def _carry(self) -> None:
        next_ping = time.monotonic() + PING_SECONDS
        while not self._socket.closed and self._result is None:
            self._send_size()
            self._send_typed()
            self._socket.wait(patience(max(next_ping - time.monotonic(), 0)))
            if time.monotonic() >= next_ping:
                next_ping = time.monotonic() + PING_SECONDS
                self._socket.ping()
            for message in self._socket.receive():
                self._take(message)

    def _take(self, message: bytes) -> None:
        channel, data = message[0] if message else STDOUT, message[1:]
        if channel == RESULT:
            self._result = json.loads(data)
        elif channel in (STDOUT, STDERR) and data:
            stream = sys.stdout if channel == STDOUT else sys.stderr
            stream.buffer.write(data)
            stream.buffer.flush()

    def _read_stdin(self) -> None:
        number = sys.stdin.fileno()
        while True:
            try:
                data = os.read(number, CHUNK)
            except OSError:
                data = b""
            self._typed.put(data)
            self._socket.wake()
            if not data:
                return

    def _send_typed(self) -> None:
        for _ in range(PENDING):
            try:
                data = self._typed.get_nowait()
            except queue.Empty:
                return
            if data:
                self._socket.send(bytes([STDIN]) + data)
            elif self._socket.protocol == PROTOCOLS[0]:
                self._socket.send(bytes([CLOSE, STDIN]))

    def _send_size(self) -> None:
        if self._resized:
            self._resized = False
            size = os.get_terminal_size(sys.stdout.fileno())
            self._socket.send(bytes([RESIZE]) + json.dumps({"Width": size.columns, "Height": size.lines}).encode())

    @contextmanager
    def _told_of_resizes(self) -> Iterator[None]:
        if not self._tty or sys.platform == "win32":
            yield
            return

        def resized(number: int, frame: Any) -> None:
            self._resized = True
            self._socket.wake()

        before = signal.signal(signal.SIGWINCH, resized)
        try:
            yield
        finally:
            signal.signal(signal.SIGWINCH, before)


def exit_code(result: dict[str, Any] | None) -> int:
    """Of the result that the other side sent. Raises: CliError when there was none, or it isn't of the command."""
    if result is None:
        raise CliError(
            "The session ended before the command did: its process was stopped or replaced, its time was over, or "
            "the connection broke; `paas logs` may tell."
        )
    if result.get("status") == "Success":
        return 0
    for cause in (result.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise CliError(f"The command could not be run: {result.get('message') or 'no reason was given'}")


@contextmanager
def raw_terminal(wanted: bool) -> Iterator[None]:
    """Keys as they are typed, Ctrl-C included, until the end."""
    if not wanted or sys.platform == "win32":
        yield
        return
    import termios
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setraw(number, termios.TCSADRAIN)  # what was typed ahead is kept
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
