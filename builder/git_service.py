"""git's own services on an app's repository, whoever speaks to them: SSH sessions and HTTP requests.

A service is a child process; its hook asks this process (receive.py). While one receives, the app is held.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from builder import pace
from builder.disk import NEXT
from builder.errors import PushRefused
from builder.locks import AppLocks
from builder.packets import LARGEST_COMMANDS, Rule, reworded
from builder.processes import end
from builder.push import Pipeline, Push
from builder.receive import HookServer
from builder.refs import DEPLOYED
from builder.repository import Repositories, git_environment

log = logging.getLogger("builder.git")
CHUNK = 1 << 16
TIDY_TIMEOUT = 600.0  # seconds for packing a repository
DISK_FULL = f"The platform's disk is full, so nothing of this push was kept. {NEXT}"
RECEIVE, UPLOAD = "receive-pack", "upload-pack"

Read = Callable[[], Awaitable[bytes]]  # b"" at the end
Write = Callable[[bytes], Awaitable[None]]


@dataclass
class Exchange:
    """One run of a service: its command, and whether the pack has come."""

    command: list[str]
    environment: dict[str, str]
    is_received: Callable[[], bool]
    rules: Sequence[Rule] = ()  # what is said in place of git's own words
    sent: bytearray = field(default_factory=bytearray)  # the beginning of what the client sends: its commands
    last_output: float = 0.0  # when the service said something (monotonic)


class GitService:
    def __init__(self, repositories: Repositories, locks: AppLocks, hooks: HookServer, pipeline: Pipeline) -> None:
        self.repositories, self.locks = repositories, locks
        self._hooks, self._pipeline = hooks, pipeline
        self._tidying: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(
        self, service: str, push: Push, uuid: str, protocol: str = "", flags: tuple[str, ...] = ()
    ) -> AsyncIterator[Exchange]:
        """What to run for `push`; a receiving service holds the app until the context ends.

        Raises: PushRefused while another deploy of the app is on.
        """
        with self._held(service, push) as (extra, is_received):
            if service == RECEIVE:
                await asyncio.to_thread(self.repositories.refuse_when_full)
            await asyncio.to_thread(self.repositories.ensure_of, push.app, uuid)
            if protocol:
                extra["GIT_PROTOCOL"] = protocol[:64]
            if service != RECEIVE:
                command = self.repositories.service_command(service, push.app, flags)
                yield Exchange(command, git_environment(extra), is_received)
                return
            room = await asyncio.to_thread(self.repositories.room_left, push.app)
            command = self.repositories.service_command(service, push.app, flags, room)
            rules = ((b"pack exceeds maximum allowed size", room.refusal), (b"No space left on device", DISK_FULL))
            try:
                yield Exchange(command, git_environment(extra), is_received, rules)
            finally:
                self.repositories.drop_quarantine(push.app)  # git does it unless it is killed
            self.deployed(push.app)

    async def advertising(self, service: str, push: Push, uuid: str, protocol: str) -> Exchange:
        """What to run to list the refs over HTTP; nothing is held for it."""
        await asyncio.to_thread(self.repositories.ensure_of, push.app, uuid)
        extra = {"GIT_PROTOCOL": protocol[:64]} if protocol else {}
        flags = ("--stateless-rpc", "--http-backend-info-refs")
        return Exchange(
            self.repositories.service_command(service, push.app, flags), git_environment(extra), lambda: True
        )

    def deployed(self, app: str) -> None:
        """What follows a push: a clone checks out the deployed branch, the repository is packed if it needs it."""
        for ref in DEPLOYED:
            self.repositories.point_head(app, ref)
        if command := self.repositories.tidy_command(app):
            task = asyncio.create_task(run_quietly(command))
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    async def collect(self, apps: frozenset[str]) -> None:
        """Drop the repositories of apps that are gone."""
        held = self.locks.held().keys()
        for app in await asyncio.to_thread(self.repositories.drop_others, apps | held, time.time()):
            log.info("dropped what was kept for %s: the app is gone", app)

    @contextmanager
    def _held(self, service: str, push: Push) -> Iterator[tuple[dict[str, str], Callable[[], bool]]]:
        if service != RECEIVE:
            yield {}, lambda: True
            return
        with self.locks.hold(push.app, push.user), self._hooks.announce(partial(self._pipeline.run, push)) as token:
            extra = {"PAAS_SOCKET": str(self._hooks.path), "PAAS_PUSH": token}
            yield extra, lambda: not self._hooks.is_awaited(token)


async def run_service(exchange: Exchange, read: Read, write: Write, write_error: Write) -> int:
    """Run a service between a client's streams; its exit code. Cancelled, it ends the child with its children.

    Raises: PushRefused when the client falls silent, or all but so, before its pack has come; ConnectionError when it
    doesn't read.
    """
    child = await asyncio.create_subprocess_exec(
        *exchange.command,
        env=exchange.environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=4 * CHUNK,
    )
    assert child.stdin and child.stdout and child.stderr
    feeding = asyncio.ensure_future(feed(exchange, read, child.stdin))
    answering = asyncio.gather(answer(exchange, child.stdout, write), drain(chunks(child.stderr), write_error))
    try:
        halves: list[asyncio.Future[Any]] = [feeding, answering]
        await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        if feeding.done() and not answering.done():
            feeding.result()  # a client that is too slow ends it all
        await answering
        return await child.wait()
    finally:
        feeding.cancel()
        answering.cancel()
        for other in (feeding, answering):
            with suppress(asyncio.CancelledError, Exception):
                await other
        if child.returncode is None:
            await end(child)


async def feed(exchange: Exchange, read: Read, sink: asyncio.StreamWriter) -> None:
    """Pump the client's bytes into the child until either has enough. Raises: PushRefused for one that is too slow."""
    pace_kept = pace.Pace()
    try:
        while chunk := await read_in_time(exchange, read):
            if not pace_kept.keeps_up(len(chunk)) and not exchange.is_received():
                raise PushRefused(
                    f"The push comes too slowly, less than {pace.SLOWEST} bytes a second: it is given up. Push again."
                )
            if len(exchange.sent) < LARGEST_COMMANDS:
                exchange.sent += chunk
            sink.write(chunk)
            await sink.drain()
    except ConnectionError:
        return
    finally:
        sink.close()


async def read_in_time(exchange: Exchange, read: Read) -> bytes:
    """Raises: PushRefused after `SILENCE` in which the pack was awaited; while git or the build works, nothing is."""
    pending = asyncio.ensure_future(read())
    try:
        while True:
            done, _ = await asyncio.wait({pending}, timeout=pace.SILENCE)
            if done:
                return pending.result()
            if not exchange.is_received() and time.monotonic() - exchange.last_output > pace.SILENCE:
                raise PushRefused(f"Nothing came for {pace.SILENCE:.0f} s: the push is given up. Push again.")
    finally:
        pending.cancel()


async def answer(exchange: Exchange, source: asyncio.StreamReader, write: Write) -> None:
    """Pass on what the service says."""
    said = reworded(chunks(source), exchange.rules) if exchange.rules else chunks(source)
    async for chunk in said:
        exchange.last_output = time.monotonic()
        await in_time(write(chunk))


async def chunks(source: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while chunk := await source.read(CHUNK):
        yield chunk


async def drain(source: AsyncIterator[bytes], write: Write) -> None:
    async for chunk in source:
        await in_time(write(chunk))


async def in_time(writing: Awaitable[None]) -> None:
    """Raises: ConnectionError when the client reads nothing."""
    try:
        async with asyncio.timeout(pace.STALL):
            await writing
    except TimeoutError as exc:
        raise ConnectionError(f"the client read nothing for {pace.STALL:.0f} s") from exc


async def run_quietly(command: list[str]) -> None:
    """Run housekeeping to its end, a bounded time, at the lowest priority."""
    child = await asyncio.create_subprocess_exec(
        "nice",
        *command,
        env=git_environment({}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TIDY_TIMEOUT):
            await child.wait()
    except TimeoutError:
        log.warning("stopped after %.0f s: %s", TIDY_TIMEOUT, " ".join(command))
    finally:
        if child.returncode is None:
            await end(child)
