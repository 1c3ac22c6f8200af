"""The door between git's hook and the builder: a unix socket, one connection a push.

A push is announced under a random token before git starts; git's pre-receive hook connects with that token, and
gets back output frames and at last an exit code (hooks/pre_receive.py is the other end).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from builder.hooks.pre_receive import SIZE
from builder.progress import Progress

log = logging.getLogger("builder.receive")
REQUEST_MAX = 4 << 20  # bytes of what the hook sends: refs of a push
SOCKET_NAME_MAX = 100  # bytes; Linux takes 107
HELLO_TIMEOUT = 10.0  # seconds
GIT_VARIABLES = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_QUARANTINE_PATH")

Handler = Callable[[list[str], Mapping[str, str], Progress], Awaitable[bool]]


def socket_path(data: Path) -> Path:
    """Where the socket is: in the data folder, unless the system can't bind so long a name."""
    path = data / "run" / "hook.sock"
    if len(os.fsencode(path)) <= SOCKET_NAME_MAX:
        return path
    return Path(tempfile.gettempdir()) / f"paas-builder-{hashlib.sha256(os.fsencode(data)).hexdigest()[:16]}.sock"


class HookServer:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._announced: dict[str, Handler] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, str(self.path))
        self.path.chmod(0o600)

    async def stop(self) -> None:
        if self._server:
            self._server.close()
        for task in list(self._running.values()):
            task.cancel()
        self.path.unlink(missing_ok=True)

    @contextmanager
    def announce(self, handler: Handler) -> Iterator[str]:
        """A token under which git's hook may call `handler` once; whatever it does stops with this context."""
        token = secrets.token_urlsafe(24)
        self._announced[token] = handler
        try:
            yield token
        finally:
            self._announced.pop(token, None)
            if task := self._running.pop(token, None):
                task.cancel()

    def is_awaited(self, token: str) -> bool:
        """Whether git's hook has yet to come: the pack isn't here."""
        return token in self._announced

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HELLO_TIMEOUT):
                token, git, updates = parse_request(await read_request(reader))
            handler = self._announced.pop(token, None)
            if handler is None:
                return
            task = asyncio.current_task()
            assert task is not None
            self._running[token] = task
            await self._handle(partial(handler, updates, git), reader, writer)
        except (ValueError, EOFError, TimeoutError, ConnectionError) as exc:
            log.warning("a hook's call broke off: %r", exc)
        except asyncio.CancelledError:
            log.info("a push was stopped")
        finally:
            writer.close()

    async def _handle(
        self,
        handler: Callable[[Progress], Awaitable[bool]],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        def write(data: bytes) -> None:
            if not writer.is_closing():
                writer.write(frame(b"o", data))

        work = asyncio.ensure_future(handler(Progress(write, drain=writer.drain)))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                writer.write(frame(b"x", bytes([0 if work.result() else 1])))
                await writer.drain()
        finally:
            gone.cancel()
            work.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await work


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """What the hook sends. Raises: ValueError, EOFError."""
    size = int(await reader.readline())
    if not 0 <= size <= REQUEST_MAX:
        raise ValueError(f"a request of {size} bytes")
    return await reader.readexactly(size)


def parse_request(data: bytes) -> tuple[str, dict[str, str], list[str]]:
    """(token, where git keeps the push's objects, updates) of what hooks/pre_receive.py made. Raises: ValueError."""
    token, *fields = data.decode(errors="surrogateescape").split("\0")
    end = fields.index("")
    told = dict(field.partition("=")[::2] for field in fields[:end])
    return token, {key: told[key] for key in GIT_VARIABLES if key in told}, fields[end + 1 :]


def frame(kind: bytes, payload: bytes) -> bytes:
    return kind + len(payload).to_bytes(SIZE, "big") + payload
