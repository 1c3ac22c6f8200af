"""A push from its refs to the live release: the runbook of this program."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import subprocess
import tarfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from builder import app_json, snapshot, workspace
from builder.buildpack import BuildpackBuilds, Job
from builder.controller_api import Controller, Release
from builder.detect import Way, choose_way
from builder.dockerfile import DockerfileBuilds
from builder.engine import Engine
from builder.errors import BuilderError, BuildFailed, EngineError, PushRefused
from builder.image import Assembler, git_tag
from builder.pool import BuildContainer
from builder.progress import Progress, render_phases
from builder.refs import parse_update, plan_push
from builder.repository import Repositories, git_environment
from builder.settings import Settings
from builder.stack_image import StackImage

log = logging.getLogger("builder.push")
UNPACK_TIMEOUT = 300.0  # seconds
WAITING = 10.0  # seconds between signs of life while the controller deploys


@dataclass(frozen=True)
class Push:
    app: str
    user: str


@dataclass(frozen=True)
class Result:
    """What the controller is told of a finished build."""

    digest: str
    processes: dict[str, str]
    ports: tuple[int, ...]
    way: Way
    app_json: dict[str, Any] | None = None
    stack: str = "container"  # the image's base, or that it brings its own


class Pipeline:
    def __init__(
        self,
        settings: Settings,
        repositories: Repositories,
        engine: Engine,
        controller: Controller,
        buildpacks: BuildpackBuilds,
        dockerfiles: DockerfileBuilds,
        assembler: Assembler,
        stack: StackImage,
    ) -> None:
        self._settings, self._repositories, self._engine, self._controller = settings, repositories, engine, controller
        self._buildpacks, self._dockerfiles, self._assembler, self._stack = buildpacks, dockerfiles, assembler, stack
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._waiting = 0
        self.outcomes = {"deployed": 0, "refused": 0, "failed": 0}
        self.phase_seconds: dict[str, float] = {}  # summed over all pushes; bench/push.py reads the difference

    async def run(self, push: Push, lines: list[str], git: Mapping[str, str], progress: Progress) -> bool:
        """Whether the push's refs may move. Everything the pusher must know is told through `progress`."""
        try:
            plan = plan_push([parse_update(line) for line in lines])
            for note in plan.notes:
                progress.detail(note)
            if plan.build:
                await self._deploy(push, plan.build.new, git, progress)
        except BuilderError as exc:
            progress.error(str(exc))
            self.outcomes["refused" if isinstance(exc, PushRefused) else "failed"] += 1
            log.info("push of %s by %s refused: %s", push.app, push.user, exc)
            return False
        except Exception:
            log.exception("push of %s by %s broke", push.app, push.user)
            progress.error("The builder failed in a way nobody foresaw; the operator finds the reason in its log.")
            self.outcomes["failed"] += 1
            return False
        finally:
            for name, seconds in progress.phases.items():
                self.phase_seconds[name] = self.phase_seconds.get(name, 0.0) + seconds
        return True

    async def _deploy(self, push: Push, commit: str, git: Mapping[str, str], progress: Progress) -> None:
        progress.detail("Starting build... but first, coffee!")
        config = asyncio.create_task(self._controller.config(push.app, push.user))
        try:
            with progress.phase("queue"):
                await self._queue(progress)
        except BaseException:
            config.cancel()
            raise
        try:
            result = await self._build(push, commit, git, config, progress)
        finally:
            self._slots.release()
            config.cancel()
        progress.detail("Build complete.")
        release = await self._release(push, commit, result, progress)
        self.outcomes["deployed"] += 1
        url = release.url or self._settings.app_url_template.replace("{app}", push.app)
        progress.detail(f"Done, {push.app}:v{release.version} deployed to {url or 'Workflow'}")
        progress.blank()
        progress.detail("Use 'paas open' to view this application in your browser")
        log.info("pushed %s:v%d: %s", push.app, release.version, render_phases(progress.phases, progress.total()))

    async def _queue(self, progress: Progress) -> None:
        """A place to build in; the pusher hears how many are before it."""
        if self._slots.locked():
            self._waiting += 1
            progress.step(f"Waiting for {self._waiting} build{'s'[: self._waiting > 1]} ahead of this one")
            try:
                await self._slots.acquire()
            finally:
                self._waiting -= 1
        else:
            await self._slots.acquire()

    async def _build(
        self,
        push: Push,
        commit: str,
        git: Mapping[str, str],
        config_task: asyncio.Task[dict[str, str]],
        progress: Progress,
    ) -> Result:
        with progress.phase("container"):
            preparing = self._buildpacks.prepared()
            container = await preparing.__aenter__()
        try:
            with progress.phase("unpack"):
                tree = await self._unpack(push.app, commit, git, container.space.app)
            with progress.phase("config"):
                config = await config_task
            progress.hide({**self._buildpacks.credentials, **config})
            root = {entry.name for entry in container.space.app.iterdir()}
            document = app_json.load(container.space.app)
            way = choose_way(root, config)
            if way is Way.DOCKERFILE:
                built = await self._dockerfiles.build(push.app, git_tag(commit), container.space.app, config, progress)
                return Result(built.digest, built.processes, built.ports, way, document)
            job = Job(push.app, commit, secrets.token_hex(8), tree.time, config)
            return replace(await self._buildpack(job, container, progress), app_json=document)
        finally:
            await preparing.__aexit__(None, None, None)

    async def _buildpack(self, job: Job, container: BuildContainer, progress: Progress) -> Result:
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

    async def _unpack(self, app: str, commit: str, git: Mapping[str, str], target: Path) -> snapshot.Snapshot:
        """The commit's tree in `target`. Raises: PushRefused for a tree that can't be taken."""
        limits = snapshot.Limits(self._settings.limits.source_bytes, self._settings.limits.source_files)
        command, environment = self._repositories.archive_command(app, commit), git_environment(git)
        return await asyncio.to_thread(unpack_archive, command, environment, target, limits)

    async def _release(self, push: Push, commit: str, result: Result, progress: Progress) -> Release:
        """Hand the image to the controller and tell how it goes."""
        image = f"{self._settings.registry.host}/{push.app}@{result.digest}"
        build = {
            "sha": commit[:8],
            "receive_user": push.user,
            "receive_repo": push.app,
            "image": image,
            "procfile": result.processes,
            "dockerfile": "true" if result.way is Way.DOCKERFILE else "",
            "ports": list(result.ports),
            "stack": result.stack,
        }
        if result.app_json is not None:
            build["app_json"] = result.app_json
        progress.step("Launching...")
        fetching = asyncio.create_task(self._fetch(image))
        alive = asyncio.create_task(show_life(progress))
        try:
            with progress.phase("deploy"):
                return await self._controller.release(build, lambda item: tell(progress, item))
        finally:
            alive.cancel()
            fetching.cancel()

    async def _fetch(self, image: str) -> None:
        """Have this host's engine fetch the image while the controller still thinks; only a head start."""
        registry = self._settings.registry
        auth = {"username": registry.username, "password": registry.password, "serveraddress": registry.host}
        with suppress(EngineError):
            await self._engine.pull(image, auth)


def unpack_archive(
    command: list[str], environment: Mapping[str, str], target: Path, limits: snapshot.Limits
) -> snapshot.Snapshot:
    """Unpack what `command` writes. Blocking. Raises: PushRefused, BuildFailed."""
    with subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        timer = threading.Timer(UNPACK_TIMEOUT, process.kill)
        timer.start()
        assert process.stdout is not None and process.stderr is not None
        try:
            done = snapshot.unpack(process.stdout, target, limits, workspace.APP_UID)
            process.stdout.read()
        except tarfile.TarError as exc:
            told = process.stderr.read().decode(errors="replace").strip().splitlines()[-1:]
            raise BuildFailed(f"The commit's files could not be read: {' '.join(told) or exc}") from exc
        finally:
            timer.cancel()
            process.kill()
    return done


def tell(progress: Progress, item: dict[str, Any]) -> None:
    """A progress object of the controller as lines."""
    if text := item.get("step"):
        progress.step(str(text))
    elif text := item.get("message"):
        progress.detail(str(text))
    else:
        log.debug("progress not understood: %s", json.dumps(item)[:200])


async def show_life(progress: Progress) -> None:
    while True:
        await asyncio.sleep(WAITING)
        progress.detail("...")
