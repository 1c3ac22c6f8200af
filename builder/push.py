"""A push from its refs to the live release: the runbook of this program."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from builder import app_json, snapshot
from builder.controller_api import Controller, Release, Run
from builder.detect import Way, choose_way
from builder.disk import keep_reserve
from builder.errors import BuilderError, NothingToBuild, PushRefused
from builder.progress import Progress, render_phases
from builder.refs import ZERO, parse_update, plan_push, short
from builder.repository import Repositories
from builder.runs import LiveRun, Runs
from builder.runtime import BuildRuntime, Job, Result
from builder.settings import Settings
from builder.slots import BuildSlots
from builder.sources import CommitSource, Source
from builder.submodules import Submodules
from builder.watching import watched

log = logging.getLogger("builder.push")
WAITING = 10.0  # seconds between signs of life while the controller deploys


@dataclass(frozen=True)
class Push:
    """Who brings source, how, and from where."""

    app: str
    user: str
    source: str = "git-ssh"  # as the controller names the ways in
    origin: str = ""  # the client's address


class Pipeline:
    def __init__(
        self,
        settings: Settings,
        repositories: Repositories,
        runtime: BuildRuntime,
        controller: Controller,
        runs: Runs,
        submodules: Submodules,
    ) -> None:
        self._settings, self._repositories, self._controller = settings, repositories, controller
        self._runtime, self._runs, self._submodules = runtime, runs, submodules
        self._slots = BuildSlots(settings.concurrency)
        self.outcomes = {"deployed": 0, "refused": 0, "failed": 0}
        self.phase_seconds: dict[str, float] = {}  # summed over all pushes; bench/push.py reads the difference

    @property
    def limits(self) -> snapshot.Limits:
        return snapshot.Limits(self._settings.limits.source_bytes, self._settings.limits.source_files)

    def commit_source(self, app: str, commit: str, git: Mapping[str, str]) -> CommitSource:
        return CommitSource(self._repositories, app, commit, self.limits, git)

    async def run(self, push: Push, lines: list[str], git: Mapping[str, str], progress: Progress) -> bool:
        """Whether the push's refs may move. Everything the pusher must know is told through `progress`."""
        try:
            plan = plan_push([parse_update(line) for line in lines])
            for note in plan.notes:
                progress.detail(note)
            if plan.build is None:
                return True
            source = self.commit_source(push.app, plan.build.new, git)
            live = await self.deploy(push, source, progress, ref=short(plan.build.ref), old=plan.build.old)
        except BuilderError as exc:
            progress.error(str(exc))
            self.outcomes["refused" if isinstance(exc, PushRefused) else "failed"] += 1
            log.info("push of %s by %s refused: %s", push.app, push.user, exc)
            return False
        return live.state in ("succeeded", "skipped")

    async def deploy(
        self, push: Push, source: Source, progress: Progress, ref: str = "", old: str = "", run: Run | None = None
    ) -> LiveRun:
        """Build `source` and bring it live, unless nothing of it changed since the commit `old`.

        Raises: ControllerError when the build can't be recorded.
        """
        told = {"source": push.source, "origin": push.origin, "ref": ref, "sha": source.commit}
        run = run or await self._controller.begin_run(push.app, push.user, **told)
        return await self.carry_out(run, push, progress, lambda live: self.work(push, source, live, progress, old))

    async def carry_out(
        self, run: Run, push: Push, progress: Progress, work: Callable[[LiveRun], Awaitable[None]]
    ) -> LiveRun:
        """`Runs.carry_out`, counted."""
        live = await self._runs.carry_out(run, push.user, progress, work, push.source)
        self.outcomes["deployed" if live.state in ("succeeded", "skipped") else "failed"] += 1
        for name, seconds in progress.phases.items():
            self.phase_seconds[name] = self.phase_seconds.get(name, 0.0) + seconds
        return live

    async def work(self, push: Push, source: Source, live: LiveRun, progress: Progress, old: str = "") -> None:
        """From source to a live release. Raises: BuilderError."""
        live.commit = source.commit
        await self._refuse_unchanged(source, live.run, old)
        progress.detail("Starting build... but first, coffee!")
        config = asyncio.create_task(self._controller.config(push.app, push.user))
        try:
            async with self._slots.place(progress), watched(keep_reserve([self._settings.data])):
                result = await self._build(push, source, live.run, config, progress)
        finally:
            config.cancel()
        progress.detail("Build complete.")
        live.releasing = True
        release = await self._release(push, source.commit, live.run, result, progress)
        url = release.url or self._settings.app_url_template.replace("{app}", push.app)
        progress.detail(f"Done, {push.app}:v{release.version} deployed to {url or 'Workflow'}")
        progress.blank()
        progress.detail("Use 'paas open' to view this application in your browser")
        log.info("pushed %s:v%d: %s", push.app, release.version, render_phases(progress.phases, progress.total()))

    async def _refuse_unchanged(self, source: Source, run: Run, old: str) -> None:
        """Raises: NothingToBuild when the app is a part of its repository, and that part is as it was."""
        paths = run.paths or ((run.root,) if run.root else ())
        if not paths or not old or ZERO.fullmatch(old) or not isinstance(source, CommitSource):
            return
        if not await source.changed_since(old, paths):
            raise NothingToBuild(
                f"Nothing in {', '.join(paths)} changed since {old[:8]}: no build. To build all the same: paas deploy"
            )

    async def _build(
        self, push: Push, source: Source, run: Run, config_task: asyncio.Task[dict[str, str]], progress: Progress
    ) -> Result:
        with progress.phase("container"):
            preparing = self._runtime.place()
            place = await preparing.__aenter__()
        try:
            app = place.space.app
            with progress.phase("unpack"):
                tree = await source.unpack(app, run.root, run.submodules)
            with progress.phase("config"):
                config = await config_task
            if run.submodules and isinstance(source, CommitSource):
                key = config.get("SSH_KEY", "")
                with progress.phase("unpack"):
                    await self._submodules.add(run, source.commit, source.git, key, app, self.limits, progress)
            progress.hide({**self._runtime.credentials, **config})
            document = app_json.load(app)
            way, image = self._way({entry.name for entry in app.iterdir()}, config)
            job = Job(push.app, source.commit, secrets.token_hex(8), tree.time, way, config, image)
            return replace(await self._runtime.build(place, job, progress), app_json=document)
        finally:
            await preparing.__aexit__(None, None, None)

    def _way(self, root: set[str], config: Mapping[str, str]) -> tuple[Way, str]:
        """How it is built, and with which builder image; apps without a Dockerfile may have the operator's."""
        way = choose_way(root, config)
        image = config.get("CNB_BUILDER") or (self._settings.cnb_builder if way is Way.BUILDPACK else "")
        return (Way.CNB if image else way), image

    async def _release(self, push: Push, commit: str, run: Run, result: Result, progress: Progress) -> Release:
        """Hand the image to the controller and tell how it goes."""
        image = f"{self._settings.registry.host}/{push.app}@{result.digest}"
        build = {
            "run": run.uuid,
            "sha": commit[:8],
            "receive_user": push.user,
            "receive_repo": push.app,
            "image": image,
            "procfile": result.processes,
            "dockerfile": "" if result.way is Way.BUILDPACK else "true",
            "ports": list(result.ports),
            "stack": result.stack,
        }
        if result.app_json is not None:
            build["app_json"] = result.app_json
        progress.step("Launching...")
        fetching = asyncio.create_task(self._runtime.expect(image))
        alive = asyncio.create_task(show_life(progress))
        try:
            with progress.phase("deploy"):
                return await self._controller.release(build, lambda item: tell(progress, item))
        finally:
            alive.cancel()
            fetching.cancel()


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
