"""A build's output for the app's log: datagrams to the log store of this host, for which no build waits."""

from __future__ import annotations

import json
import re
import socket

COLOURS = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
LONGEST = 8 * 1024  # bytes of a line


class StoreLines:
    """Takes the lines of one build of `app`; without an `intake` (a socket's path) they go nowhere."""

    def __init__(self, intake: str, app: str) -> None:
        self._intake, self._app = intake, app
        self._missed = 0
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if intake else None
        if self._sender:
            self._sender.setblocking(False)

    def write(self, data: bytes) -> None:
        if self._sender is None:
            return
        for raw in COLOURS.sub(b"", data).split(b"\n"):
            if text := raw.rpartition(b"\r")[2].rstrip():
                self._send(text[:LONGEST].decode("utf-8", "replace"))

    def _send(self, text: str) -> None:
        try:
            if self._missed:
                self._put(f"WARN {self._missed} lines of the build left out: they came faster than they were taken")
                self._missed = 0
            self._put(text)
        except BlockingIOError:
            self._missed += 1
        except OSError:
            return  # the store is away; the build's own log has everything

    def _put(self, text: str) -> None:
        assert self._sender is not None
        self._sender.sendto(json.dumps({"app": self._app, "source": "builder", "text": text}).encode(), self._intake)

    def close(self) -> None:
        if self._sender:
            self._sender.close()
