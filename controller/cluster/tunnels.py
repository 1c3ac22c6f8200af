"""Upgraded connections (exec, port-forward) between a client and the cluster: bytes handed through.

The controller decides who may open a tunnel and where it leads; the WebSocket in it is between the client and the
node's agent, so nothing is decoded here. One event loop in a thread of its own carries all of them: a session that
idles for an hour costs two sockets, and no thread of the web server.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlencode

from django.db import connections

from controller import neighbours
from controller.cluster.client import Unreachable, refusal
from controller.errors import ClusterTrouble

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 10.0  # seconds until the API server has answered the upgrade
IDLE = 120.0  # seconds without a byte of the client until it counts as gone; `paas` pings every 30
PULSE = 10.0  # seconds between signs of life
MOST = 500  # tunnels at a time
CHUNK = 64 * 1024
LONGEST_ANSWER = 256 * 1024  # bytes of a refusal that are read
PASSED = ("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol")


class TooMany(ClusterTrouble):
    """As many tunnels are open as this process carries."""


@dataclass(frozen=True)
class Endpoint:
    """The API server as a TCP address, and who we are to it."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    headers: tuple[tuple[str, str], ...] = ()


@dataclass
class Tunnel:
    """The cluster's end, open and upgraded; `head` is its answer, which the client waits for."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes

    def close(self) -> None:
        """Gives an unused tunnel up."""
        loop().call_soon_threadsafe(self.writer.close)


@cache
def loop() -> asyncio.AbstractEventLoop:
    """The loop of all tunnels, running."""
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="tunnels", daemon=True).start()
    return made


_open: set[asyncio.Task] = set()


def open_tunnel(endpoint: Endpoint, path: str, query: Sequence[tuple[str, str]], offered: Mapping[str, str]) -> Tunnel:
    """The cluster's side of a WebSocket, with the handshake that the client `offered`.

    Raises: TooMany, Unreachable, ClusterError with the API server's refusal.
    """
    if len(_open) >= MOST:
        raise TooMany(f"{MOST} sessions and forwarded connections are open; end some, or try again later")
    return _wait_for(_connect(endpoint, path, query, offered))


def _wait_for(work: Coroutine[Any, Any, Tunnel]) -> Tunnel:
    try:
        return asyncio.run_coroutine_threadsafe(work, loop()).result(CONNECT_TIMEOUT * 2)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
        raise Unreachable(f"the orchestrator's API doesn't answer ({type(exc).__name__}); try again shortly") from exc


async def _connect(endpoint, path, query, offered) -> Tunnel:
    async with asyncio.timeout(CONNECT_TIMEOUT):
        reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=endpoint.tls, limit=CHUNK * 2)
        try:
            writer.write(_request(endpoint, path, query, offered))
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status == 101:
                return Tunnel(reader, writer, head)
            raise refusal(status, await _body(reader, head))
        except BaseException:
            writer.close()
            raise


def _request(endpoint: Endpoint, path: str, query: Sequence[tuple[str, str]], offered: Mapping[str, str]) -> bytes:
    headers = [
        ("Host", f"{endpoint.host}:{endpoint.port}"),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        *endpoint.headers,
        *((name, offered[name]) for name in PASSED if name in offered),
    ]
    lines = [f"GET {path}?{urlencode(query)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """The body of a refusal: by its length, or until the end."""
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:") and (length := line.partition(b":")[2].strip()).isdigit():
            return await reader.readexactly(min(int(length), LONGEST_ANSWER))
    return await reader.read(LONGEST_ANSWER)


def open_neighbour(place: str, target: str, head: bytes) -> Tunnel:
    """The answer of one of the platform's programs to a GET, to be passed on below a `head` of our own.

    Raises: TooMany, Unreachable.
    """
    if len(_open) >= MOST:
        raise TooMany(f"{MOST} sessions and followed logs are open; end some, or try again later")
    return _wait_for(_ask_neighbour(place, target, head))


async def _ask_neighbour(place: str, target: str, head: bytes) -> Tunnel:
    async with asyncio.timeout(CONNECT_TIMEOUT):
        if address := neighbours.tcp_address(place):
            reader, writer = await asyncio.open_connection(*address, limit=CHUNK * 2)
        else:
            reader, writer = await asyncio.open_unix_connection(place, limit=CHUNK * 2)
        try:
            headers = {"Host": "localhost", **neighbours.key_headers(place)}
            lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
            answered = await reader.readuntil(b"\r\n\r\n")
            if answered.split(b" ", 2)[1] != b"200":
                raise ConnectionError("refused")
            return Tunnel(reader, writer, head)
        except BaseException:
            writer.close()
            raise


def join(
    tunnel: Tunnel,
    client: socket.socket,
    *,
    pulse: Callable[[], None],
    ended: Callable[[], None],
    allowed: Callable[[], bool],
    patience: float | None = IDLE,
) -> None:
    """Carries bytes between `client` and the tunnel until one of them ends, without waiting for it.

    `pulse` and `allowed` are called every PULSE seconds meanwhile and `ended` once afterwards, all in a thread; a
    client that sends nothing for `patience` seconds has ended, and so has one that is no longer allowed to be there.
    """
    loop().call_soon_threadsafe(_start, tunnel, client, pulse, ended, allowed, patience)


def _start(tunnel: Tunnel, client: socket.socket, pulse, ended, allowed, patience: float | None) -> None:
    carried = _carry(tunnel, client, pulse, ended, allowed, patience)
    task = asyncio.get_running_loop().create_task(carried, name="tunnel")
    _open.add(task)
    task.add_done_callback(_open.discard)


async def _carry(tunnel: Tunnel, client: socket.socket, pulse, ended, allowed, patience: float | None) -> None:
    tasks = []
    try:
        reader, writer = await asyncio.open_connection(sock=client, limit=CHUNK)
        writer.write(tunnel.head)
        tasks = [
            asyncio.create_task(_copy(reader, tunnel.writer, patience)),
            asyncio.create_task(_copy(tunnel.reader, writer, None)),
        ]
        tasks.append(asyncio.create_task(_beat(pulse, allowed)))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                await writer.wait_closed()
    except OSError as exc:
        log.info("tunnel broke", extra={"error": str(exc)})
    finally:
        for task in tasks:
            task.cancel()
        tunnel.writer.close()
        await _in_thread(ended)


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter, patience: float | None) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        while data := await asyncio.wait_for(source.read(CHUNK), patience):
            target.write(data)
            await target.drain()


async def _beat(pulse: Callable[[], None], allowed: Callable[[], bool]) -> None:
    """Ends when the client may no longer be there. A database that doesn't answer ends no session."""
    while True:
        await asyncio.sleep(PULSE)
        await _in_thread(pulse)
        if await _in_thread(allowed) is False:
            log.info("tunnel ended: its client is no longer allowed to have it")
            return


async def _in_thread(work: Callable[[], Any]) -> Any:
    def run() -> Any:
        try:
            return work()
        except Exception:  # the tunnel goes on, and the next beat or the tidying up tries again
            log.exception("work beside a tunnel failed")
            return None
        finally:
            connections.close_all()

    return await asyncio.to_thread(run)
