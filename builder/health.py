"""/healthz and /metrics on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

REQUEST_TIMEOUT = 5.0  # seconds
TYPE = "text/plain; version=0.0.4; charset=utf-8"

Answer = Callable[[], tuple[int, str]]


async def start(host: str, port: int, routes: dict[str, Answer]) -> asyncio.Server:
    """Serve `routes` (path → status and text) over HTTP/1.1, a connection a request."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(
            TimeoutError, ConnectionError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError
        ):
            async with asyncio.timeout(REQUEST_TIMEOUT):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path = head.split(b" ", 2)[:2]
                known = routes.get(path.decode(errors="replace").partition("?")[0])
                status, text = known() if known else (404, "not found\n")
                if method not in (b"GET", b"HEAD"):
                    status, text = 405, "only GET\n"
                writer.write(render(status, text, with_body=method != b"HEAD"))
                await writer.drain()
        writer.close()

    return await asyncio.start_server(serve, host, port)


def render(status: int, text: str, with_body: bool = True) -> bytes:
    reason = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}[status]
    body = text.encode()
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {TYPE}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + (body if with_body else b"")


def render_metrics(values: dict[str, tuple[str, dict[str, float]]]) -> str:
    """Prometheus text of {name: (help, {label text: value})}."""
    lines = []
    for name, (told, series) in values.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        lines += [f"# HELP {name} {told}", f"# TYPE {name} {kind}"]
        lines += [f"{name}{labels} {value:.6g}" for labels, value in series.items()]
    return "\n".join(lines) + "\n"
