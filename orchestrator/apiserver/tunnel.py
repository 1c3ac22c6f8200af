"""Upgraded connections (exec, attach, port-forward): bytes handed through between a client and a node's agent.

The server decides who may open a tunnel and where it leads; the WebSocket or SPDY in it is between the two ends, so
every sub-protocol they agree on works, and nothing is decoded on the way.
"""

from __future__ import annotations

import asyncio
import logging
import ssl

from orchestrator.apiserver.node_proxy import Target

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT = 10.0  # seconds
_FORWARDED = ("upgrade", "connection", "origin", "user-agent")


class Pipe(asyncio.Protocol):
    """One end of a tunnel: what it receives goes to `peer`, no faster than the peer takes it."""

    def __init__(self, peer: asyncio.Transport) -> None:
        self._peer = peer
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._peer.write(data)

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._peer.pause_reading()

    def resume_writing(self) -> None:
        if not self._peer.is_closing():
            self._peer.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._peer.is_closing():
            self._peer.close()


def request_head(target: Target, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The request as the agent gets it: another path, our identity instead of the client's credentials."""
    lines = [f"GET {target.path} HTTP/1.1".encode("latin-1"), f"Host: {target.name}:{target.port}".encode()]
    for name, value in headers:
        lowered = name.decode("latin-1").lower()
        if lowered in _FORWARDED or lowered.startswith(("sec-websocket", "x-stream")):
            lines.append(name + b": " + value)
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def open_tunnel(
    target: Target, tls: ssl.SSLContext, headers: list[tuple[bytes, bytes]], client: asyncio.Transport
) -> asyncio.Transport:
    """Connect `client` with the agent. Raises: OSError, TimeoutError."""
    loop = asyncio.get_running_loop()
    failure: Exception = OSError("the node has no address")
    for host in target.hosts:
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT):
                agent, _ = await loop.create_connection(
                    lambda: Pipe(client), host, target.port, ssl=tls, server_hostname=target.name
                )
        except (OSError, TimeoutError) as exc:
            failure = exc
            continue
        pipe = Pipe(agent)
        pipe.connection_made(client)
        client.set_protocol(pipe)
        agent.write(request_head(target, headers))
        return agent
    raise failure
