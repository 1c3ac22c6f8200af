"""The server process: open the store, serve, run the controllers, drain."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from orchestrator.apiserver import bootstrap, collector
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.app import App
from orchestrator.apiserver.definitions import Definitions
from orchestrator.apiserver.local import LocalClient
from orchestrator.apiserver.resource_metrics import ResourceMetrics
from orchestrator.apiserver.serve import HttpsServer, node_tls_context
from orchestrator.apiserver.signer import Signer
from orchestrator.apiserver.upkeep import Upkeep
from orchestrator.apiserver.webhooks.hooks import Hooks
from orchestrator.objects import kinds
from orchestrator.pki import ensure_pki
from orchestrator.settings import ServerSettings
from orchestrator.store.sqlite import SqliteLog
from orchestrator.store.store import Store

log = logging.getLogger(__name__)

_SWITCH_INTERVAL = 0.0005  # seconds; the writer thread must not wait long for the event loop's thread

_RESTART = 1.0  # seconds


class Server:
    """Everything in the process, from `start` to `stop`; tests use it directly."""

    def __init__(self, settings: ServerSettings, *, controllers: bool = True) -> None:
        self.settings = settings
        self._with_controllers = controllers
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        settings = self.settings
        pki = ensure_pki(settings)
        self.store = Store(SqliteLog(settings.data / "store.db"))
        self.store.open()
        self.api = Api(self.store, settings, Signer(pki.token_key), node_tls_context(pki), pki.ca.read_text())
        self.client = LocalClient(self.api)
        await bootstrap.ensure_objects(self.api)
        definitions = Definitions(self.api)
        definitions.load()
        self.api.hooks = Hooks(self.api)
        self.app = App(self.api)
        metrics = ResourceMetrics(self.api, self.app.rest.nodes)
        self.api.computed = {kinds.NODEMETRICS.storage_key: metrics, kinds.PODMETRICS.storage_key: metrics}
        self.http = HttpsServer(self.app, pki, settings.host, settings.port, settings.drain_timeout)
        await self.http.start()
        self._start_part("compaction", self._compact_forever)
        self._start_part("collector", collector.collect_everything_forever)
        self._start_part("definitions", definitions.run)
        self._start_part("upkeep", Upkeep(self.api).run)
        if self._with_controllers and importlib.util.find_spec("orchestrator.reconcilers.run") is not None:
            from orchestrator.reconcilers.run import run_controllers

            self._start_part("controllers", lambda: run_controllers(self.client, settings))
        log.info("serving on %s:%s, revision %s", settings.host, self.http.port, self.store.revision)

    def _start_part(self, name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._tasks.append(asyncio.create_task(_run_for_ever(name, run), name=name))

    async def _compact_forever(self) -> None:
        """Keep between one and two intervals of history."""
        while True:
            revision = self.store.revision
            await asyncio.sleep(self.settings.compaction_interval)
            await self.store.compact(revision)

    async def wait(self) -> None:
        """Return never; raise when a part that should run for ever was cancelled."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
            raise RuntimeError(f"{task.get_name()} ended by itself")

    async def stop(self) -> None:
        self.api.draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.store.close_watches()
        await self.http.stop()
        await self.app.rest.nodes.close()
        await self.app.rest.endpoints.close()
        await self.api.webhooks.close()
        await self.store.close()


async def _run_for_ever(name: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """A part that meets what its author did not think of begins again: requests are answered meanwhile."""
    while True:
        try:
            await run()
            log.error("%s ended by itself; it starts again in %s s", name, _RESTART)
        except Exception:
            log.exception("%s failed; it starts again in %s s", name, _RESTART)
        await asyncio.sleep(_RESTART)


async def run(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT."""
    sys.setswitchinterval(_SWITCH_INTERVAL)
    collector.tune()
    server = Server(settings)
    await server.start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    waiting = asyncio.create_task(stop.wait(), name="signal")
    running = asyncio.create_task(server.wait(), name="server")
    try:
        await asyncio.wait((waiting, running), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    finally:
        log.info("stopping")
        waiting.cancel()
        running.cancel()
        await server.stop()
