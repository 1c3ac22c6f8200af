"""The agent's HTTPS endpoint, shaped like a kubelet's. Only the API server may ask: by its client certificate.

aiohttp serves it, which the agent's client needs anyway, and which shows the peer's certificate to its handlers.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from orchestrator.errors import ApiError, BadRequest, Forbidden, NotFound, OrchestratorError
from orchestrator.kubelet.agent import NodeAgent
from orchestrator.kubelet.logs import log_options, stream_logs
from orchestrator.kubelet.metrics import render_metrics
from orchestrator.kubelet.pod import all_containers_of, latest
from orchestrator.kubelet.remote_commands import serve_attach, serve_exec
from orchestrator.kubelet.remote_ports import serve_port_forward
from orchestrator.kubelet.runtime import ContainerGone, ContainerStatus, RuntimeFailure
from orchestrator.kubelet.settings import AgentSettings
from orchestrator.kubelet.summary import render_summary
from orchestrator.kubelet.worker import PodWorker

log = logging.getLogger(__name__)

ALLOWED_GROUP = "system:masters"
ALLOWED_USER = "kube-apiserver-kubelet-client"
OPEN_PATHS = ("/healthz",)
DRAIN = 5.0  # seconds that open streams get at the end


class AgentServer:
    def __init__(self, settings: AgentSettings, nodes: Mapping[str, NodeAgent]) -> None:
        self._settings, self._nodes = settings, nodes
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=DRAIN)
        await runner.setup()
        self._runner = runner
        site = web.TCPSite(
            runner, self._settings.listen_host, self._settings.listen_port, ssl_context=server_context(self._settings)
        )
        await site.start()

    @property
    def port(self) -> int:
        """Where it listens, also when the settings left the choice to the system."""
        addresses = self._runner.addresses if self._runner is not None else []
        return int(addresses[0][1]) if addresses else self._settings.listen_port

    async def close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def application(self) -> web.Application:
        app = web.Application(middlewares=[answer_errors, only_the_server])
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/pods", self._pods)
        app.router.add_get("/stats/summary", self._summary)
        app.router.add_get("/containerLogs/{namespace}/{pod}/{container}", self._logs)
        for method in ("GET", "POST"):
            app.router.add_route(method, "/exec/{namespace}/{pod}/{container}", self._exec)
            app.router.add_route(method, "/attach/{namespace}/{pod}/{container}", self._attach)
            app.router.add_route(method, "/portForward/{namespace}/{pod}", self._port_forward)
        return app

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(text=render_metrics(self._nodes), content_type="text/plain")

    async def _pods(self, request: web.Request) -> web.Response:
        items = [worker.pod for node in self._nodes.values() for worker in node.workers.values()]
        return web.json_response({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})

    async def _summary(self, request: web.Request) -> web.Response:
        wanted = request.query.get("node")
        nodes = [node for name, node in self._nodes.items() if wanted in (None, name)]
        if not nodes:
            raise NotFound(f"this agent has no node {wanted}")
        if wanted is None and len(nodes) > 1:
            return web.json_response({"nodes": [await render_summary(node) for node in nodes]})
        return web.json_response(await render_summary(nodes[0]))

    async def _logs(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        name = request.match_info["container"]
        options = log_options(request.query)
        status = self._attempt(worker, name, previous=request.query.get("previous") in ("true", "1"))
        return await stream_logs(request, worker.services.runtime, status, options, request.query)

    async def _exec(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        status = self._running(worker, request.match_info["container"])
        return await serve_exec(request, worker.services.runtime, status)

    async def _attach(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        name = request.match_info["container"]
        status = self._running(worker, name)
        return await serve_attach(request, worker.services.runtime, status, worker.container(name))

    async def _port_forward(self, request: web.Request) -> web.StreamResponse:
        worker = self._worker(request)
        if worker.sandbox is None:
            raise BadRequest(f"pod {worker.ref} has no network yet; wait until it runs")
        return await serve_port_forward(request, worker.services.runtime, worker.sandbox)

    def _worker(self, request: web.Request) -> PodWorker:
        """Of the newest pod with that name, unless the request names its uid. Raises: NotFound."""
        namespace, name = request.match_info["namespace"], request.match_info["pod"]
        found = [
            worker
            for node in self._nodes.values()
            for worker in node.workers.values()
            if worker.ref[:2] == (namespace, name) and request.query.get("uid") in (None, worker.ref.uid)
        ]
        if not found:
            raise NotFound(f'pod "{name}" of namespace "{namespace}" is not on this node')
        return max(found, key=lambda worker: worker.seen.start_time)

    def _attempt(self, worker: PodWorker, name: str, *, previous: bool) -> ContainerStatus:
        """Raises: BadRequest, with kubelet's sentences, when that attempt isn't there."""
        if name not in [container["name"] for container in all_containers_of(worker.pod)]:
            raise BadRequest(f"container {name} is not valid for pod {worker.ref.name}")
        attempts = [status for status in worker.seen.history.get(name) or () if status.state != "created"]
        waiting = worker.seen.waiting.get(name)
        if previous:
            # While it waits for its next start, the attempt that ended last is the previous one.
            older = attempts if attempts and attempts[-1].state == "exited" and waiting else attempts[:-1]
            if not older:
                raise BadRequest(f'previous terminated container "{name}" in pod "{worker.ref.name}" not found')
            return older[-1]
        if not attempts:
            reason = waiting[0] if waiting else "ContainerCreating"
            why = {
                "ErrImagePull": "image can't be pulled",
                "ImagePullBackOff": "trying and failing to pull image",
            }.get(reason, reason)
            raise BadRequest(f'container "{name}" in pod "{worker.ref.name}" is waiting to start: {why}')
        return attempts[-1]

    def _running(self, worker: PodWorker, name: str) -> ContainerStatus:
        status = latest(worker.seen.history, name)
        if status is None and name not in [container["name"] for container in all_containers_of(worker.pod)]:
            raise BadRequest(f"container {name} is not valid for pod {worker.ref.name}")
        if status is None or status.state != "running":
            raise BadRequest(f'container "{name}" of pod "{worker.ref.name}" is not running')
        return status


@web.middleware
async def answer_errors(request: web.Request, handler: Any) -> web.StreamResponse:
    """Every refusal as a Kubernetes Status."""
    try:
        return await handler(request)  # type: ignore[no-any-return]
    except ApiError as exc:
        return web.json_response(exc.status(), status=exc.code)
    except ContainerGone as exc:
        error: ApiError = NotFound(str(exc))
    except (RuntimeFailure, ValueError) as exc:
        error = BadRequest(str(exc))
    except OrchestratorError as exc:
        error = ApiError(str(exc))
    return web.json_response(error.status(), status=error.code)


@web.middleware
async def only_the_server(request: web.Request, handler: Any) -> web.StreamResponse:
    """Any certificate of the cluster's authority opens a connection; only the API server's and admins' go further."""
    certificate = request.get_extra_info("peercert")
    if request.path not in OPEN_PATHS and not may_ask(certificate):
        raise Forbidden("only the API server may ask this node")
    return await handler(request)  # type: ignore[no-any-return]


def may_ask(certificate: Mapping[str, Any] | None) -> bool:
    subject = [pair for part in (certificate or {}).get("subject", ()) for pair in part]
    return ("commonName", ALLOWED_USER) in subject or ("organizationName", ALLOWED_GROUP) in subject


def server_context(settings: AgentSettings) -> ssl.SSLContext:
    """Raises: OrchestratorError, naming the file that can't be used."""
    certificate, key, authority = settings.tls_files
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as exc:
        raise OrchestratorError(
            f"can't serve with {certificate}, {key} and {authority}: {exc}; start the server once, it makes them"
        ) from exc
    context.verify_mode = ssl.CERT_REQUIRED
    return context
