"""HTTPS in front of the application: uvicorn's protocol, our own socket, drain and client certificates."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from orchestrator.pki import Pki

log = logging.getLogger(__name__)

_BACKLOG = 2048
_KEEP_ALIVE = 300  # seconds an idle connection stays open; client-go keeps its own for 90


def certificate_identity(certificate: dict[str, Any] | None) -> tuple[str, tuple[str, ...]] | None:
    """(CN, O…) of what `getpeercert()` returned for a verified client certificate."""
    if not certificate:
        return None
    name, groups = "", []
    for ((field, value),) in certificate.get("subject", ()):
        if field == "commonName":
            name = value
        elif field == "organizationName":
            groups.append(value)
    return (name, tuple(groups)) if name else None


class Protocol(HttpToolsProtocol):
    """Adds the peer's certificate to what the application sees, as `scope["state"]["certificate"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        identity = certificate_identity(tls.getpeercert()) if tls is not None else None
        self.app_state = {**self.app_state, "certificate": identity}


class HttpsServer:
    """Listens from `start` to `stop`; `stop` lets requests in flight finish."""

    def __init__(self, app: Any, pki: Pki, host: str, port: int, drain_timeout: float) -> None:
        self._pki, self._host, self._port, self._drain = pki, host, port, drain_timeout
        self._config = uvicorn.Config(
            app, http=Protocol, ws="websockets-sansio", lifespan="off", log_config=None, access_log=False,
            date_header=False, server_header=False, proxy_headers=False, timeout_keep_alive=_KEEP_ALIVE,
            ws_ping_interval=None, ws_per_message_deflate=False, interface="asgi3",
        )  # fmt: skip
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None, "the server has not been started"
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._config.load()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._protocol, self._host or None, self._port, ssl=tls_context(self._pki), backlog=_BACKLOG
        )

    def _protocol(self) -> asyncio.Protocol:
        return Protocol(config=self._config, server_state=self._state, app_state={})

    async def stop(self) -> None:
        """Accept no more, answer what is in flight for at most the drain timeout, close."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        deadline = asyncio.get_running_loop().time() + self._drain
        while self._state.tasks and asyncio.get_running_loop().time() < deadline:
            await asyncio.wait(self._state.tasks, timeout=deadline - asyncio.get_running_loop().time())
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            transport = connection.transport
            if transport is not None:
                transport.close()


def tls_context(pki: Pki) -> ssl.SSLContext:
    """Client certificates are asked for and verified, but not required: tokens are as good."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(str(pki.certificate("server")), str(pki.key("server")))
    context.set_alpn_protocols(["http/1.1"])
    return context
