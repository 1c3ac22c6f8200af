"""The Docker Engine API, the calls a builder needs, asynchronously over its socket.

A thin client of our own instead of the `docker` package: that one blocks a thread for each stream, and a
build is little else than streams.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp

from builder.errors import EngineError

CALL_TIMEOUT = 60.0  # seconds for a call that isn't a stream
PUSH_TIMEOUT = 600.0  # seconds for sending an image; the stack takes 8 on a quiet machine


def connector(docker_host: str, cert_path: str = "") -> tuple[aiohttp.BaseConnector, str]:
    """A connector for `unix:///path`, `tcp://host:port` or `https://host:port`, and the base URL to use with it."""
    url = urlsplit(docker_host)
    if url.scheme == "unix":
        return aiohttp.UnixConnector(url.path, limit=0), "http://engine"
    if url.scheme in ("tcp", "http") and not cert_path:
        return aiohttp.TCPConnector(limit=0), f"http://{url.netloc}"
    if url.scheme in ("tcp", "https"):
        return aiohttp.TCPConnector(limit=0, ssl=tls_context(cert_path)), f"https://{url.netloc}"
    raise EngineError(f"DOCKER_HOST={docker_host!r} is neither unix:// nor tcp://.")


def tls_context(cert_path: str) -> ssl.SSLContext:
    certs = Path(cert_path)
    context = ssl.create_default_context(cafile=str(certs / "ca.pem"))
    context.load_cert_chain(certs / "cert.pem", certs / "key.pem")
    return context


class Engine:
    def __init__(self, docker_host: str, cert_path: str = "") -> None:
        self._docker_host, self._cert_path = docker_host, cert_path
        self._session: aiohttp.ClientSession | None = None
        self._base = ""

    async def __aenter__(self) -> Engine:
        conn, self._base = connector(self._docker_host, self._cert_path)
        self._session = aiohttp.ClientSession(connector=conn, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = CALL_TIMEOUT,  # noqa: ASYNC109 - handed to aiohttp
    ) -> aiohttp.ClientResponse:
        """The engine's response, its body unread. Raises: EngineError with the engine's own words."""
        assert self._session is not None
        query = {
            key: json.dumps(value) if isinstance(value, dict) else str(value) for key, value in (params or {}).items()
        }
        limit = aiohttp.ClientTimeout(total=timeout, sock_connect=10)
        try:
            response = await self._session.request(
                method, self._base + path, params=query, json=body, data=data, headers=headers, timeout=limit
            )
            if response.status >= 400:
                text = await response.text()
                response.release()
                raise EngineError(_message(text) or f"status {response.status}", response.status)
            return response
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise EngineError(f"The Docker Engine doesn't answer ({exc or 'timed out'}).") from exc

    async def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """The decoded JSON answer, or None when there is none."""
        response = await self.open(method, path, **kwargs)
        try:
            text = await response.text()
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise EngineError("The Docker Engine went away in the middle of an answer.") from exc
        return json.loads(text) if text.strip() and "json" in response.content_type else None

    async def progress(self, method: str, path: str, **kwargs: Any) -> AsyncIterator[dict[str, Any]]:
        """The objects of a progress stream (build, pull, push, import). Raises: EngineError on an error object."""
        kwargs.setdefault("timeout", None)
        response = await self.open(method, path, **kwargs)
        try:
            async for line in response.content:
                if not line.strip():
                    continue
                item = json.loads(line)
                if "error" in item:
                    raise EngineError(str(item["error"]), int((item.get("errorDetail") or {}).get("code") or 0))
                yield item
        except (aiohttp.ClientError, ValueError) as exc:
            raise EngineError("The Docker Engine went away in the middle of an answer.") from exc
        finally:
            response.close()

    async def hijack(self, path: str, headers: Mapping[str, str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own that the engine has switched to another protocol. Raises: EngineError."""
        url = urlsplit(self._docker_host)
        try:
            async with asyncio.timeout(CALL_TIMEOUT):
                if url.scheme == "unix":
                    reader, writer = await asyncio.open_unix_connection(url.path)
                else:
                    context = tls_context(self._cert_path) if self._cert_path else None
                    reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=context)
                lines = [
                    f"POST {path} HTTP/1.1",
                    "Host: engine",
                    *(f"{key}: {value}" for key, value in headers.items()),
                ]
                writer.write("\r\n".join([*lines, "", ""]).encode())
                answer = await reader.readuntil(b"\r\n\r\n")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
            raise EngineError(f"The Docker Engine doesn't answer ({exc or 'timed out'}).") from exc
        if b" 101 " not in answer.partition(b"\r\n")[0]:
            writer.close()
            raise EngineError(f"The Docker Engine doesn't open {path}: {answer.partition(bytes([13]))[0].decode()}")
        return reader, writer

    async def root(self) -> Path:
        """The folder where it keeps images and containers, on its own machine."""
        return Path((await self.call("GET", "/info"))["DockerRootDir"])

    # containers

    async def create(self, name: str, spec: Mapping[str, Any]) -> str:
        created = await self.call("POST", "/containers/create", params={"name": name}, body=spec)
        return str(created["Id"])

    async def start(self, container: str) -> None:
        await self.call("POST", f"/containers/{container}/start")

    async def attach(self, container: str) -> aiohttp.ClientResponse:
        """The multiplexed output of a container, from now on; read it with `frames`."""
        params = {"stream": 1, "stdout": 1, "stderr": 1}
        return await self.open("POST", f"/containers/{container}/attach", params=params, timeout=None)

    async def wait(self, container: str) -> int:
        answer = await self.call("POST", f"/containers/{container}/wait", timeout=None)
        return int(answer["StatusCode"])

    async def inspect(self, container: str) -> dict[str, Any]:
        known: dict[str, Any] = await self.call("GET", f"/containers/{container}/json")
        return known

    async def written(self, container: str) -> int:
        """Bytes that the container has written outside of mounted folders."""
        known = await self.call("GET", f"/containers/{container}/json", params={"size": 1})
        return int(known.get("SizeRw") or 0)

    async def cap_processes(self, container: str, most: int) -> None:
        """No more than `most` processes and threads in it, from now on or from its start."""
        await self.call("POST", f"/containers/{container}/update", body={"PidsLimit": most})

    async def remove(self, container: str) -> None:
        """Kill and remove; a container that is gone already is fine."""
        try:
            await self.call("DELETE", f"/containers/{container}", params={"force": 1, "v": 1})
        except EngineError as exc:
            if exc.status not in (404, 409):
                raise

    async def containers(self, labels: Mapping[str, str]) -> list[dict[str, Any]]:
        filters = {"label": [f"{key}={value}" for key, value in labels.items()]}
        listed: list[dict[str, Any]] = await self.call("GET", "/containers/json", params={"all": 1, "filters": filters})
        return listed

    # images

    async def image(self, name: str) -> dict[str, Any] | None:
        """What the engine knows of a local image, or None."""
        try:
            known: dict[str, Any] = await self.call("GET", f"/images/{quote(name, safe='/:@')}/json")
            return known
        except EngineError as exc:
            if exc.status == 404:
                return None
            raise

    async def push(self, repository: str, tag: str, auth: Mapping[str, str]) -> str:
        """Push a local image; its manifest digest."""
        headers = {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode()}
        digest = ""
        path = f"/images/{quote(repository, safe='/:')}/push"
        try:
            async with asyncio.timeout(PUSH_TIMEOUT):
                async for item in self.progress("POST", path, params={"tag": tag}, headers=headers):
                    digest = (item.get("aux") or {}).get("Digest") or digest
        except TimeoutError as exc:
            raise EngineError(f"{repository}:{tag} was not in the registry after {PUSH_TIMEOUT:.0f} s.") from exc
        if not digest:
            raise EngineError(f"The engine pushed {repository}:{tag} without telling its digest.")
        return digest

    async def pull(self, name: str, auth: Mapping[str, str] | None = None) -> None:
        headers = (
            {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(dict(auth)).encode()).decode()} if auth else {}
        )
        async for _ in self.progress("POST", "/images/create", params={"fromImage": name}, headers=headers):
            continue

    async def tag(self, image: str, repository: str, tag: str) -> None:
        await self.call("POST", f"/images/{quote(image, safe='/:@')}/tag", params={"repo": repository, "tag": tag})

    async def untag(self, name: str) -> None:
        """Drop a local name; an image without other names goes with it. Missing is fine."""
        try:
            await self.call("DELETE", f"/images/{quote(name, safe='/:@')}")
        except EngineError as exc:
            if exc.status not in (404, 409):
                raise

    # networks

    async def ensure_network(self, name: str, labels: Mapping[str, str], mtu: int) -> str:
        """A bridge for builds: no traffic between its containers, the host's MTU. The name of its link."""
        try:
            return link_of(await self.call("GET", f"/networks/{name}"))
        except EngineError as exc:
            if exc.status != 404:
                raise
        options = {"com.docker.network.bridge.enable_icc": "false", "com.docker.network.driver.mtu": str(mtu)}
        spec = {"Name": name, "Driver": "bridge", "Labels": dict(labels), "Options": options, "CheckDuplicate": True}
        try:
            await self.call("POST", "/networks/create", body=spec)
        except EngineError as exc:
            if exc.status != 409:
                raise
        return link_of(await self.call("GET", f"/networks/{name}"))

    async def remove_network(self, name: str) -> None:
        """Missing, or still used by a container, is fine."""
        try:
            await self.call("DELETE", f"/networks/{name}")
        except EngineError as exc:
            if exc.status not in (403, 404, 409):
                raise


def link_of(network: Mapping[str, Any]) -> str:
    """The host's end of a bridge network, as the engine names it."""
    named = (network.get("Options") or {}).get("com.docker.network.bridge.name")
    return str(named or f"br-{network['Id'][:12]}")


async def frames(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[int, bytes]]:
    """(stream number, bytes) of a multiplexed attach stream until it ends."""
    try:
        while True:
            header = await response.content.readexactly(8)
            yield header[0], await response.content.readexactly(int.from_bytes(header[4:], "big"))
    except (asyncio.IncompleteReadError, aiohttp.ClientError, ConnectionError):
        return
    finally:
        response.close()


def host_mtu(sysfs: Path = Path("/sys/class/net")) -> int:
    """The smallest MTU of the host's real interfaces, 1500 when there are none."""
    sizes = [int((card / "mtu").read_text()) for card in sysfs.iterdir() if (card / "device").exists()]
    return min(sizes, default=1500)


def _message(text: str) -> str:
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()
