"""Builds as Jobs of a Kubernetes cluster: a pod for each, with nothing of the platform within its reach.

The tree goes in and the result comes out over exec (`handover.py`), so a pod needs no way to the builder and holds
no credential of the registry: layers and manifest are made here, exactly as after a build on an engine. Only
BuildKit, which makes images itself, gets a token of the registry (`dockerfile.py`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from builder import built, shortcut, slugignore, workspace
from builder.built import Built
from builder.detect import Way, named_buildpacks, needed_languages
from builder.errors import BuilderError, BuildFailed, ClusterError
from builder.host_config import HostConfig
from builder.image import Assembler, Base, git_tag
from builder.jobs import handover
from builder.jobs.dockerfile import BuildkitBuilds
from builder.jobs.lifecycle import LifecycleBuilds
from builder.jobs.pod import Phase, Pod, explain, limited
from builder.jobs.pods import Pods, config_files, name_of
from builder.jobs.spec import Task
from builder.layers import LayerMemory
from builder.pool import BUILDPACKS, environment_line
from builder.progress import Progress
from builder.registry_api import RegistryClient
from builder.runtime import Job, Result
from builder.settings import Cluster, Settings
from builder.shortcut import Outcome, Said, Shortcuts
from builder.stack.toolchains import Images, name_images
from builder.workspace import Workspace

log = logging.getLogger("builder.jobs")
RETRY = 5.0  # seconds
ENDING = 5.0  # seconds in which a pod that was told to end tells how it did


@dataclass(frozen=True)
class Room:
    """A folder for a build; its pod is made when it is known what is built."""

    space: Workspace


class JobBuilds:
    def __init__(self, registry: RegistryClient, host: HostConfig, cluster: Cluster, settings: Settings) -> None:
        self._registry, self._host, self._cluster, self._settings = registry, host, cluster, settings
        self._assembler = Assembler(registry, LayerMemory(settings.data / "layers"))
        self._pods = Pods(registry, host, cluster, settings)
        self._dockerfiles = BuildkitBuilds(self._pods, registry, host, cluster, settings)
        self._lifecycle = LifecycleBuilds(self._pods, registry, host, settings)
        self._shortcuts = Shortcuts(BUILDPACKS)
        self._ready = False

    @property
    def credentials(self) -> Mapping[str, str]:
        return self._host.credentials()

    @property
    def _caches(self) -> Path:
        return self._settings.data / "cache"

    @property
    def ready(self) -> bool:
        return self._ready

    async def run(self) -> None:
        told = ""
        while not self._ready:
            try:
                await self._pods.prepare()
                await self._pods.clean()
                await self._require(self._settings.stack_image)
                self._ready = True
            except BuilderError as exc:
                if str(exc) != told:
                    log.warning("no builds yet: %s", told := str(exc))
                await asyncio.sleep(RETRY)

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Room]:
        space = workspace.create(self._settings.data / "work")
        try:
            yield Room(space)
        finally:
            self._pods.keep(asyncio.create_task(workspace.remove(space)))

    async def build(self, place: Room, job: Job, progress: Progress) -> Result:
        try:
            if job.way is Way.CNB:
                return await self._lifecycle.build(place.space, job, progress)
            if job.way is Way.DOCKERFILE:
                return await self._dockerfiles.build(place.space, job, progress)
            return await self._buildpack(place.space, job, progress)
        except ClusterError as exc:
            raise BuildFailed(f"The build was lost: {exc} Push again.") from exc

    async def _buildpack(self, space: Workspace, job: Job, progress: Progress) -> Result:
        await asyncio.to_thread(slugignore.prune, space.app)
        images = self._images(space, job)
        await self._require(images.run)
        base = await self._assembler.base(*images.run.rsplit(":", 1))
        with progress.phase("build"):
            made = await self._repeated(space, job, base, progress) or await self._built(
                space, job, images, base, progress
            )
        labels = {"paas.io/app": job.app, "paas.io/commit": job.commit, "paas.io/stack": images.run}
        cache = self._caches / job.app
        digest = await self._assembler.assemble(job.app, git_tag(job.commit), made, cache, base, labels, progress)
        return Result(digest, made.processes, (), Way.BUILDPACK, stack=images.run)

    async def _repeated(self, space: Workspace, job: Job, base: Base, progress: Progress) -> Built | None:
        """What a pod would make of the tree, where the app's last build says so."""
        if not self._shortcuts.knows(job.app):
            return None
        return await shortcut.repeat(self._shortcuts, self._caches / job.app, space, job, base.id, progress)

    async def _built(self, space: Workspace, job: Job, images: Images, base: Base, progress: Progress) -> Built:
        """Raises: BuildFailed with the cause in one line."""
        before, said = None, Said()
        if images.run == self._settings.stack_image and not shortcut.is_custom(space.app, job.config):
            before = await asyncio.to_thread(self._shortcuts.look, space.app)
        if code := await self._run(space, job, images.build, said, progress):
            raise built.failure(space, code)
        inputs, name, release = (built.read(space.out, told) for told in ("inputs", "name", "release"))
        outcome, facts = Outcome(name.strip() or "app", release, said), shortcut.facts(job, base.id)
        await asyncio.to_thread(self._shortcuts.learn, job.app, space.app, before, inputs, facts, outcome)
        return built.discover(space, job.time, outcome.name, release, progress)

    def _images(self, space: Workspace, job: Job) -> Images:
        """What the tree is to run on, as the registry has it, and to be built in, as nodes name it."""
        stack, own = self._settings.stack_image, self._settings.build_image
        named = named_buildpacks(job.config, built.read(space.app, ".buildpacks"))
        languages = needed_languages({entry.name for entry in space.app.iterdir()}, named)
        images = name_images(stack, own, languages)
        plain = self._cluster.image or f"{self._settings.registry.host}/{own}"
        return Images(images.run, plain + images.build.removeprefix(own))

    async def _run(self, space: Workspace, job: Job, image: str, said: Said, progress: Progress) -> int:
        """Build in a pod; its exit code, with what it left in `space` and the app's cache back in its place."""

        def tell(line: bytes) -> None:
            said.keep(line)
            progress.raw(line)

        caches, limits = self._caches, self._settings.limits
        workspace.take_cache(space, caches, job.app, bool(job.config.get("DEIS_DISABLE_CACHE")))
        task = Task(name_of(job.app), image, ["/bin/bash", "/buildpacks/run"], self._host.env, secrets.token_hex(16))
        line = environment_line({"source_version": job.commit, "request_id": job.request_id})
        folders = {"app": space.app, "workspace/cache": space.cache}
        finished, whole = False, True
        try:
            async with self._pods.started(task, {"config": config_files(job.config)}, progress) as pod:
                async with limited(limits.timeout):
                    await handover.send(self._pods.api, pod, {**folders, "buildpacks": BUILDPACKS}, {}, line)
                    code = await pod.output(task.mark, tell, progress)
                    if code is None:
                        raise explain(pod.sight, limits)
                    whole = False
                    back = {**folders, "workspace/out": space.out}
                    await handover.take_back(self._pods.api, pod, back, limits.disk_bytes)
                    finished = whole = True
                    if code:
                        await self._look_at_end(pod)
                    return code
        finally:
            if whole:
                workspace.give_back_cache(space, caches, job.app, finished)

    async def _look_at_end(self, pod: Pod) -> None:
        """Raises: BuildFailed when the node says that a failed build ran out of memory."""
        await handover.release(self._pods.api, pod)
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING):
                sight = await pod.until(lambda now: now.phase is Phase.ENDED)
                if sight.reason == "OOMKilled":
                    raise explain(sight, self._settings.limits)

    async def _require(self, image: str) -> None:
        """Raises: BuildFailed when the registry doesn't have `image`."""
        if await self._registry.manifest(*image.rsplit(":", 1)) is None:
            _, _, languages = image.removeprefix(self._settings.stack_image).partition("-")
            more = f" --languages {languages.replace('-', ',')}" if languages else ""
            raise BuildFailed(
                f"The registry has no {image}: the operator sends it from a machine with a Docker Engine, by "
                f"python -m builder stack --send{more}"
            )

    async def expect(self, image: str) -> None:
        """Which node will run it, nobody knows yet."""

    async def close(self) -> None:
        await self._pods.close()
