"""The builder's HTTP server: its routes, and how it starts and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from builder.web.builds import Builds
from builder.web.collections import Collections
from builder.web.controller_questions import ControllerQuestions
from builder.web.deploys import Deploys
from builder.web.git import GitOverHttp
from builder.web.webhooks import Webhooks

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
APP = r"/builder/apps/{app}"
OF_A_RUN = r"/runs/{app}/{number:[0-9]{1,9}}"


class WebServer:
    """Listens on loopback; the router passes on `/APP.git/` and `/builder/` of the platform's host."""

    def __init__(
        self,
        git: GitOverHttp,
        deploys: Deploys,
        builds: Builds,
        webhooks: Webhooks,
        collections: Collections,
        questions: ControllerQuestions,
        metrics: Callable[[], str],
    ) -> None:
        self._active: set[asyncio.Task[object]] = set()
        self._metrics = metrics
        app = web.Application(middlewares=[self._counted])
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/{app}.git/info/refs", git.refs)
        app.router.add_post("/{app}.git/{service:git-(receive|upload)-pack}", git.call)
        app.router.add_post(APP + "/deploy", deploys.deploy)
        app.router.add_get(APP + r"/builds/{number:[0-9]{1,9}}/output", builds.output)
        app.router.add_post(APP + r"/builds/{number:[0-9]{1,9}}/cancel", builds.cancel)
        app.router.add_post(APP + "/reset", builds.reset)
        app.router.add_post("/builder/hooks/{app}", webhooks.take)
        app.router.add_post("/collect", collections.collect)
        app.router.add_get("/runs/{app}/line", questions.in_line)
        app.router.add_get(OF_A_RUN + "/output", questions.output)
        app.router.add_post(OF_A_RUN + "/cancel", questions.cancel)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)

    @property
    def active(self) -> set[asyncio.Task[object]]:
        """Requests under way."""
        return {task for task in self._active if not task.done()}

    async def start(self, host: str, port: int) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port, reuse_address=True).start()

    async def close(self) -> None:
        """No more connections; requests under way go on until they are cancelled."""
        for site in list(self._runner.sites):
            await site.stop()

    async def end(self) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _counted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._active.add(task)
        try:
            return await handler(request)
        except (web.RequestPayloadError, HttpProcessingError) as exc:
            raise web.HTTPBadRequest(text="The request's body is broken: its encoding can't be read.\n") from exc
        finally:
            self._active.discard(task)

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="OK\n")

    async def _show_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics().encode(), headers={"Content-Type": METRICS_TYPE})
