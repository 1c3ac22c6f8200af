"""A build's output for the app's log: datagrams to the log store, for which no build waits."""

from __future__ import annotations

import json
import re
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

COLOURS = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")
LONGEST = 8 * 1024  # bytes of a line
UDP = "udp://"


class StoreLines:
    """Takes the lines of one build of `app`; without an `intake` they go nowhere.

    An intake is a socket's path, or `udp://host:port`, which wants the builder's key with every line.
    """

    def __init__(self, intake: str, app: str, key: str = "") -> None:
        self._app, self._missed = app, 0
        self._permit = {"key": key} if intake.startswith(UDP) else {}
        self._place: Any = intake
        self._sender: socket.socket | None = None
        with suppress(OSError):  # no such name yet: the build's own log has everything
            family, self._place = place_of(intake)
            self._sender = socket.socket(family, socket.SOCK_DGRAM) if intake else None
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
        line = {"app": self._app, "source": "builder", "text": text, **self._permit}
        self._sender.sendto(json.dumps(line).encode(), self._place)

    def close(self) -> None:
        if self._sender:
            self._sender.close()


def place_of(intake: str) -> tuple[int, Any]:
    """The family and address of datagrams for `intake`. Raises: OSError when its name can't be resolved."""
    if not intake.startswith(UDP):
        return socket.AF_UNIX, intake
    parts = urlsplit(intake)
    found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_DGRAM)
    return found[0][0], found[0][4]
