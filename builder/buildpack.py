"""A buildpack build: the tree goes into a waiting container, a runnable /app and its process types come out."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from builder import built, snapshot, workspace
from builder.built import Built
from builder.detect import named_buildpacks, needed_languages
from builder.disk import USAGE_LOOK, disk_usage, too_much
from builder.engine import Engine, frames
from builder.errors import BuildFailed, EngineError
from builder.pool import BUILDPACKS, BuildContainer, Pool, environment_line
from builder.progress import Progress, human
from builder.runtime import Job
from builder.settings import Settings
from builder.shortcut import Outcome, Said, Shortcuts, facts, is_custom, repeat
from builder.stack.toolchains import Images, Toolchains

log = logging.getLogger("builder.buildpack")
START_TIMEOUT = 20.0  # seconds for a container to read its job
LINE_MAX = 1 << 16  # a line longer than this is passed on in pieces


class BuildpackBuilds:
    def __init__(self, engine: Engine, pool: Pool, toolchains: Toolchains, settings: Settings) -> None:
        self._engine, self._pool, self._toolchains, self._settings = engine, pool, toolchains, settings
        self._shortcuts = Shortcuts(BUILDPACKS)

    @property
    def caches(self) -> Path:
        return self._settings.data / "cache"

    @property
    def credentials(self) -> dict[str, str]:
        return self._pool.credentials

    @asynccontextmanager
    async def space(self) -> AsyncIterator[workspace.Workspace]:
        """An empty workspace; gone afterwards, whatever happens."""
        space = self._pool.space()
        try:
            yield space
        finally:
            self._pool.vacate(space)

    @asynccontextmanager
    async def container(self, space: workspace.Workspace, progress: Progress) -> AsyncIterator[BuildContainer]:
        """A container with the tree of `space` in a workspace of its own; gone afterwards, whatever happens."""
        with progress.phase("container"):
            container = await self._pool.take()
        try:
            workspace.move_tree(space, container.space)
            yield container
        finally:
            self._pool.retire(container)

    async def images(self, tree: Path, config: Mapping[str, str], progress: Progress) -> Images:
        """The images that `tree` is built in and runs on, with the languages it needs.

        Raises: BuilderError when a language can't be installed.
        """
        named = named_buildpacks(config, built.read(tree, ".buildpacks"))
        languages = needed_languages(set(os.listdir(tree)), named)
        if not languages:
            return Images(self._settings.stack_image, self._settings.build_image)

        def say(line: str) -> None:
            """The steps; what apt says in between goes into the error, should there be one."""
            if line.startswith("----->"):
                progress.raw(f"{line}\n".encode())

        return await self._toolchains.ensure(languages, say)

    def may_repeat(self, app: str) -> bool:
        """Whether the app's last build may say what its next one does."""
        return self._shortcuts.knows(app)

    async def repeat(self, space: workspace.Workspace, job: Job, stack: str, progress: Progress) -> Built | None:
        """What `build` would make of the tree in `space`, without a container; None where that takes one."""
        return await repeat(self._shortcuts, self.caches / job.app, space, job, stack, progress)

    async def build(self, container: BuildContainer, image: str, job: Job, stack: str, progress: Progress) -> Built:
        """Run the buildpack on the tree in `container.space.app`, in a container of `image`.

        `stack`: the id of the image it will run on. Raises: BuildFailed with the cause in one line.
        """
        space, custom, before = container.space, is_custom(container.space.app, job.config), None
        if image != self._settings.build_image:
            await self._pool.exchange(container, image)
        elif not custom:
            before = await asyncio.to_thread(self._shortcuts.look, space.app)
        fresh = bool(job.config.get("DEIS_DISABLE_CACHE"))
        workspace.take_cache(space, self.caches, job.app, fresh)
        snapshot.write_environment(space.env, job.config, workspace.APP_UID)
        if not custom:  # ours survive being killed; others may leave half a file
            container.on_killed = lambda: workspace.give_back_cache(space, self.caches, job.app, finished=False)
        said = Said()
        code = await self._run(container, job, progress, said)
        container.on_killed = None
        workspace.refuse_links(space)
        workspace.give_back_cache(space, self.caches, job.app)
        if code:
            await self._explain(container, code)
        inputs, name, release = (built.read(space.out, told) for told in ("inputs", "name", "release"))
        outcome = Outcome(name.strip() or "app", release, said)
        await asyncio.to_thread(self._shortcuts.learn, job.app, space.app, before, inputs, facts(job, stack), outcome)
        return built.discover(space, job.time, outcome.name, release, progress)

    async def _run(self, container: BuildContainer, job: Job, progress: Progress, said: Said) -> int:
        """Start the build, pass its output on, and wait for its end; its exit code."""
        line = environment_line({"source_version": job.commit, "request_id": job.request_id})
        timeout = self._settings.limits.timeout

        def tell(line: bytes) -> None:
            said.keep(line)
            progress.raw(line)

        try:
            async with asyncio.timeout(timeout):
                await workspace.start_build(container.space, line, START_TIMEOUT)
                full = asyncio.Event()
                watch = asyncio.create_task(self._watch_disk(container, full))
                code = 0
                try:
                    await stream_lines(container, tell, progress)
                    code = await self._exit_code(container)
                except EngineError:
                    if not full.is_set():
                        raise
                finally:
                    watch.cancel()
                if full.is_set():  # how the container's removal looks from here is chance
                    raise BuildFailed(too_much(self._settings.limits.disk_bytes))
                return code
        except TimeoutError as exc:
            raise BuildFailed(f"The build was stopped: not done after {timeout:.0f} s (BUILD_TIMEOUT).") from exc
        except EngineError as exc:
            raise BuildFailed(f"The build was lost: {exc} Push again.") from exc

    async def _exit_code(self, container: BuildContainer) -> int:
        """The build's exit code, once nothing of it runs any more.

        The engine tells of an end only after it has taken the network apart, 0.1 s later. Where this host's kernel
        says that the container's first process is gone, so is every other of its; success needs no second opinion.
        """
        if container.init is not None:
            await readable(container.init)
            if built.read(container.space.out, "code").strip() == "0":
                return 0
        return await self._engine.wait(container.id)

    async def _watch_disk(self, container: BuildContainer, full: asyncio.Event) -> None:
        """Kill the container when its folders, or what it wrote elsewhere, outgrow the cap, and set `full`."""
        limit = self._settings.limits.disk_bytes
        while True:
            await asyncio.sleep(USAGE_LOOK)
            used = await asyncio.to_thread(disk_usage, container.space.root, limit)
            with suppress(EngineError):
                used += await self._engine.written(container.id)
            if used > limit:
                full.set()
                return await self._engine.remove(container.id)

    async def _explain(self, container: BuildContainer, code: int) -> None:
        """Raises: BuildFailed with what the build, or its end, tells."""
        state = (await self._engine.inspect(container.id))["State"]
        if state.get("OOMKilled"):
            raise BuildFailed(
                f"The build was killed: out of memory at {human(self._settings.limits.memory)} (BUILD_MEMORY)."
            )
        raise built.failure(container.space, code)


async def readable(descriptor: int) -> None:
    """Wait until `descriptor` has something to tell."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, told.set)
    try:
        await told.wait()
    finally:
        loop.remove_reader(descriptor)


async def stream_lines(container: BuildContainer, tell: Callable[[bytes], None], progress: Progress) -> None:
    """Pass the container's output on, whole lines at a time, until it ends; no faster than `progress` takes them."""
    pending = b""
    async for _, chunk in frames(container.output):
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            tell(line + b"\n")
        await progress.drained()
        if len(pending) > LINE_MAX:
            tell(pending + b"\n")
            pending = b""
    if pending:
        tell(pending + b"\n")
