"""Builds in containers of a Docker Engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import slugignore
from builder.buildpack import BuildpackBuilds
from builder.built import Built
from builder.cnb import CnbBuilds
from builder.detect import Way
from builder.disk import keep_reserve
from builder.dockerfile import DockerfileBuilds
from builder.engine import Engine
from builder.errors import BuildFailed, EngineError
from builder.host_config import HostConfig
from builder.image import Assembler, Base, git_tag
from builder.layers import LayerMemory
from builder.pool import Pool
from builder.progress import Progress
from builder.registry_api import RegistryClient
from builder.runtime import Job, Result
from builder.settings import Settings
from builder.stack.build import Stack
from builder.stack.toolchains import Images, Toolchains
from builder.stack_image import StackImage
from builder.watching import watched
from builder.workspace import Workspace

log = logging.getLogger("builder.engine")
RETRY = 2.0  # seconds


def stack_to_make(settings: Settings) -> Stack:
    return Stack(settings.stack_image, settings.build_image, settings.data / "stack", settings.instance, settings.host)


@dataclass(frozen=True)
class EnginePlace:
    space: Workspace
    stack: asyncio.Task[Base]  # the plain stack image: nearly every build needs it, and asking takes a while


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

    @asynccontextmanager
    async def place(self) -> AsyncIterator[EnginePlace]:
        async with self._buildpacks.space() as space, ahead(self._stack.base(self._settings.stack_image)) as base:
            yield EnginePlace(space, base)

    async def build(self, place: EnginePlace, job: Job, progress: Progress) -> Result:
        """Stopped when the engine's disk has nothing but its reserve left: DiskFull."""
        async with watched(keep_reserve(await self._folders())):
            return await self._build(place, job, progress)

    async def _folders(self) -> list[Path]:
        """Where the engine writes, if that is here."""
        if not self._settings.engine_is_here:
            return []
        root = await self._engine.root()
        return [root] if root.is_dir() else []

    async def _build(self, place: EnginePlace, job: Job, progress: Progress) -> Result:
        tag = git_tag(job.commit)
        if job.way is Way.DOCKERFILE:
            await self._network()
            made = await self._dockerfiles.build(job.app, tag, place.space.app, job.config, progress)
            return Result(made.digest, made.processes, made.ports, job.way)
        if job.way is Way.CNB:
            async with self._buildpacks.container(place.space, progress) as container:
                sent = await self._cnb.build(container, job, tag, job.cnb_builder, progress)
            return Result(sent.digest, sent.processes, sent.ports, job.way)
        await asyncio.to_thread(slugignore.prune, place.space.app)
        images = await self._buildpacks.images(place.space.app, job.config, progress)
        if images.run == self._settings.stack_image:
            return await self._buildpack(place.space, job, images, place.stack, progress)
        async with ahead(self._stack.base(images.run)) as base:
            return await self._buildpack(place.space, job, images, base, progress)

    async def _buildpack(
        self, space: Workspace, job: Job, images: Images, asked: asyncio.Task[Base], progress: Progress
    ) -> Result:
        """Build with buildpacks; without a container where the last build says what this one does."""
        if self._buildpacks.may_repeat(job.app):
            base = await asked
            with progress.phase("build"):
                built = await self._buildpacks.repeat(space, job, base.id, progress)
            if built:
                return await self._assembled(job, built, base, images.run, progress)
        async with self._buildpacks.container(space, progress) as container:
            base = await asked
            with progress.phase("build"):
                built = await self._buildpacks.build(container, images.build, job, base.id, progress)
            return await self._assembled(job, built, base, images.run, progress)

    async def _assembled(self, job: Job, built: Built, base: Base, stack: str, progress: Progress) -> Result:
        labels = {"paas.io/app": job.app, "paas.io/commit": job.commit, "paas.io/stack": stack}
        cache = self._buildpacks.caches / job.app
        digest = await self._assembler.assemble(job.app, git_tag(job.commit), built, cache, base, labels, progress)
        return Result(digest, built.processes, (), Way.BUILDPACK, stack=stack)

    async def _network(self) -> None:
        """The builds' network, which containers of the pool bring along. Raises: BuildFailed."""
        try:
            await self._pool.ensure_network()
        except EngineError as exc:
            raise BuildFailed(f"No build could be started: {exc}") from exc

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


@asynccontextmanager
async def ahead(work: Coroutine[Any, Any, Base]) -> AsyncIterator[asyncio.Task[Base]]:
    """`work`, begun before its outcome is needed; called off, its failure forgotten, where nobody asks for it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
