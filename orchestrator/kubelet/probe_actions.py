"""One check of a pod over its network: HTTP, TCP and gRPC, by plain asyncio connections.

Source: kubernetes pkg/probe: 200 to 399 is success; TLS is not verified; a connection is success for tcpSocket.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

from orchestrator.kubelet.grpc_health import serving_status
from orchestrator.kubelet.runtime import ProbeOutcome

BODY_IN_MESSAGES = 200  # bytes of an answer that are worth showing


async def run_probe(action: Mapping[str, Any], address: str, deadline: float) -> ProbeOutcome:
    """`action` is a probe with its port already a number."""
    try:
        async with asyncio.timeout(deadline):
            if "httpGet" in action:
                return await probe_http(action["httpGet"], address)
            if "grpc" in action:
                return await probe_grpc(action["grpc"], address)
            return await probe_tcp(action["tcpSocket"], address)
    except TimeoutError:
        return ProbeOutcome(False, f"no answer within {deadline:g}s (context deadline exceeded)")
    except (OSError, ssl.SSLError) as exc:
        return ProbeOutcome(False, f"dial tcp {address}:{port_of(action)}: connect: {describe(exc)}")


async def probe_http(get: Mapping[str, Any], address: str) -> ProbeOutcome:
    host, port, path = get.get("host") or address, int(get["port"]), get.get("path") or "/"
    secure = (get.get("scheme") or "HTTP").upper() == "HTTPS"
    reader, writer = await asyncio.open_connection(host, port, ssl=unverified() if secure else None)
    try:
        writer.write(render_request(get, host, port, path))
        status_line = await reader.readline()
        parts = status_line.split(b" ", 2)
        if len(parts) < 2 or not parts[1].strip().isdigit():
            return ProbeOutcome(False, f"the answer of http://{host}:{port}{path} is not HTTP")
        status = int(parts[1])
        if 200 <= status < 400:
            return ProbeOutcome(True)
        return ProbeOutcome(False, f"HTTP probe failed with statuscode: {status}")
    finally:
        writer.close()


def render_request(get: Mapping[str, Any], host: str, port: int, path: str) -> bytes:
    headers = {"host": f"{host}:{port}", "user-agent": "kube-probe/1.32", "accept": "*/*", "connection": "close"}
    for header in get.get("httpHeaders") or ():
        headers[header["name"].lower()] = str(header["value"]).replace("\r", "").replace("\n", "")
    lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1"]
    lines += [f"{name.title()}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def probe_tcp(check: Mapping[str, Any], address: str) -> ProbeOutcome:
    _, writer = await asyncio.open_connection(check.get("host") or address, int(check["port"]))
    writer.close()
    return ProbeOutcome(True)


async def probe_grpc(check: Mapping[str, Any], address: str) -> ProbeOutcome:
    reader, writer = await asyncio.open_connection(address, int(check["port"]))
    try:
        status = await serving_status(reader, writer, f"{address}:{check['port']}", check.get("service") or "")
    finally:
        writer.close()
    if status == "SERVING":
        return ProbeOutcome(True)
    return ProbeOutcome(False, f'service unhealthy (responded with "{status}")')


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def port_of(action: Mapping[str, Any]) -> Any:
    check = action.get("httpGet") or action.get("tcpSocket") or action.get("grpc") or {}
    return check.get("port", "?")


def describe(exc: BaseException) -> str:
    if isinstance(exc, ConnectionRefusedError):
        return "connection refused"
    return (getattr(exc, "strerror", None) or str(exc) or type(exc).__name__).lower()
