"""The Kubernetes API, the calls a build needs, asynchronously: objects, watches, logs and exec.

The official client reads the kubeconfig, with all its ways to prove who we are; aiohttp carries the calls, because
that client blocks a thread for each stream, and a build is little else than streams.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from builder.errors import ClusterError

CALL_TIMEOUT = 30.0  # seconds for a call that isn't a stream
CONNECT_TIMEOUT = 10.0  # seconds
HEARTBEAT = 20.0  # seconds between pings of an exec, so that nobody in between takes it for dead
CHUNK = 1 << 16
PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, RESULT = 0, 1, 2, 3
MANAGER = "paas-builder"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

Obj = dict[str, Any]


class KubeApi:
    def __init__(self, kubeconfig: str) -> None:
        """`kubeconfig` is a path; empty: the service account of the pod we run in. Raises: ClusterError."""
        from kubernetes import client, config  # 20 MB and 0.2 s: only where builds are Jobs

        self._configuration = client.Configuration()
        try:
            if kubeconfig:
                config.load_kube_config(kubeconfig, client_configuration=self._configuration)
            else:
                config.load_incluster_config(client_configuration=self._configuration)
        except (config.ConfigException, OSError) as exc:
            where = kubeconfig or "of this pod's service account"
            raise ClusterError(f"The kubeconfig {where} (BUILDER_KUBECONFIG) can't be used: {exc}") from exc
        self.host = urlsplit(self._configuration.host).hostname or ""
        self._opened_session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._opened_session:
            await self._opened_session.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        """Made when it is first needed: that takes a running loop."""
        if self._opened_session is None:
            connector = aiohttp.TCPConnector(limit=0, ssl=self._tls())
            self._opened_session = aiohttp.ClientSession(connector=connector, trust_env=False)
        return self._opened_session

    def _tls(self) -> ssl.SSLContext:
        known = self._configuration
        context = ssl.create_default_context(cafile=known.ssl_ca_cert)
        # Python 3.13 asks of authorities what many clusters' own lack and Go's clients never missed: key usage, say.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not known.verify_ssl:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if known.cert_file:
            context.load_cert_chain(known.cert_file, known.key_file)
        return context

    def _headers(self) -> dict[str, str]:
        """Who we are; the client's hook renews tokens that end."""
        token = self._configuration.auth_settings().get("BearerToken", {}).get("value")
        return {"Authorization": token} if token else {}

    async def call(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", **params: str
    ) -> Obj:
        """The object answered. Raises: ClusterError with the API's own words."""
        limit = aiohttp.ClientTimeout(total=CALL_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        data = None if body is None else json.dumps(body)
        async with self._opened(method, path, params, limit, data, {"Content-Type": kind}) as response:
            return dict(await response.json(content_type=None))

    async def apply(self, path: str, obj: Obj) -> Obj:
        """Have the object at `path` be as `obj` says, whether it is there or not."""
        return await self.call("PATCH", path, obj, APPLY, fieldManager=MANAGER, force="true")

    async def delete(self, path: str, body: Obj | None = None, **params: str) -> None:
        """Missing is fine."""
        try:
            await self.call("DELETE", path, body, **params)
        except ClusterError as exc:
            if exc.status != 404:
                raise

    async def stream(self, path: str, **params: str) -> AsyncIterator[bytes]:
        """The bytes of an endless answer as they come, until it ends or breaks."""
        limit = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT)
        async with self._opened("GET", path, params, limit) as response:
            try:
                async for chunk in response.content.iter_any():
                    yield chunk
            except aiohttp.ClientError:
                return

    async def watch(self, path: str, **params: str) -> AsyncIterator[Obj]:
        """Events of a watch until it ends."""
        pending = b""
        async for chunk in self.stream(path, watch="true", **params):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in filter(None, lines):
                yield json.loads(line)

    @asynccontextmanager
    async def _opened(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        limit: aiohttp.ClientTimeout,
        data: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self._configuration.host.rstrip("/") + path
        try:
            async with self._session.request(
                method, url, params=params, data=data, headers={**(headers or {}), **self._headers()}, timeout=limit
            ) as response:
                if response.status >= 400:
                    raise ClusterError(message_of(await response.text(), response.status), response.status)
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ClusterError(f"The Kubernetes API doesn't answer ({exc or 'timed out'}).") from exc

    @asynccontextmanager
    async def executed(self, path: str, command: Sequence[str], stdin: bool) -> AsyncIterator[Process]:
        """A command that runs in a container; it ends when the context does. `path` is the pod's `…/exec`."""
        query = [("command", word) for word in command]
        query += [("container", "build"), ("stdin", str(stdin).lower()), ("stdout", "true"), ("stderr", "true")]
        url = self._configuration.host.rstrip("/") + path
        try:
            socket = await self._session.ws_connect(
                url, params=query, protocols=PROTOCOLS, headers=self._headers(), heartbeat=HEARTBEAT, max_msg_size=0
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ClusterError(f"The Kubernetes API runs no command in the build's pod ({exc}).") from exc
        try:
            yield Process(socket)
        finally:
            closing = asyncio.ensure_future(socket.close())
            await asyncio.wait([closing], timeout=1.0)


class Process:
    """A command in a container: bytes in, bytes out, and whether it succeeded."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def write(self, data: bytes) -> None:
        """Waits until the other side takes it. Raises: ClusterError when that is gone."""
        try:
            for at in range(0, len(data), CHUNK):
                await self._socket.send_bytes(bytes([STDIN]) + data[at : at + CHUNK])
        except (ConnectionError, aiohttp.ClientError) as exc:
            raise ClusterError("The connection to the build's pod broke.") from exc

    async def output(self) -> AsyncIterator[bytes]:
        """What it prints on stdout. Raises: ClusterError unless it ends with success."""
        errors = b""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == STDOUT and data:
                yield data
            elif channel == STDERR:
                errors = (errors + data)[-1000:]
            elif channel == RESULT:
                status = json.loads(data)
                if status.get("status") == "Success":
                    return
                told = errors.decode(errors="replace").strip().splitlines()[-1:] or [status.get("message", "")]
                raise ClusterError(f"A command in the build's pod failed: {told[0]}")
        raise ClusterError("The connection to the build's pod broke.")


def message_of(text: str, status: int) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()[:200] or f"status {status}"
