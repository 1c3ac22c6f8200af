"""nginx's admin socket: pushes what changed of the table, and keeps the snapshot that nginx starts from."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from router.errors import RouterError
from router.render import write_private
from router.table import Entries, plan_change

TIMEOUT = 10.0  # seconds for one call; a full push of 10,000 domains takes 0.2
SNAPSHOT_EVERY = 0.5  # seconds; under steady change the file is written this often at most


class ProxyUnreachable(RouterError):
    def __init__(self, socket_path: Path, cause: object) -> None:
        super().__init__(f"nginx does not answer on {socket_path} ({cause}); routes are sent again once it does")


class PushRefused(RouterError):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"nginx refused the routes with status {status}: {text}; it keeps serving the previous ones")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float = TIMEOUT) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = str(path)

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def call(socket_path: Path, method: str, path: str, body: Any = None, timeout: float = TIMEOUT) -> tuple[int, Any]:
    """(status, decoded JSON). Raises: ProxyUnreachable."""
    connection = UnixConnection(socket_path, timeout)
    try:
        connection.request(method, path, body=None if body is None else json.dumps(body))
        response = connection.getresponse()
        text = response.read()
    except (OSError, http.client.HTTPException) as exc:
        raise ProxyUnreachable(socket_path, exc) from exc
    finally:
        connection.close()
    try:
        return response.status, json.loads(text)
    except ValueError:
        return response.status, {"error": text.decode(errors="replace")[:200]}


class Proxy:
    """Makes nginx serve a table; knows what nginx holds, and finds out when it holds something else."""

    def __init__(self, socket_path: Path, snapshot: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket, self._snapshot, self._clock = socket_path, snapshot, clock
        self._boot = f"{time.time_ns():x}"
        self._serial = 0
        self._held: Entries | None = None  # None: not known
        self._version = ""
        self._wanted: Entries | None = None
        self._saved_version = ""
        self._saved_at = float("-inf")

    def sync(self, entries: Entries) -> int:
        """How many entries had to change; 0 is also a sign of life to nginx. Raises: ProxyUnreachable, PushRefused."""
        if entries != self._wanted:
            self._wanted = dict(entries)
            self._serial += 1
        version = f"{self._boot}-{self._serial}"
        if self._held is not None:
            change = plan_change(self._held, entries)
            body = {"base": self._version, "version": version, "set": change.set, "delete": change.delete}
            status, answer = self._put(body)
            if status == 200:
                return self._holds(entries, version, len(change.set) + len(change.delete))
            if status != 409:
                raise PushRefused(status, str(answer.get("error", answer)))
        status, answer = self._put({"version": version, "set": entries, "delete": []})
        if status != 200:
            raise PushRefused(status, str(answer.get("error", answer)))
        return self._holds(entries, version, len(entries))

    def _put(self, body: dict[str, Any]) -> tuple[int, Any]:
        held, self._held = self._held, None
        answer = call(self._socket, "PUT", "/table", body)
        self._held = held
        return answer

    def _holds(self, entries: Entries, version: str, changed: int) -> int:
        self._held, self._version = dict(entries) if changed else self._held, version
        return changed

    def save_when_due(self) -> bool:
        """Writes the snapshot if the table changed and the last write is long enough ago."""
        version = f"{self._boot}-{self._serial}"
        now = self._clock()
        if self._wanted is None or version == self._saved_version or now - self._saved_at < SNAPSHOT_EVERY:
            return False
        write_private(self._snapshot, json.dumps({"version": version, "entries": self._wanted}))
        self._saved_version, self._saved_at = version, now
        return True
