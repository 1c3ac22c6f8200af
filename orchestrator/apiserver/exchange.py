"""One HTTP exchange over ASGI: the request read, the answer written."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs

import orjson

from orchestrator import errors
from orchestrator.apiserver.call import ANONYMOUS, User
from orchestrator.apiserver.wire import protobuf
from orchestrator.objects.bodies import BadYaml, json_duplicates, load_yaml

JSON = b"application/json"
_BODY_TIMEOUT = 60.0  # seconds a client may take to send its request
_YAML = ("application/yaml", "application/apply-patch+yaml", "text/yaml")


class Disconnected(Exception):
    """The client went away while its answer was being written."""


class Exchange:
    __slots__ = (
        "_headers", "_query", "_receive", "_send", "_started", "body_problems", "method", "path", "resource", "scope",
        "status", "user", "verb", "warnings",
    )  # fmt: skip

    def __init__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.method: str = scope.get("method", "GET")
        self.path: str = scope["path"]
        self.user: User = ANONYMOUS
        self.warnings: list[str] = []
        self.body_problems: list[str] = []
        self.status = 0
        self.verb = self.resource = ""
        self._headers: dict[bytes, bytes] | None = None
        self._query: dict[str, str] | None = None
        self._started = False

    @property
    def started(self) -> bool:
        return self._started

    def header(self, name: bytes) -> str:
        if self._headers is None:
            self._headers = dict(self.scope["headers"])
        return self._headers.get(name, b"").decode("latin-1")

    @property
    def query(self) -> dict[str, str]:
        """The first value of each parameter."""
        if self._query is None:
            raw = self.scope["query_string"]
            values = parse_qs(raw.decode("latin-1"), keep_blank_values=True) if raw else {}
            self._query = {key: value[0] for key, value in values.items()}
        return self._query

    def query_all(self, name: str) -> list[str]:
        return parse_qs(self.scope["query_string"].decode("latin-1"), keep_blank_values=True).get(name, [])

    def flag(self, name: str) -> bool:
        value = self.query.get(name)
        return value is not None and value.lower() not in ("false", "0")

    def number(self, name: str) -> int | None:
        text = self.query.get(name)
        if not text:
            return None
        try:
            return int(text)
        except ValueError as exc:
            raise errors.BadRequest(f"{name}={text!r} is not a whole number") from exc

    async def body(self, limit: int) -> bytes:
        """Raises: RequestEntityTooLarge; Timeout when the client does not send it in time."""
        try:
            async with asyncio.timeout(_BODY_TIMEOUT):
                return await self._read_body(limit)
        except TimeoutError as exc:
            raise errors.Timeout(f"the request's body did not arrive within {_BODY_TIMEOUT:.0f} seconds") from exc

    async def _read_body(self, limit: int) -> bytes:
        if self.header(b"content-length").isdigit() and int(self.header(b"content-length")) > limit:
            raise _too_large(limit)
        chunks, size = [], 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            chunks.append(chunk)
            if not message.get("more_body"):
                return b"".join(chunks)

    async def object(self, limit: int) -> Any:
        """The body decoded from JSON or YAML; {} when it is empty. Raises: BadRequest, UnsupportedMediaType."""
        body = await self.body(limit)
        if not body:
            return {}
        content_type = self.header(b"content-type").partition(";")[0].strip().lower()
        value, self.body_problems = decode_body(body, content_type)
        return value

    async def disconnected(self) -> None:
        """Return when the client is gone."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def while_connected(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work`, which writes the answer, until it ends or the client is gone; its error is raised."""
        gone = asyncio.create_task(self.disconnected(), name=f"{name}-disconnect")
        working = asyncio.create_task(work, name=name)
        try:
            await asyncio.wait((gone, working), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            gone.cancel()
            working.cancel()

    async def start(self, status: int, content_type: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        self._started, self.status = True, status
        all_headers = [(b"content-type", content_type), (b"cache-control", b"no-cache, private"), *(headers or ())]
        all_headers += [(b"warning", _warning(text)) for text in dict.fromkeys(self.warnings)]
        await self._send({"type": "http.response.start", "status": status, "headers": all_headers})

    async def write(self, chunk: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})

    def push(self, chunk: bytes) -> bool:
        """`write` of an endless answer that has begun, without awaiting; False, and nothing sent, when it can't now."""
        connection = self.scope.get("state", {}).get("connection")
        return connection is not None and self.method != "HEAD" and connection.push(chunk)

    def cut(self) -> None:
        """Ends the connection at once, whatever waits to be sent on it."""
        if connection := self.scope.get("state", {}).get("connection"):
            connection.cut()

    async def answer(
        self,
        body: bytes,
        status: int = 200,
        content_type: bytes = JSON,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        length = (b"content-length", str(len(body)).encode())
        await self.start(status, content_type, [length, *(headers or ())])
        await self.write(body if self.method != "HEAD" else b"", more=False)

    async def answer_json(self, content: Any, status: int = 200) -> None:
        await self.answer(orjson.dumps(content), status)

    async def refuse(self, error: errors.ApiError) -> None:
        headers = []
        if error.retry_after is not None:
            headers.append((b"retry-after", str(error.retry_after).encode()))
        await self.answer(orjson.dumps(error.status()), error.code, JSON, headers)


def decode_body(body: bytes, content_type: str) -> tuple[Any, list[str]]:
    """The document, and what strict reading finds wrong with it: keys set twice.

    Raises: BadRequest, UnsupportedMediaType.
    """
    if content_type == protobuf.MEDIA_TYPE:
        return protobuf.decode_protobuf(body), []
    if "protobuf" in content_type or "cbor" in content_type:
        raise errors.UnsupportedMediaType(
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json, application/yaml, application/vnd.kubernetes.protobuf"
        )
    if content_type in _YAML:
        try:
            return orjson.loads(body), []
        except ValueError:
            pass
        try:
            return load_yaml(body)
        except BadYaml as exc:
            raise errors.BadRequest(f"error decoding YAML: {exc}") from exc
    try:
        value = orjson.loads(body)
        return value, json_duplicates(body, value)
    except ValueError as exc:
        raise errors.BadRequest(f"couldn't get version/kind; json parse error: {exc}") from exc


def _too_large(limit: int) -> errors.RequestEntityTooLarge:
    return errors.RequestEntityTooLarge(f"Request entity too large: limit is {limit} bytes")


def _warning(text: str) -> bytes:
    """RFC 7234 section 5.5, as kubectl reads it."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{quoted}"'.encode("latin-1", "replace")
