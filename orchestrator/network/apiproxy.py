"""The way from pods to an API server that listens on the host's loopback alone.

Pods reach it as `kubernetes.default.svc:443`: the Service's rules lead to this forwarder on the pods' gateway, and it
copies bytes both ways. TLS and who may do what stay with the API server.
"""

from __future__ import annotations

import asyncio
import logging
import socket

from orchestrator.network.dns import bound_socket

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0  # seconds
CHUNK = 65536


async def serve_api(listen: tuple[str, int], target: tuple[str, int]) -> None:
    """Until cancelled. Raises: OSError when the port is taken."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await forward(reader, writer, target)

    async with await asyncio.start_server(connected, sock=bound_socket(socket.SOCK_STREAM, *listen)) as server:
        await server.serve_forever()


async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: tuple[str, int]) -> None:
    """Copies until both sides are done; a target that cannot be reached ends the client's connection."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT):
            far_reader, far_writer = await asyncio.open_connection(*target)
    except (OSError, TimeoutError):
        writer.close()
        return
    notice_dead_peer(writer)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, far_writer))
            group.create_task(_copy(far_reader, writer))
    except* OSError as gone:
        log.debug("a connection to the API server ended early: %s", gone.exceptions[0])
    finally:
        writer.close()
        far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def notice_dead_peer(writer: asyncio.StreamWriter) -> None:
    """A pod that vanished without a word must not hold a watch open for ever."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
