"""The builder's process: start, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import sys
from contextlib import AsyncExitStack

from builder import health, host_config, repository, ssh
from builder.buildpack import BuildpackBuilds
from builder.controller_api import Controller
from builder.dockerfile import DockerfileBuilds
from builder.engine import Engine
from builder.image import Assembler
from builder.layers import LayerMemory
from builder.locks import AppLocks
from builder.pool import Pool
from builder.push import Pipeline
from builder.receive import HookServer, socket_path
from builder.registry_api import RegistryClient
from builder.settings import Settings
from builder.stack.build import Stack
from builder.stack.toolchains import Toolchains
from builder.stack_image import StackImage

log = logging.getLogger("builder")
HOST_FILES = "/run/paas-host"  # where a build container sees the host's pip and npm settings
DRAIN = 15.0  # seconds pushes under way may take after TERM
STOP = 3.0  # seconds for cancelled work to clean up after itself
RETRY = 2.0  # seconds


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


def stack_to_make(settings: Settings) -> Stack:
    return Stack(settings.stack_image, settings.build_image, settings.data / "stack", settings.instance, settings.host)


class Builder:
    """The parts, wired together."""

    def __init__(self, settings: Settings, engine: Engine, registry: RegistryClient, controller: Controller) -> None:
        self.settings = settings
        data = settings.data
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._host = host_config.collect(settings.host, HOST_FILES, data / "host")
        self.repositories = repository.Repositories(
            data / "repos", data / "hooks", settings.git, settings.limits.source_bytes
        )
        self.pool = Pool(engine, settings, self._host)
        self.hooks = HookServer(socket_path(data))
        self.locks = AppLocks()
        assembler = Assembler(registry, LayerMemory(data / "layers"))
        self.stack = StackImage(engine, registry, assembler, settings)
        toolchains = Toolchains(engine, stack_to_make(settings))
        self.pipeline = Pipeline(
            settings,
            self.repositories,
            engine,
            controller,
            BuildpackBuilds(engine, self.pool, toolchains, settings),
            DockerfileBuilds(engine, settings),
            assembler,
            self.stack,
        )
        self.sessions = ssh.Sessions(controller, self.repositories, self.locks, self.hooks, self.pipeline)
        self._controller = controller

    async def run(self, stop: asyncio.Event) -> None:
        """Clean up after a builder that was killed, serve, and leave nothing behind."""
        self._prepare()
        await self.hooks.start()
        listeners = await ssh.listen(self.settings, self._controller, self.sessions.handle)
        host, port = self.settings.http_listen
        web = await health.start(host, port, {"/healthz": lambda: (200, "OK\n"), "/metrics": self.metrics})
        background = [asyncio.create_task(self._keep_pool()), asyncio.create_task(self.stack.run())]
        log.info("listening for git on %s", ", ".join(f"{host}:{port}" for host, port in self.settings.ssh_listen))
        try:
            await stop.wait()
        finally:
            for listener in listeners:
                listener.close()
            web.close()
            if self.sessions.active:
                await asyncio.wait(self.sessions.active, timeout=DRAIN)
            ending = [*background, *self.sessions.active]
            for task in ending:
                task.cancel()
            await asyncio.wait(ending, timeout=STOP)
            await self.hooks.stop()
            await self.pool.close()

    def _prepare(self) -> None:
        """Folders as they must be; what a killed builder left is gone."""
        shutil.rmtree(self.settings.data / "work", ignore_errors=True)
        for name in ("repos", "cache", "work", "run"):
            (self.settings.data / name).mkdir(exist_ok=True, mode=0o700)
        (self.settings.data / "buildpacks").mkdir(exist_ok=True, mode=0o755)
        host_config.write(self._host, self.settings.data / "host")
        repository.write_hooks(self.settings.data / "hooks")
        if removed := self.repositories.sweep():
            log.info("removed %d leftovers of interrupted pushes", removed)

    async def _keep_pool(self) -> None:
        """Containers of a killed builder go, then new ones wait for pushes."""
        while True:
            try:
                await self.pool.clean()
                break
            except Exception as exc:
                log.warning("the engine isn't there yet: %s", exc)
                await asyncio.sleep(RETRY)
        await self.pool.run()

    def metrics(self) -> tuple[int, str]:
        outcomes = {f'{{outcome="{name}"}}': count for name, count in self.pipeline.outcomes.items()}
        phases = {f'{{phase="{name}"}}': seconds for name, seconds in self.pipeline.phase_seconds.items()}
        return 200, health.render_metrics(
            {
                "builder_pushes_total": ("Pushes by outcome.", outcomes),
                "builder_push_seconds_total": ("Seconds that pushes spent in each phase.", phases),
                "builder_pushes_active": ("Pushes under way.", {"": len(self.locks.held())}),
                "builder_stack_ready": ("Whether the registry holds the stack image.", {"": int(self.stack.ready)}),
            }
        )
