"""Builds in containers of a Docker Engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, suppress

from builder.buildpack import BuildpackBuilds
from builder.cnb import CnbBuilds
from builder.detect import Way
from builder.dockerfile import DockerfileBuilds
from builder.engine import Engine
from builder.errors import EngineError
from builder.host_config import HostConfig
from builder.image import Assembler, git_tag
from builder.layers import LayerMemory
from builder.pool import BuildContainer, Pool
from builder.progress import Progress
from builder.registry_api import RegistryClient
from builder.runtime import Job, Result
from builder.settings import Settings
from builder.stack.build import Stack
from builder.stack.toolchains import Toolchains
from builder.stack_image import StackImage

log = logging.getLogger("builder.engine")
RETRY = 2.0  # seconds


def stack_to_make(settings: Settings) -> Stack:
    return Stack(settings.stack_image, settings.build_image, settings.data / "stack", settings.instance, settings.host)


class EngineBuilds:
    def __init__(self, engine: Engine, registry: RegistryClient, host: HostConfig, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._assembler = Assembler(registry, LayerMemory(settings.data / "layers"))
        self._stack = StackImage(engine, registry, self._assembler, settings)
        self._pool = Pool(engine, settings, host)
        self._buildpacks = BuildpackBuilds(engine, self._pool, Toolchains(engine, stack_to_make(settings)), settings)
        self._dockerfiles = DockerfileBuilds(engine, registry, host, settings)
        self._cnb = CnbBuilds(engine, registry, self._stack, self._pool, host, settings)

    @property
    def credentials(self) -> Mapping[str, str]:
        return self._buildpacks.credentials

    @property
    def ready(self) -> bool:
        return self._stack.ready

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_pool())
            group.create_task(self._stack.run())

    def place(self) -> AbstractAsyncContextManager[BuildContainer]:
        return self._buildpacks.prepared()

    async def build(self, place: BuildContainer, job: Job, progress: Progress) -> Result:
        tag = git_tag(job.commit)
        if job.way is Way.DOCKERFILE:
            made = await self._dockerfiles.build(job.app, tag, place.space.app, job.config, progress)
            return Result(made.digest, made.processes, made.ports, job.way)
        if job.way is Way.CNB:
            sent = await self._cnb.build(place, job, tag, job.cnb_builder, progress)
            return Result(sent.digest, sent.processes, sent.ports, job.way)
        return await self._buildpack(place, job, progress)

    async def _buildpack(self, container: BuildContainer, job: Job, progress: Progress) -> Result:
        stack = await self._buildpacks.equip(container, job.config, progress)
        base = asyncio.create_task(self._stack.base(stack))
        try:
            with progress.phase("build"):
                built = await self._buildpacks.build(container, job, progress)
            labels = {"paas.io/app": job.app, "paas.io/commit": job.commit, "paas.io/stack": stack}
            cache = self._buildpacks.caches / job.app
            digest = await self._assembler.assemble(
                job.app, git_tag(job.commit), built, cache, await base, labels, progress
            )
        finally:
            base.cancel()
        return Result(digest, built.processes, (), Way.BUILDPACK, stack=stack)

    async def expect(self, image: str) -> None:
        """This host's engine fetches the image while the controller still thinks."""
        registry = self._settings.registry
        auth = {"username": registry.username, "password": registry.password, "serveraddress": registry.host}
        with suppress(EngineError):
            await self._engine.pull(image, auth)

    async def close(self) -> None:
        await self._pool.close()

    async def _keep_pool(self) -> None:
        """Containers of a killed builder go, then new ones wait for pushes."""
        while True:
            try:
                await self._pool.clean()
                break
            except Exception as exc:
                log.warning("the engine isn't there yet: %s", exc)
                await asyncio.sleep(RETRY)
        await self._pool.run()
