"""`pods/NAME/proxy/…` and `services/NAME/proxy/…`: HTTP through this server to what listens inside the cluster.

NAME may be `[SCHEME:]NAME[:PORT]`. Connections that a client wants to upgrade (WebSockets) are not carried.
Source: kubernetes staging/src/k8s.io/apimachinery/pkg/util/proxy and pkg/registry/core/{pod,service}.
"""

from __future__ import annotations

import asyncio
import ipaddress
import random
import ssl
from typing import NamedTuple

import aiohttp
from yarl import URL

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.exchange import Exchange
from orchestrator.apiserver.html_links import moved_page, moved_url
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj

_CONNECT_TIMEOUT = 10.0  # seconds
_ANSWER_TIMEOUT = 60.0  # seconds until the first and between two pieces of an answer, as Kubernetes waits
_CHUNK = 64 * 1024
_LARGEST_PAGE = 128 * 1024  # bytes of a page whose links are moved; the time a hostile one takes is bounded by it
_PLACES = ("location", "content-location")  # headers that name an address
_HOP_BY_HOP = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding",
    "upgrade", "content-length", "host", "accept-encoding",
))  # fmt: skip
_OURS = frozenset(("authorization", "x-forwarded-for", "x-forwarded-uri"))  # tell a backend nothing it could misuse


class Place(NamedTuple):
    """Where something listens."""

    scheme: str
    host: str
    port: int

    def url(self, path: str, query: str) -> URL:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return URL(f"{self.scheme}://{host}:{self.port}{path}" + (f"?{query}" if query else ""), encoded=True)


class EndpointProxy:
    def __init__(self, api: Api) -> None:
        self.api = api
        self._session: aiohttp.ClientSession | None = None

    async def serve(self, exchange: Exchange, call: Call) -> None:
        """Raises: NotFound, BadRequest, ServiceUnavailable."""
        place = self._place(call)
        prefix, path = split_path(exchange)
        query = exchange.scope["query_string"].decode("latin-1")
        if not path and exchange.method in ("GET", "HEAD"):  # relative links of a page need the slash
            location = f"{prefix}/" + (f"?{query}" if query else "")
            await exchange.answer(b"", 301, b"text/plain", [(b"location", location.encode("latin-1"))])
            return
        body = await exchange.body(self.api.settings.max_body)
        relay = self._relay(exchange, place, path or "/", query, body, prefix)
        await exchange.while_connected(relay, "proxy-relay")

    def _place(self, call: Call) -> Place:
        scheme, name, port = split_name(call.name)
        record = self.api.store.latest(call.resource.storage_key, Key(call.namespace, name))
        if record is None:
            raise refusals.not_found(call.resource, name)
        if call.resource.storage_key == kinds.PODS.storage_key:
            host, number = _pod_place(record.obj, port)
        else:
            host, number = self._service_place(call, record.obj, port)
        if not is_proxyable(host):
            raise errors.BadRequest(f'address not allowed: "{host}"')
        return Place(scheme or "http", host, number)

    def _service_place(self, call: Call, service: Obj, wanted: str) -> tuple[str, int]:
        """One of the endpoints that are ready, at random."""
        name, ports = service["metadata"]["name"], service["spec"].get("ports") or []
        chosen = [p for p in ports if wanted in (p.get("name"), str(p["port"]))] if wanted else ports
        if len(chosen) != 1:
            raise errors.ServiceUnavailable(f'no service port "{wanted}" found for service "{name}"')
        found = []
        for record in self.api.store.list(kinds.ENDPOINTSLICES.storage_key, call.namespace):
            if (record.obj["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
                continue
            numbers = [
                p["port"] for p in record.obj.get("ports") or () if p.get("name", "") == chosen[0].get("name", "")
            ]
            ready = [e for e in record.obj.get("endpoints") or () if (e.get("conditions") or {}).get("ready", True)]
            found += [(e["addresses"][0], number) for e in ready for number in numbers]
        if not found:
            raise errors.ServiceUnavailable(f'no endpoints available for service "{name}"')
        return random.choice(found)

    async def _relay(
        self, exchange: Exchange, place: Place, path: str, query: str, body: bytes, prefix: str
    ) -> None:  # fmt: skip
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=_ANSWER_TIMEOUT)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        try:
            response = await self._session.request(
                exchange.method, place.url(path, query), headers=_sent_headers(exchange, prefix), data=body or None,
                allow_redirects=False, ssl=_unverified() if place.scheme == "https" else False,
            )  # fmt: skip
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            why = f"error trying to reach {place.host}:{place.port}: {exc or type(exc).__name__}"
            raise errors.ServiceUnavailable(why) from exc
        async with response:
            hosts = (f"{place.host}:{place.port}", place.host, exchange.header(b"host"))
            kept = [(n, v) for n, v in response.headers.items() if n.lower() not in (*_HOP_BY_HOP, "content-type")]
            headers = [
                (
                    n.lower().encode("latin-1"),
                    (moved_url(v, prefix, hosts) if n.lower() in _PLACES else v).encode("latin-1"),
                )
                for n, v in kept
            ]
            content_type = response.headers.get("content-type", "text/plain")
            await exchange.start(response.status, content_type.encode("latin-1"), headers)
            if exchange.method != "HEAD":
                if response.content_type == "text/html" and "content-encoding" not in response.headers:
                    await exchange.write(await _page(response, prefix, hosts))
                async for chunk in response.content.iter_chunked(_CHUNK):
                    await exchange.write(chunk)
            await exchange.write(b"", more=False)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def split_name(text: str) -> tuple[str, str, str]:
    """(scheme, name, port) of `[SCHEME:]NAME[:PORT]`. Raises: BadRequest."""
    match text.split(":"):
        case [name]:
            parts = ("", name, "")
        case [name, port]:
            parts = ("", name, port)
        case [("http" | "https" | "") as scheme, name, port]:
            parts = (scheme, name, port)
        case _:
            raise errors.BadRequest(f'invalid name "{text}": write [SCHEME:]NAME[:PORT]')
    if not parts[1]:
        raise errors.BadRequest(f'invalid name "{text}": write [SCHEME:]NAME[:PORT]')
    return parts


def split_path(exchange: Exchange) -> tuple[str, str]:
    """What comes up to `/proxy`, and the path behind it as the client wrote it: "" when there is none."""
    raw = exchange.scope.get("raw_path", exchange.path.encode()).decode("latin-1").partition("?")[0]
    parts = raw.split("/", 8)  # "", api, v1, namespaces, NS, RESOURCE, NAME, proxy, the rest
    return "/".join(parts[:8]), f"/{parts[8]}" if len(parts) > 8 else ""


def is_proxyable(address: str) -> bool:
    """False for addresses at which this host, and not the cluster, would answer."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified)


def _pod_place(pod: Obj, wanted: str) -> tuple[str, int]:
    name, address = pod["metadata"]["name"], (pod.get("status") or {}).get("podIP")
    if not address:
        raise errors.ServiceUnavailable(f'address not allowed: pod "{name}" has no address yet')
    if wanted:
        if not wanted.isdigit() or not 0 < int(wanted) < 65536:
            raise errors.BadRequest(f'invalid port "{wanted}": a pod is asked at a number from 1 to 65535')
        return address, int(wanted)
    ports = (port["containerPort"] for container in pod["spec"]["containers"] for port in container.get("ports") or ())
    return address, next(ports, 80)


def _sent_headers(exchange: Exchange, prefix: str) -> list[tuple[str, str]]:
    sent = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.scope["headers"]]
    sent = [(name, value) for name, value in sent if name not in _HOP_BY_HOP | _OURS and not _impersonates(name)]
    return [*sent, ("x-forwarded-uri", f"{prefix}/")]


def _impersonates(name: str) -> bool:
    return name.startswith("impersonate-")


async def _page(response: aiohttp.ClientResponse, prefix: str, hosts: tuple[str, ...]) -> bytes:
    """An HTML page with its links moved; of one that is too long for it only the beginning, as it is."""
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > _LARGEST_PAGE:
            return bytes(body)
    text = body.decode("utf-8", "surrogateescape")
    moved = await asyncio.to_thread(moved_page, text, prefix, hosts)  # parsing must not hold up other requests
    return moved.encode("utf-8", "surrogateescape")


def _unverified() -> ssl.SSLContext:
    """Pods that speak TLS have certificates of their own, for names of their own: nobody could check them.

    Source: kubernetes pkg/registry/core/pod/rest, whose proxy skips the check likewise.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
