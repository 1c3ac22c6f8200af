"""The API client of node agents: HTTPS, from a kubeconfig, the same Protocol as the server's in-process one."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import yaml
from yarl import URL

from orchestrator import errors
from orchestrator.client import ObjectList, PatchType, Propagation, WatchEvent
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj

_PATCH_TYPES: dict[PatchType, str] = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}
_CONNECT_TIMEOUT = 10.0  # seconds
_REQUEST_TIMEOUT = 60.0  # seconds a request that is not a watch may take
_CONNECTIONS = 12  # for requests: a burst that opened one for each would spend its time on handshakes
_WATCH_CONNECTIONS = 0  # one for each watch
_WATCH_SILENCE = 150.0  # seconds without an event or bookmark after which a watch counts as broken
_WATCH_SECONDS = 3000  # the server ends a watch after this, so that clients spread over restarted servers
_LIST_PAGE = 5000  # objects a page of a list


class BadKubeconfig(errors.OrchestratorError):
    """A kubeconfig that names no usable server or identity."""


class Kubeconfig:
    """The current context of a kubeconfig file: where the server is, and who we are."""

    def __init__(self, server: str, context: ssl.SSLContext, token: str, namespace: str) -> None:
        self.server, self.ssl, self.token, self.namespace = server.rstrip("/"), context, token, namespace

    @classmethod
    def load(cls, path: Path) -> Kubeconfig:
        """Raises: BadKubeconfig."""
        try:
            config = yaml.safe_load(path.read_text())
            name = config["current-context"]
            context = _named(config["contexts"], name)["context"]
            cluster = _named(config["clusters"], context["cluster"])["cluster"]
            user = _named(config["users"], context["user"])["user"]
            tls = _tls(cluster, user)
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, ssl.SSLError) as exc:
            raise BadKubeconfig(f"{path} is not a usable kubeconfig ({exc!r}); point KUBECONFIG to another") from exc
        return cls(cluster["server"], tls, user.get("token", ""), context.get("namespace", "default"))


def _named(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    for row in rows:
        if row.get("name") == name:
            return row
    raise KeyError(name)


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any]) -> ssl.SSLContext:
    ca = _content(cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=ca.decode() if ca else None)
    certificate, key = _content(user, "client-certificate"), _content(user, "client-key")
    if certificate and key:
        # the ssl module loads key pairs from files only; this one is readable by us alone and gone at once
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _content(section: Mapping[str, Any], field: str) -> bytes:
    if data := section.get(f"{field}-data"):
        return base64.b64decode(data)
    return Path(section[field]).read_bytes() if section.get(field) else b""


class HttpClient:
    """Implements `client.ApiClient`. Open it with `async with`, or `await close()` it."""

    def __init__(self, config: Kubeconfig, user_agent: str = "paas-agent", connections: int = _CONNECTIONS) -> None:
        """`connections`: how many requests are under way at a time; watches don't count."""
        self._config, self._connections = config, connections
        self._agent = user_agent
        self._sessions: dict[int, aiohttp.ClientSession] = {}

    @classmethod
    def from_kubeconfig(
        cls, path: Path | str, user_agent: str = "paas-agent", connections: int = _CONNECTIONS
    ) -> HttpClient:
        return cls(Kubeconfig.load(Path(path)), user_agent, connections)

    async def __aenter__(self) -> HttpClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    def _open_session(self, limit: int) -> aiohttp.ClientSession:
        """The session of at most `limit` connections, 0 for any number."""
        session = self._sessions.get(limit)
        if session is None or session.closed:
            headers = {"User-Agent": self._agent, "Accept": "application/json"}
            if self._config.token:
                headers["Authorization"] = f"Bearer {self._config.token}"
            session = self._sessions[limit] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._config.ssl, limit=limit, keepalive_timeout=60),
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT, sock_connect=_CONNECT_TIMEOUT),
                read_bufsize=2**18,
            )
        return session

    def _url(self, resource: Resource, namespace: str = "", name: str = "", subresource: str = "") -> str:
        base = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
        where = f"/namespaces/{namespace}" if namespace and resource.namespaced else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{self._config.server}{base}{where}/{resource.plural}{tail}"

    async def _request(
        self,
        method: str,
        url: str,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Any:
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": content_type} if data is not None else {}
        try:
            async with self._open_session(self._connections).request(
                method, URL(url), params=params or {}, data=data, headers=headers
            ) as response:
                return await _decode(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise errors.ServiceUnavailable(
                f"the API server at {self._config.server} cannot be reached: {exc}"
            ) from exc

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        return await self._request("GET", self._url(resource, namespace, name))  # type: ignore[no-any-return]

    async def list(
        self, resource: Resource, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        params = _selectors(label_selector, field_selector) | {"limit": str(_LIST_PAGE)}
        items: list[Obj] = []
        while True:
            page = await self._request("GET", self._url(resource, namespace), params)
            items += page["items"] or []
            token = page["metadata"].get("continue")
            if not token:
                return ObjectList(items, page["metadata"]["resourceVersion"])
            params["continue"] = token

    async def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        params = _selectors(label_selector, field_selector) | {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT, sock_read=_WATCH_SILENCE)
        try:
            async with self._open_session(_WATCH_CONNECTIONS).get(
                URL(self._url(resource, namespace)), params=params, timeout=timeout
            ) as response:
                if response.status != 200:
                    await _decode(response)
                async for line in _lines(response.content):
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        raise errors.error_from_status(event["object"])
                    yield WatchEvent(event["type"], event["object"])
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise errors.ServiceUnavailable(f"the watch of {resource} broke: {exc!r}") from exc

    async def create(self, resource: Resource, obj: Obj, namespace: str = "") -> Obj:
        namespace = namespace or obj["metadata"].get("namespace") or ""
        return await self._request("POST", self._url(resource, namespace), body=obj)  # type: ignore[no-any-return]

    async def update(self, resource: Resource, obj: Obj, *, subresource: str = "") -> Obj:
        meta = obj["metadata"]
        url = self._url(resource, meta.get("namespace") or "", meta["name"], subresource)
        return await self._request("PUT", url, body=obj)  # type: ignore[no-any-return]

    async def patch(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        patch: Any,
        patch_type: PatchType = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Obj:
        params = {}
        if field_manager:
            params["fieldManager"] = field_manager
        if force:
            params["force"] = "true"
        url = self._url(resource, namespace, name, subresource)
        return await self._request("PATCH", url, params, patch, _PATCH_TYPES[patch_type])  # type: ignore[no-any-return]

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace_period: int | None = None,
        propagation: Propagation | None = None,
    ) -> None:
        options: Obj = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_period is not None:
            options["gracePeriodSeconds"] = grace_period
        if propagation is not None:
            options["propagationPolicy"] = propagation
        await self._request("DELETE", self._url(resource, namespace, name), body=options)

    async def create_subresource(
        self, resource: Resource, name: str, namespace: str, subresource: str, body: Obj
    ) -> Obj:
        url = self._url(resource, namespace, name, subresource)
        return await self._request("POST", url, body=body)  # type: ignore[no-any-return]


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    pairs = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {key: value for key, value in pairs.items() if value}


async def _decode(response: aiohttp.ClientResponse) -> Any:
    """Raises: ApiError for every answer that is not a success."""
    body = await response.read()
    if response.status < 300:
        return orjson.loads(body)
    try:
        status = orjson.loads(body)
    except ValueError:
        status = {"message": body[:200].decode("utf-8", "replace"), "code": response.status}
    raise errors.error_from_status({"code": response.status, **status})


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length (aiohttp's own iteration refuses those longer than its buffer)."""
    rest = bytearray()
    async for chunk in content.iter_any():
        rest += chunk
        if b"\n" not in chunk:
            continue
        *lines, last = bytes(rest).split(b"\n")
        rest = bytearray(last)
        for line in lines:
            if line:
                yield line
