"""Requests that a node's agent answers: logs as a stream, exec, attach and port-forward as tunnels.

The agent is found through its Node: the kubelet endpoint's port on the node's internal address. Its certificate must
come from the cluster's authority and carry the node's name; ours is the one agents let in.
"""

from __future__ import annotations

import logging
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from orchestrator import errors
from orchestrator.apiserver import read
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.exchange import Exchange
from orchestrator.apiserver.routes import Route, unknown_path
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj

log = logging.getLogger(__name__)

_CONNECT_TIMEOUT = 10.0  # seconds
_CHUNK = 64 * 1024
_DEFAULT_PORT = 10250
_FLAGS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
_LOG_OPTIONS = (
    "follow", "previous", "timestamps", "sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: one of `hosts`, which must prove to be `name`."""

    hosts: tuple[str, ...]
    port: int
    name: str
    path: str


class NodeProxy:
    def __init__(self, api: Api) -> None:
        self.api = api
        self._session: aiohttp.ClientSession | None = None

    async def serve(self, exchange: Exchange, call: Call, route: Route) -> None:
        """Logs and `nodes/NAME/proxy/…`; the upgraded streams come in by `target` alone."""
        match call.resource.storage_key, call.subresource:
            case ("pods", "log") | ("nodes", "proxy"):
                await exchange.while_connected(
                    self._relay(exchange, self.target(exchange, call, route)), "stream-relay"
                )
            case ("pods", "exec" | "attach" | "portforward"):
                self.target(exchange, call, route)
                raise errors.BadRequest("Upgrade request required")
            case _:
                raise unknown_path()

    def target(self, exchange: Exchange, call: Call, route: Route) -> Target:
        """Raises: NotFound, BadRequest."""
        if call.resource.storage_key == "nodes":
            node = read.get(self.api, call).obj
            query = exchange.scope["query_string"].decode("latin-1")
            return _target(node, f"/{route.rest}" + (f"?{query}" if query else ""))
        pod = read.get(self.api, call).obj
        node = self._node_of(pod)
        where = f"{quote(call.namespace)}/{quote(call.name)}"
        uid = pod["metadata"]["uid"]
        if call.subresource == "portforward":
            ports = [("port", port) for port in exchange.query_all("ports")]
            return _target(node, f"/portForward/{where}?{urlencode([('uid', uid), *ports])}")
        container = _container(pod, exchange.query.get("container", ""))
        if call.subresource == "log":
            options = [(name, exchange.query[name]) for name in _LOG_OPTIONS if exchange.query.get(name)]
            return _target(node, f"/containerLogs/{where}/{quote(container)}?{urlencode([('uid', uid), *options])}")
        options = [(ours, "1") for theirs, ours in _FLAGS.items() if exchange.flag(theirs)]
        if not options:
            raise errors.BadRequest("you must specify at least 1 of stdin, stdout, stderr")
        command = [("command", word) for word in exchange.query_all("command")]
        if call.subresource == "exec" and not command:
            raise errors.BadRequest("you must specify a command")
        query = urlencode([("uid", uid), *command, *options])
        return _target(node, f"/{call.subresource}/{where}/{quote(container)}?{query}")

    def _node_of(self, pod: Obj) -> Obj:
        name = (pod.get("spec") or {}).get("nodeName")
        if not name:
            raise errors.BadRequest(f"pod {pod['metadata']['name']} does not have a host assigned")
        record = self.api.store.get(kinds.NODES.storage_key, Key("", name))
        if record is None:
            raise errors.ServiceUnavailable(f"the node {name} that ran the pod is gone, and its containers with it")
        return record.obj

    async def _relay(self, exchange: Exchange, target: Target) -> None:
        response = await self._open(target)
        async with response:
            content_type = response.headers.get("content-type", "text/plain")
            await exchange.start(response.status, content_type.encode("latin-1"))
            await exchange.write(b"")
            async for chunk in response.content.iter_chunked(_CHUNK):
                await exchange.write(chunk)
            await exchange.write(b"", more=False)

    async def _open(self, target: Target) -> aiohttp.ClientResponse:
        """Raises: ServiceUnavailable."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT)
            self._session = aiohttp.ClientSession(timeout=timeout, auto_decompress=False)
        failure: Exception | None = None
        for host in target.hosts:
            shown = f"[{host}]" if ":" in host else host
            url = URL(f"https://{shown}:{target.port}{target.path}", encoded=True)
            try:
                return await self._session.get(url, ssl=self.api.node_tls, server_hostname=target.name)
            except (aiohttp.ClientError, OSError, TimeoutError) as exc:
                failure = exc
        raise errors.ServiceUnavailable(f"the agent of node {target.name} cannot be reached: {failure}")

    async def fetch_json(self, node: Obj, path: str) -> Any:
        """What the node's agent answers. Raises: ServiceUnavailable."""
        async with await self._open(_target(node, path)) as response:
            if response.status != 200:
                raise errors.ServiceUnavailable(f"the agent answered {response.status} to {path}")
            return await response.json(content_type=None)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _target(node: Obj, path: str) -> Target:
    status, name = node.get("status") or {}, node["metadata"]["name"]
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or _DEFAULT_PORT
    addresses = {a.get("type"): a.get("address") for a in status.get("addresses") or ()}
    hosts = [addresses.get("InternalIP") or addresses.get("Hostname") or name]
    if name == socket.gethostname().lower() or _is_ours(hosts[0]):
        hosts.append("127.0.0.1")  # an agent beside this server may listen on loopback alone
    return Target(tuple(dict.fromkeys(hosts)), int(port), name, path)


def _is_ours(address: str) -> bool:
    """Whether the address belongs to this host: only then can a socket be bound to it."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except (OSError, ValueError):
        return False
    return True


def _container(pod: Obj, asked: str) -> str:
    spec, name = pod.get("spec") or {}, pod["metadata"]["name"]
    containers = [c["name"] for c in spec.get("containers") or ()]
    others = [c["name"] for field in ("initContainers", "ephemeralContainers") for c in spec.get(field) or ()]
    if asked:
        if asked not in containers + others:
            raise errors.BadRequest(f"container {asked} is not valid for pod {name}")
        return asked
    if len(containers) == 1:
        return str(containers[0])
    choices = f"choose one of: [{' '.join(containers)}]"
    if others:
        choices += f" or one of the init containers: [{' '.join(others)}]"
    raise errors.BadRequest(f"a container name must be specified for pod {name}, {choices}")
