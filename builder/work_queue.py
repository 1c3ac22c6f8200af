"""Builds nobody waits for: the controller keeps them, this claims, fetches and builds them, in order for each app."""

from __future__ import annotations

import asyncio
import logging

from builder.controller_api import Controller, Run
from builder.errors import BuilderError, BuildFailed, ControllerError
from builder.git_host import SHA, GitHost
from builder.git_service import GitService
from builder.progress import Progress
from builder.push import Pipeline, Push
from builder.runs import TELL_AGAIN, UNFORESEEN, LiveRun

log = logging.getLogger("builder.queue")
LOOK = 20.0  # seconds between looks when nobody wakes us
MOST = 16  # builds claimed at once; they wait here for their app and a place
FETCHED = "refs/paas/fetched"


class WorkQueue:
    def __init__(self, controller: Controller, pipeline: Pipeline, git: GitService, host: GitHost) -> None:
        self._controller, self._pipeline, self._git, self._host = controller, pipeline, git, host
        self._wanted = asyncio.Event()
        self._looking = False
        self.active: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is claimed, and nobody asked for a look."""
        return not self.active and not self._looking and not self._wanted.is_set()

    def wake(self) -> None:
        self._wanted.set()

    async def run(self) -> None:
        """Claim what waits, for ever."""
        while True:
            self._looking = True
            self._wanted.clear()
            try:
                while len(self.active) < MOST and (run := await self._controller.claim_run()):
                    task = asyncio.create_task(self._carry_out(run))
                    self.active.add(task)
                    task.add_done_callback(self._done)
            except ControllerError as exc:
                log.warning("builds that wait can't be claimed: %s", exc)
            self._looking = False
            try:
                async with asyncio.timeout(LOOK):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def _done(self, task: asyncio.Task[None]) -> None:
        self.active.discard(task)
        self._wanted.set()

    async def _carry_out(self, run: Run) -> None:
        """One claimed build; whatever goes wrong is its record's."""
        try:
            async with self._git.locks.turn(run.app, run.user, lambda text: log.info("%s: %s", run.app, text)):
                if not await self._controller.start_run(run.uuid):
                    return
                push = Push(run.app, run.user, "git-host", run.git.url if run.git else "")
                progress = Progress(lambda data: None)
                await self._pipeline.carry_out(run, push, progress, lambda live: self._build(push, live, progress))
        except BuilderError as exc:
            log.warning("build %d of %s could not begin: %s", run.number, run.app, exc)
            await self._give_up(run, str(exc))
        except Exception:
            log.exception("build %d of %s broke", run.number, run.app)
            await self._give_up(run, UNFORESEEN)

    async def _give_up(self, run: Run, cause: str) -> None:
        """Tell the controller that the build failed, as often as it takes: nobody else would end its record."""
        while True:
            try:
                await self._controller.end_run(run.uuid, {"state": "failed", "cause": cause})
                return
            except ControllerError as exc:
                log.warning("the end of build %d of %s is told again: %s", run.number, run.app, exc)
            await asyncio.sleep(TELL_AGAIN)

    async def _build(self, push: Push, live: LiveRun, progress: Progress) -> None:
        """Fetch what the run wishes, build it, and let the repository's own branch follow. Raises: BuilderError."""
        run = live.run
        if run.git is None:
            raise BuildFailed("The app is connected to no git host any more.")
        repository = await asyncio.to_thread(self._git.repositories.ensure_of, run.app, run.app_uuid)
        ref, sha = run.wish.get("ref") or run.git.branch, run.wish.get("sha", "")
        progress.step(f"Fetching {ref} from {run.git.url}")
        into = f"{FETCHED}/{run.number}"
        try:
            with progress.phase("fetch"):
                tip = await self._host.fetch(repository, self._host.remote_of(run.git, repository), ref, into)
            commit = sha or tip
            if SHA.fullmatch(commit) and commit != tip and not await self._host.is_part_of(repository, commit, tip):
                raise BuildFailed(f"The commit {commit[:8]} is no longer part of {ref}: it was replaced by {tip[:8]}.")
            progress.detail(f"{ref} is at {tip[:8]}" + (f", to build: {commit[:8]}" if commit != tip else ""))
            own = self._git.repositories.head_ref(run.app)
            old = await self._host.commit_of(repository, own) if sha else ""
            await self._pipeline.work(push, self._pipeline.commit_source(run.app, commit, {}), live, progress, old)
            await self._host.move(repository, own, commit)
        finally:
            await self._host.move(repository, into, "")
        self._git.deployed(run.app)
