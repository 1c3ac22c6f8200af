"""The builder's process: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
from contextlib import AsyncExitStack
from typing import Any

from builder import host_config, repository, ssh
from builder.build_log import BuildLogs
from builder.collect import Collector
from builder.controller_api import Controller
from builder.engine import Engine
from builder.engine_builds import EngineBuilds
from builder.git_host import GitHost
from builder.git_service import GitService
from builder.host_config import HostConfig
from builder.locks import AppLocks
from builder.metrics import render_metrics
from builder.push import Pipeline
from builder.receive import HookServer, socket_path
from builder.registry_api import RegistryClient
from builder.runs import Runs
from builder.runtime import BuildRuntime
from builder.settings import Settings
from builder.submodules import Submodules
from builder.web.app import WebServer
from builder.web.builds import Builds
from builder.web.collections import Collections
from builder.web.controller_questions import ControllerQuestions
from builder.web.deploys import Deploys
from builder.web.git import GitOverHttp
from builder.web.webhooks import Webhooks
from builder.work_queue import WorkQueue

log = logging.getLogger("builder")
HOST_FILES = "/run/paas-host"  # where a build container sees the host's pip and npm settings
DRAIN = 15.0  # seconds pushes under way may take after TERM
STOP = 3.0  # seconds for cancelled work to clean up after itself
TELL_ENDS = 30.0  # seconds between looks for ends of builds the controller has not heard of


async def serve(settings: Settings) -> None:
    """Run until TERM or INT; pushes under way get `DRAIN` seconds."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(Engine(settings.docker_host, settings.docker_cert_path))
        registry = await stack.enter_async_context(RegistryClient(settings.registry))
        controller = await stack.enter_async_context(
            Controller(settings.controller_url, settings.builder_key, settings.deploy_timeout)
        )
        await Builder(settings, engine, registry, controller).run(stop)


def choose_runtime(engine: Engine, registry: RegistryClient, host: HostConfig, settings: Settings) -> BuildRuntime:
    if settings.cluster is None:
        return EngineBuilds(engine, registry, host, settings)
    from builder.jobs.builds import JobBuilds  # the Kubernetes client: only where it is used

    return JobBuilds(registry, host, settings.cluster, settings)


class Builder:
    """The parts, wired together."""

    def __init__(self, settings: Settings, engine: Engine, registry: RegistryClient, controller: Controller) -> None:
        self.settings = settings
        data = settings.data
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._host = host_config.collect(settings.host, HOST_FILES, data / "host", here=settings.cluster is None)
        limits = settings.limits
        self.repositories = repository.Repositories(
            data / "repos", data / "hooks", settings.git, limits.source_bytes, limits.repository_bytes
        )
        self.runtime = choose_runtime(engine, registry, self._host, settings)
        self.hooks = HookServer(socket_path(data))
        self.locks = AppLocks()
        host = GitHost(settings)
        self.runs = Runs(controller, BuildLogs(data / "logs", settings.log_intake, settings.builder_key))
        self.pipeline = Pipeline(
            settings,
            self.repositories,
            self.runtime,
            controller,
            self.runs,
            Submodules(self.repositories, host, data / "modules"),
        )
        git = GitService(self.repositories, self.locks, self.hooks, self.pipeline)
        self.sessions = ssh.Sessions(controller, git)
        self.queue = WorkQueue(controller, self.pipeline, git, host)
        own = None if settings.cluster else engine
        collector = Collector(own, settings.instance, settings.registry.host, self.repositories)
        self.web = self._web(controller, git, collector)
        self._controller = controller

    def _web(self, controller: Controller, git: GitService, collector: Collector) -> WebServer:
        return WebServer(
            GitOverHttp(controller, git),
            Deploys(controller, self.pipeline, self.locks, self.repositories, self.settings.data / "uploads"),
            Builds(controller, self.runs, self.queue, git),
            Webhooks(controller, self.queue),
            Collections(collector, self.settings.builder_key),
            ControllerQuestions(self.runs, git, self.settings.builder_key),
            self.metrics,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Clean up after a builder that was killed, serve, and leave nothing behind."""
        self._prepare()
        await self.hooks.start()
        listeners = await ssh.listen(self.settings, self._controller, self.sessions.handle)
        await self.web.start(*self.settings.http_listen)
        background = [asyncio.create_task(work) for work in (self.runtime.run(), self._serve_queue())]
        log.info("listening for git on %s", ", ".join(f"{host}:{port}" for host, port in self.settings.ssh_listen))
        try:
            await stop.wait()
        finally:
            for listener in listeners:
                listener.close()
            await self.web.close()
            background[-1].cancel()  # takes up no more work
            if under_way := self._under_way():
                await asyncio.wait(under_way, timeout=DRAIN)
            ending = [*background, *self._under_way()]
            for task in ending:
                task.cancel()
            await asyncio.wait(ending, timeout=STOP)
            await asyncio.wait([asyncio.ensure_future(self.runs.settle())], timeout=STOP)
            await self.web.end()
            await self.hooks.stop()
            await self.runtime.close()

    def _under_way(self) -> set[asyncio.Task[Any]]:
        """Pushes, requests and queued builds."""
        return {*self.sessions.active, *self.web.active, *self.queue.active}

    async def _serve_queue(self) -> None:
        """Give up what a killed builder was building, then build what waits; tell ends that nobody has heard."""
        await self.runs.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.queue.run())
            group.create_task(self._tell_ends())

    async def _tell_ends(self) -> None:
        while True:
            await asyncio.sleep(TELL_ENDS)
            await self.runs.tell_ends()

    def _prepare(self) -> None:
        """Folders as they must be; what a killed builder left is gone."""
        os.umask(0o022)  # what builds read and images hold is other users'; nobody gets into `settings.data`
        for name in ("work", "uploads"):
            shutil.rmtree(self.settings.data / name, ignore_errors=True)
        (self.settings.data / "uploads").mkdir(mode=0o700)
        for name in ("repos", "cache", "work", "run", "logs"):
            (self.settings.data / name).mkdir(exist_ok=True, mode=0o700)
        (self.settings.data / "buildpacks").mkdir(exist_ok=True)
        (self.settings.data / "buildpacks").chmod(0o755)
        host_config.write(self._host, self.settings.data / "host")
        repository.write_hooks(self.settings.data / "hooks")
        if removed := self.repositories.sweep():
            log.info("removed %d leftovers of interrupted pushes", removed)

    def metrics(self) -> str:
        outcomes = {f'{{outcome="{name}"}}': count for name, count in self.pipeline.outcomes.items()}
        phases = {f'{{phase="{name}"}}': seconds for name, seconds in self.pipeline.phase_seconds.items()}
        return render_metrics(
            {
                "builder_pushes_total": ("Pushes by outcome.", outcomes),
                "builder_push_seconds_total": ("Seconds that pushes spent in each phase.", phases),
                "builder_pushes_active": ("Pushes under way.", {"": len(self.locks.held())}),
                "builder_stack_ready": ("Whether the registry holds the stack image.", {"": int(self.runtime.ready)}),
            }
        )
