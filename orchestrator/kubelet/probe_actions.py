"""One check of a pod over its network: HTTP, TCP and gRPC, by plain asyncio connections.

Source: kubernetes pkg/probe: 200 to 399 is success; TLS is not verified; a connection is success for tcpSocket.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

from orchestrator.kubelet.grpc_health import serving_status
from orchestrator.kubelet.runtime import ProbeOutcome

REDIRECTS = (301, 302, 303, 307, 308)
LONGEST_CHAIN = 10  # redirects


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
    """Redirects are followed while they stay on the host; one that leads elsewhere counts as success."""
    host, path = get.get("host") or address, get.get("path") or "/"
    scheme = (get.get("scheme") or "HTTP").lower()
    url = f"{scheme}://{host}:{get['port']}{path if path.startswith('/') else '/' + path}"
    for _ in range(LONGEST_CHAIN):
        status, location = await ask_http(get, url)
        if status is None:
            return ProbeOutcome(False, f"the answer of {url} is not HTTP")
        following = urljoin(url, location) if location and status in REDIRECTS else ""
        if not following or urlsplit(following).hostname != urlsplit(url).hostname:
            if 200 <= status < 400:
                return ProbeOutcome(True)
            return ProbeOutcome(False, f"HTTP probe failed with statuscode: {status}")
        url = following
    return ProbeOutcome(False, f'Get "{url}": stopped after {LONGEST_CHAIN} redirects')


async def ask_http(get: Mapping[str, Any], url: str) -> tuple[int | None, str]:
    """Status and Location of one request; no status of an answer that isn't HTTP."""
    parts = urlsplit(url)
    secure, host = parts.scheme == "https", parts.hostname or ""
    port = parts.port or (443 if secure else 80)
    reader, writer = await asyncio.open_connection(host, port, ssl=unverified() if secure else None)
    try:
        writer.write(render_request(get, host, port, parts.path + (f"?{parts.query}" if parts.query else "")))
        words = (await reader.readline()).split(b" ", 2)
        if len(words) < 2 or not words[1].strip().isdigit():
            return None, ""
        status, location = int(words[1]), ""
        while status in REDIRECTS and (line := (await reader.readline()).strip()):
            name, _, value = line.partition(b":")
            if name.lower() == b"location":
                location = value.strip().decode("latin-1")
        return status, location
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
