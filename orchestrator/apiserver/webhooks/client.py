"""HTTPS to webhooks: by URL, or to the endpoints of a Service, which must prove to be NAME.NAMESPACE.svc."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import random
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj

if TYPE_CHECKING:
    from orchestrator.apiserver.api import Api

_KEEPALIVE = 30.0  # seconds a connection waits for the next review
_MAX_ANSWER = 16 * 1024 * 1024  # bytes
_MAX_CONTEXTS = 256  # authorities whose TLS settings are kept ready
_UNKNOWN_AUTHORITY = frozenset((18, 19, 20, 21))  # OpenSSL's numbers for chains that end in nobody we trust


class CallFailed(Exception):
    """A webhook gave no usable answer; the text is the reason, in the words of Go's HTTP client."""


class WebhookClient:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def post(self, config: Mapping[str, Any], body: Any, seconds: float) -> Any:
        """The JSON a webhook answers to `body`; `config` is its WebhookClientConfig. Raises: CallFailed."""
        url = _url_of(config).with_query({"timeout": f"{math.ceil(seconds)}s"})
        try:
            context = self._context(config.get("caBundle") or "")
            async with asyncio.timeout(seconds):
                return await self._post(url, context, orjson.dumps(body))
        except TimeoutError as late:
            raise CallFailed(f'Post "{url}": context deadline exceeded') from late
        except (aiohttp.ClientError, OSError, ssl.SSLError) as failure:
            raise CallFailed(f'Post "{url}": {_reason(failure, url)}') from failure

    async def _post(self, url: URL, context: ssl.SSLContext, body: bytes) -> Any:
        try:
            return await self._exchange(url, context, body)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            # a connection that was kept had been closed at the other end
            return await self._exchange(url, context, body)

    async def _exchange(self, url: URL, context: ssl.SSLContext, body: bytes) -> Any:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                resolver=_Resolver(self._api), use_dns_cache=False, keepalive_timeout=_KEEPALIVE, limit=0
            )
            headers = {"Accept": "application/json", "User-Agent": "kube-apiserver-admission"}
            self._session = aiohttp.ClientSession(connector=connector, headers=headers)
        async with self._session.post(
            url, data=body, ssl=context, allow_redirects=False, headers={"Content-Type": "application/json"}
        ) as response:
            content = await response.content.read(_MAX_ANSWER)
            while not response.content.at_eof() and len(content) < _MAX_ANSWER:
                content += await response.content.read(_MAX_ANSWER - len(content))
        if not 200 <= response.status < 300:
            raise CallFailed(_refusal(response.status, content))
        try:
            return orjson.loads(content)
        except ValueError as broken:
            raise CallFailed(f"couldn't get version/kind; json parse error: {broken}") from broken

    def _context(self, bundle: str) -> ssl.SSLContext:
        """What a webhook's certificate is checked by: its own authorities, or else those of this host."""
        context = self._contexts.get(bundle)
        if context is None:
            try:
                context = ssl.create_default_context(cadata=base64.b64decode(bundle).decode() if bundle else None)
            except (ValueError, binascii.Error, ssl.SSLError) as bad:
                raise CallFailed("unable to load root certificates: unable to parse bytes as PEM block") from bad
            # as Go checks: any certificate of the bundle is trusted, and what older tools leave out is not missed
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if len(self._contexts) >= _MAX_CONTEXTS:
                self._contexts.clear()
            self._contexts[bundle] = context
        return context

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _url_of(config: Mapping[str, Any]) -> URL:
    if url := config.get("url"):
        return URL(url)
    service = config.get("service") or {}
    host = f"{service.get('name')}.{service.get('namespace')}.svc"
    # encoded, as aiohttp would leave the usual port out of the text that errors show
    return URL(f"https://{host}:{service.get('port') or 443}/{(service.get('path') or '').lstrip('/')}", encoded=True)


def _refusal(status: int, content: bytes) -> str:
    if status == 404:
        return "the server could not find the requested resource"
    text = content[:2048].decode("utf-8", "replace").strip() or "unknown"
    return f'an error on the server ("{text}") has prevented the request from succeeding'


def _reason(failure: Exception, url: URL) -> str:
    if isinstance(failure, aiohttp.ClientConnectorCertificateError):
        error = failure.certificate_error
        if isinstance(error, ssl.SSLCertVerificationError):
            if error.verify_code in _UNKNOWN_AUTHORITY:
                why = "x509: certificate signed by unknown authority"
            else:
                why = f"x509: {error.verify_message}"
            return f"tls: failed to verify certificate: {why}"
    if isinstance(failure, aiohttp.ClientConnectorDNSError):
        return str(failure.os_error)
    if isinstance(failure, aiohttp.ClientConnectorError):
        why = "connection refused" if isinstance(failure.os_error, ConnectionRefusedError) else str(failure.os_error)
        return f"dial tcp {url.host}:{url.port}: connect: {why}"
    if isinstance(failure, aiohttp.ServerDisconnectedError):
        return "EOF"
    return str(failure) or type(failure).__name__


class _Resolver(AbstractResolver):
    """Names of Services are resolved by this server's own records, everything else by the host's resolver."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._host = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        match host.split("."):
            case [name, namespace, "svc"]:
                return await self._service(host, namespace, name, port, family)
        return await self._host.resolve(host, port, family)

    async def _service(
        self, host: str, namespace: str, name: str, port: int, family: socket.AddressFamily
    ) -> list[ResolveResult]:
        record = self._api.store.get(kinds.SERVICES.storage_key, Key(namespace, name))
        if record is None:
            raise OSError(f'service "{name}" not found')
        spec = record.obj.get("spec") or {}
        if spec.get("type") == "ExternalName":
            return await self._host.resolve(spec.get("externalName", ""), port, family)
        places = list(self._ready(namespace, name, _port_name(spec, name, port)))
        if not places:
            raise OSError(f'no endpoints available for service "{name}"')
        random.shuffle(places)
        return [
            ResolveResult(
                hostname=host, host=address, port=number, proto=0, flags=socket.AI_NUMERICHOST,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
            )
            for address, number in places
        ]  # fmt: skip

    def _ready(self, namespace: str, name: str, port_name: str) -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []
        for record in self._api.store.list(kinds.ENDPOINTSLICES.storage_key, namespace):
            if (record.obj["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != name:
                continue
            found += _places(record.obj, port_name)
        return found

    async def close(self) -> None:
        await self._host.close()


def _port_name(spec: Obj, name: str, port: int) -> str:
    for item in spec.get("ports") or ():
        if item.get("port") == port:
            return str(item.get("name") or "")
    raise OSError(f'no service port {port} found for service "{name}"')


def _places(piece: Obj, port_name: str) -> list[tuple[str, int]]:
    """Where the ready endpoints of an EndpointSlice listen."""
    numbers = [p["port"] for p in piece.get("ports") or () if (p.get("name") or "") == port_name]
    ready = [e for e in piece.get("endpoints") or () if (e.get("conditions") or {}).get("ready", True)]
    return [(endpoint["addresses"][0], number) for endpoint in ready for number in numbers]
