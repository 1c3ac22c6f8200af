"""Container logs over HTTP: `follow`, `tailLines`, `sinceSeconds`, `sinceTime`, `timestamps`, `limitBytes`."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from orchestrator.errors import BadRequest
from orchestrator.kubelet.runtime import ContainerStatus, LogOptions, Runtime
from orchestrator.machinery.clock import parse_time


def log_options(query: Mapping[str, str]) -> LogOptions:
    """Raises: BadRequest, naming the parameter."""
    since: float | None = None
    if query.get("sinceSeconds"):
        since = time.time() - whole_number(query, "sinceSeconds")
    elif query.get("sinceTime"):
        try:
            since = parse_time(query["sinceTime"]).timestamp()
        except ValueError as exc:
            raise BadRequest(f"sinceTime {query['sinceTime']!r} is not a time such as 2026-01-31T10:00:00Z") from exc
    return LogOptions(
        follow=is_true(query, "follow"),
        timestamps=is_true(query, "timestamps"),
        tail=whole_number(query, "tailLines") if query.get("tailLines") else None,
        since=since,
    )


def whole_number(query: Mapping[str, str], name: str) -> int:
    if not query[name].isdigit():
        raise BadRequest(f"{name} must be a whole number, not {query[name]!r}")
    return int(query[name])


def is_true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")


async def stream_logs(
    request: web.Request, runtime: Runtime, status: ContainerStatus, options: LogOptions, query: Mapping[str, str]
) -> web.StreamResponse:
    """As a plain answer, or over a WebSocket as messages of bytes (`base64.binary.k8s.io`: of text)."""
    left = whole_number(query, "limitBytes") if query.get("limitBytes") else None
    wanted = {"Stdout": 1, "Stderr": 2}.get(query.get("stream", "All"))
    chunks = wanted_chunks(runtime.logs(status.id, options), wanted, left)
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await send_messages(request, chunks)
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    async for chunk in chunks:
        await response.write(chunk)
    await response.write_eof()
    return response


async def wanted_chunks(
    logs: AsyncIterator[tuple[int, bytes]], wanted: int | None, left: int | None
) -> AsyncIterator[bytes]:
    """Of one stream or all, up to `left` bytes or all."""
    async for stream, chunk in logs:
        if wanted not in (None, stream):
            continue
        if left is not None:
            chunk = chunk[:left]
            left -= len(chunk)
        yield chunk
        if left == 0:
            return


async def send_messages(request: web.Request, chunks: AsyncIterator[bytes]) -> web.StreamResponse:
    """Source: apiserver pkg/util/wsstream/stream.go."""
    socket = web.WebSocketResponse(protocols=("binary.k8s.io", "base64.binary.k8s.io"), heartbeat=30, compress=False)
    await socket.prepare(request)
    async for chunk in chunks:
        if socket.closed:
            break
        if socket.ws_protocol == "base64.binary.k8s.io":
            await socket.send_str(base64.b64encode(chunk).decode())
        else:
            await socket.send_bytes(chunk)
    await socket.close()
    return socket
