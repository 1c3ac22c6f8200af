"""The Docker Engine API over a unix socket or TLS, asynchronously: requests, endless streams and hijacked connections.

Not the Python SDK: its blocking calls need a thread each for logs, events and execs, and 10 MB of libraries.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import orjson

from orchestrator.kubelet.runtime import RuntimeFailure, RuntimeUnavailable

NEWEST_VERSION = (1, 47)  # what this client was written against; an older engine's own version is used as it is
CALL_DEADLINE = 120.0  # seconds; a busy disk makes creates slow, but not this slow
CONNECT_DEADLINE = 5.0


class EngineError(RuntimeFailure):
    """The engine answered with an error; `status` is the HTTP code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def tls_context(folder: str) -> ssl.SSLContext:
    """For an engine that asks for client certificates, as `docker --tlsverify` lays them out."""
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
    return context


class Engine:
    """A connection pool to one engine. The API version is agreed on at the first call."""

    def __init__(self, docker_host: str, cert_path: str = "") -> None:
        self._host = docker_host
        parts = urlsplit(docker_host)
        self._socket_path = parts.path if parts.scheme == "unix" else ""
        self._tls = tls_context(cert_path) if cert_path and not self._socket_path else None
        self._address = (parts.hostname or "", parts.port or 2375)
        self._session: aiohttp.ClientSession | None = None
        self._version = ""

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        deadline: float = CALL_DEADLINE,
    ) -> Any:
        """The decoded answer. Raises: EngineError, RuntimeUnavailable."""
        url = await self._url(path, params)
        try:
            async with self._open().request(
                method,
                url,
                data=None if body is None else orjson.dumps(body),
                headers={"Content-Type": "application/json", **(headers or {})},
                timeout=aiohttp.ClientTimeout(total=deadline),
            ) as response:
                payload = await response.read()
                if response.status >= 400:
                    raise EngineError(response.status, error_text(payload, response.status))
                return orjson.loads(payload) if payload[:1] in (b"{", b"[") else payload
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise RuntimeUnavailable(f"the container engine at {self._host} doesn't answer: {describe(exc)}") from exc

    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        idle_deadline: float | None = None,
    ) -> AsyncIterator[bytes]:
        """The body of an endless answer, as it comes. Raises: EngineError, RuntimeUnavailable."""
        url = await self._url(path, params)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_DEADLINE, sock_read=idle_deadline)
        try:
            async with self._open().request(method, url, timeout=timeout, data=data, headers=headers) as response:
                if response.status >= 400:
                    raise EngineError(response.status, error_text(await response.read(), response.status))
                async for chunk in response.content.iter_any():
                    yield chunk
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise RuntimeUnavailable(f"the container engine at {self._host} hung up: {describe(exc)}") from exc

    async def hijack(
        self, path: str, *, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A raw connection after the engine switched protocols: the streams of a process."""
        url = await self._url(path, params)
        target = url.removeprefix("http://engine").removeprefix("https://engine")
        payload = b"" if body is None else orjson.dumps(body)
        reader, writer = await self._connect()
        head = (
            f"POST {target} HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + payload)
            await writer.drain()
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), CALL_DEADLINE)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as exc:
            writer.close()
            raise RuntimeUnavailable(f"the container engine at {self._host} hung up: {describe(exc)}") from exc
        status = int(answer.split(b" ", 2)[1])
        if status not in (101, 200):
            rest = await asyncio.wait_for(reader.read(65536), 5)
            writer.close()
            raise EngineError(status, error_text(rest, status))
        return reader, writer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            if self._socket_path:
                return await asyncio.wait_for(asyncio.open_unix_connection(self._socket_path), CONNECT_DEADLINE)
            host, port = self._address
            return await asyncio.wait_for(asyncio.open_connection(host, port, ssl=self._tls), CONNECT_DEADLINE)
        except (OSError, TimeoutError) as exc:
            raise RuntimeUnavailable(f"the container engine at {self._host} doesn't answer: {describe(exc)}") from exc

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector: aiohttp.BaseConnector
            if self._socket_path:
                connector = aiohttp.UnixConnector(self._socket_path, limit=0, keepalive_timeout=60)
            else:
                connector = aiohttp.TCPConnector(limit=0, ssl=self._tls or True)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=False, auto_decompress=False)
        return self._session

    async def _url(self, path: str, params: Mapping[str, Any] | None) -> str:
        if not self._version:
            self._version = await self._agree_version()
        query = {key: encode_parameter(value) for key, value in (params or {}).items() if value is not None}
        return f"{self._base()}/v{self._version}{path}" + (f"?{urlencode(query)}" if query else "")

    def _base(self) -> str:
        if self._socket_path:
            return "http://engine"
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{self._address[0]}:{self._address[1]}"

    async def _agree_version(self) -> str:
        try:
            async with self._open().get(
                f"{self._base()}/version", timeout=aiohttp.ClientTimeout(total=CALL_DEADLINE)
            ) as response:
                answer = orjson.loads(await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as exc:
            raise RuntimeUnavailable(f"the container engine at {self._host} doesn't answer: {describe(exc)}") from exc
        return agreed_version(answer.get("ApiVersion", "1.41"))


def agreed_version(engine_version: str) -> str:
    """The older of the engine's newest version and ours."""
    major, _, minor = engine_version.partition(".")
    return "{}.{}".format(*min(NEWEST_VERSION, (int(major), int(minor or 0))))


def encode_parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, dict | list):
        return orjson.dumps(value).decode()
    return str(value)


def quoted(name: str) -> str:
    """A name as one path segment or several, for image references."""
    return quote(name, safe="/:@")


def error_text(payload: bytes, status: int) -> str:
    try:
        message = orjson.loads(payload).get("message")
    except (ValueError, AttributeError):
        message = payload.decode(errors="replace").strip()
    return message or f"the engine answered {status}"


def describe(exc: BaseException) -> str:
    return str(exc) or type(exc).__name__


async def demultiplexed(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    """(stream, bytes) out of the engine's framing: stream, three zeros, length, payload."""
    pending = b""
    async for chunk in chunks:
        pending += chunk
        start = 0
        while len(pending) - start >= 8:
            size = int.from_bytes(pending[start + 4 : start + 8], "big")
            if len(pending) - start < 8 + size:
                break
            yield pending[start] or 1, pending[start + 8 : start + 8 + size]
            start += 8 + size
        pending = pending[start:]


async def chunks_of(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    try:
        while chunk := await reader.read(65536):
            yield chunk
    except ConnectionError:
        return
