"""HTTPS in front of the application: uvicorn's protocol, our own socket, drain, client certificates and tunnels."""

from __future__ import annotations

import asyncio
import logging
import ssl
import urllib.parse
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from orchestrator.apiserver.app import App
from orchestrator.errors import OrchestratorError
from orchestrator.pki import Pki

log = logging.getLogger(__name__)

_BACKLOG = 2048
_MAX_HEAD = 64 * 1024  # bytes of URL and headers
UPGRADES = (b"websocket", b"spdy/3.1")
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


class CannotListen(OrchestratorError):
    """The address is taken, or not this host's."""


class Connection:
    """The connection under an answer of unknown length, for what is to be sent without awaiting."""

    __slots__ = ("_flow", "_transport")

    def __init__(self, transport: asyncio.Transport, flow: FlowControl) -> None:
        self._transport, self._flow = transport, flow

    def push(self, chunk: bytes) -> bool:
        """Sends one chunk of the chunked coding that uvicorn began the answer in; False when the connection is full."""
        if self._flow.write_paused or self._transport.is_closing():
            return False
        self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        return True

    def cut(self) -> None:
        self._transport.abort()


class Protocol(HttpToolsProtocol):
    """Adds to what the application sees, in `scope["state"]`: `certificate`, the peer's, and `connection`."""

    tunnels: set[asyncio.Transport]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        identity = certificate_identity(tls.getpeercert()) if tls is not None else None
        connection = Connection(transport, self.flow)
        self.app_state = {**self.app_state, "certificate": identity, "connection": connection}

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head_size += len(name) + len(value)
        if self._head_size + len(self.url) > _MAX_HEAD:
            self.send_400_response(f"The request's head is larger than {_MAX_HEAD} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_size = 0

    def _should_upgrade(self) -> bool:
        return self._get_upgrade() in UPGRADES

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection to a tunnel instead of ending the WebSocket, or SPDY, here."""
        url = httptools.parse_url(self.url)
        self.scope["path"] = urllib.parse.unquote(url.path.decode("ascii"))
        self.scope["query_string"] = url.query or b""
        self.connections.discard(self)
        self.transport.pause_reading()
        task = self.loop.create_task(self._tunnel(), name="tunnel")
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    async def _tunnel(self) -> None:
        app: App = self.app
        agent = await app.upgrade(dict(self.scope), self.headers, self.transport)
        if agent is not None:
            self.app_state["tunnels"].add(self.transport)
            self.transport.resume_reading()


class HttpsServer:
    """Listens from `start` to `stop`; `stop` lets requests in flight finish."""

    def __init__(self, app: App, pki: Pki, host: str, port: int, drain_timeout: float) -> None:
        self._pki, self._host, self._port, self._drain = pki, host, port, drain_timeout
        self._config = uvicorn.Config(
            app, http=Protocol, ws="none", lifespan="off", log_config=None, access_log=False, date_header=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=_KEEP_ALIVE, interface="asgi3",
        )  # fmt: skip
        self._state = ServerState()
        self._tunnels: set[asyncio.Transport] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        assert self._server is not None, "the server has not been started"
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._config.load()
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                self._protocol, self._host or None, self._port, ssl=tls_context(self._pki), backlog=_BACKLOG
            )
        except OSError as exc:
            raise CannotListen(
                f"cannot listen on {self._host or '*'}:{self._port}: {exc.strerror or exc}; choose another address by "
                "ORCHESTRATOR_LISTEN, or stop what holds this one"
            ) from exc

    def _protocol(self) -> asyncio.Protocol:
        self._tunnels.difference_update([tunnel for tunnel in self._tunnels if tunnel.is_closing()])
        return Protocol(config=self._config, server_state=self._state, app_state={"tunnels": self._tunnels})

    async def stop(self) -> None:
        """Accept no more, answer what is in flight for at most the drain timeout, close."""
        if self._server is None:
            return
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._drain
        while self._state.tasks and (left := deadline - loop.time()) > 0:
            await asyncio.wait(self._state.tasks, timeout=left)
        for task in list(self._state.tasks):
            task.cancel()
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.close()
        for tunnel in self._tunnels:
            tunnel.close()


def tls_context(pki: Pki) -> ssl.SSLContext:
    """Client certificates are asked for and verified, but not required: tokens are as good."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(pki.ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_cert_chain(str(pki.certificate("server")), str(pki.key("server")))
    context.set_alpn_protocols(["http/1.1"])
    return context


def node_tls_context(pki: Pki) -> ssl.SSLContext:
    """How this server proves to agents who it is, and asks them to prove the same."""
    context = ssl.create_default_context(cafile=str(pki.ca))
    context.load_cert_chain(str(pki.certificate("server-client")), str(pki.key("server-client")))
    return context
