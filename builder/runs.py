"""Builds under way: each recorded at the controller from its beginning to its end, its output kept, and stoppable.

The end is on disk before the controller is told, and told until it has heard: a controller or builder that dies in
between loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from builder.build_log import BuildLogs
from builder.causes import explain, worded
from builder.controller_api import Controller, Run
from builder.disk import DISK_FULL, FULL_ERRORS
from builder.errors import BuilderError, ControllerError, NothingToBuild, PushRefused
from builder.progress import Progress

log = logging.getLogger("builder.runs")
TELL_AGAIN = 10.0  # seconds between tries to tell the controller what it hasn't heard
UNFORESEEN = "The builder failed in a way nobody foresaw; the operator finds the reason in its log."
STOPPED = "The client went away before the build was done."


@dataclass
class LiveRun:
    """A build under way."""

    run: Run
    user: str
    task: asyncio.Task[None] | None = None
    cancelled_by: str = ""
    releasing: bool = False  # from here on it is the controller's
    commit: str = ""
    state: str = field(default="building")
    progress: Progress | None = None
    source: str = "git-ssh"  # the way in, as the controller names it


class Runs:
    def __init__(self, controller: Controller, logs: BuildLogs) -> None:
        self._controller, self.logs = controller, logs
        self.live: dict[tuple[str, int], LiveRun] = {}
        self._began = time.monotonic()
        self._telling: set[asyncio.Task[None]] = set()

    async def carry_out(
        self,
        run: Run,
        user: str,
        progress: Progress,
        work: Callable[[LiveRun], Awaitable[None]],
        source: str = LiveRun.source,
    ) -> LiveRun:
        """Do `work` as the build `run`: whatever becomes of it is told to the pusher, kept and recorded.

        Its state afterwards: succeeded, skipped, failed or cancelled.
        """
        key, live = (run.app, run.number), LiveRun(run, user, progress=progress, source=source)
        kept = self.logs.open(run.app, run.number)
        progress.copy_to(kept.write)
        self.live[key] = live
        end: dict[str, str] = {"state": "cancelled", "cause": STOPPED}
        try:
            live.task = asyncio.ensure_future(work(live))
            end = await self._outcome(live, progress)
        finally:
            if live.task and not live.task.done():
                live.task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await live.task
            live.state = end["state"]
            kept.close()
            path = self.logs.keep_end(run.app, run.number, run.uuid, {**end, "sha": live.commit[:64]})
            del self.live[key]
            self._keep(asyncio.ensure_future(self._tell_end(path, run.uuid, {**end, "sha": live.commit[:64]})))
        return live

    async def _outcome(self, live: LiveRun, progress: Progress) -> dict[str, str]:
        """What became of the work, said to the pusher as well."""
        assert live.task is not None
        try:
            await live.task
        except NothingToBuild as exc:
            progress.step(str(exc))
            return {"state": "skipped", "cause": str(exc)}
        except BuilderError as exc:
            return self._failed(live, exc, progress)
        except asyncio.CancelledError:
            if not live.cancelled_by:
                raise
            progress.error(text := f"The build was cancelled by {live.cancelled_by}.")
            return {"state": "cancelled", "cause": text}
        except OSError as exc:
            if exc.errno not in FULL_ERRORS:
                return self._broken(live, progress)
            log.warning("build %d of %s: %s", live.run.number, live.run.app, exc)
            progress.error(text := worded(DISK_FULL, live.source))
            return {"state": "failed", "cause": text}
        except Exception:
            return self._broken(live, progress)
        return {"state": "succeeded"}

    @staticmethod
    def _broken(live: LiveRun, progress: Progress) -> dict[str, str]:
        """Of an exception that is being handled."""
        log.exception("build %d of %s broke", live.run.number, live.run.app)
        progress.error(UNFORESEEN)
        return {"state": "failed", "cause": UNFORESEEN}

    @staticmethod
    def _failed(live: LiveRun, exc: BuilderError, progress: Progress) -> dict[str, str]:
        lines = [line.decode(errors="replace") for line in progress.last]
        cause = explain(progress.shown(str(exc)), lines)  # others read it, too, in the build's record
        text, hint = worded(cause.text, live.source), worded(cause.hint, live.source)
        progress.error(text)
        if hint:
            progress.detail(f"Next: {hint}")
        log.info("build %d of %s by %s failed: %s", live.run.number, live.run.app, live.user, text)
        return {"state": "failed", "cause": text, "hint": hint}

    def in_line(self, app: str) -> dict[int, int]:
        """Of the builds of `app` that wait for a place to build in, how many come before, by number."""
        waiting = ((number, live.progress) for (name, number), live in self.live.items() if name == app)
        return {number: progress.ahead for number, progress in waiting if progress and progress.ahead}

    def cancel(self, app: str, number: int, by: str) -> bool:
        """Stop a build; False when none of that number is under way. Raises: PushRefused when it is too late."""
        live = self.live.get((app, number))
        if live is None or live.task is None:
            return False
        if live.releasing:
            raise PushRefused(
                f"Build {number} is done and being brought live; to stop that: paas deploys:cancel -a {app}"
            )
        live.cancelled_by = by
        live.task.cancel()
        return True

    async def tell_ends(self) -> bool:
        """Tell the controller of ends it hasn't heard; whether it knows all now."""
        under_way = {(live.run.app, live.run.number) for live in self.live.values()}
        try:
            for path, uuid, end in self.logs.untold_ends():
                if (path.parent.name, int(path.stem)) not in under_way:
                    await self._controller.end_run(uuid, end)
                    self.logs.forget_end(path)
        except ControllerError:
            return False
        return True

    async def begin(self) -> None:
        """What the builder before this one left: its ends are told, what it was building is given up."""
        while True:
            if await self.tell_ends():
                try:
                    await self._controller.abandon_runs(time.monotonic() - self._began)
                    return
                except ControllerError as exc:
                    log.warning("the controller isn't there yet: %s", exc)
            await asyncio.sleep(TELL_AGAIN)

    async def settle(self) -> None:
        """Wait until the ends of finished builds are told, or can't be."""
        while self._telling:
            await asyncio.wait(self._telling)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_end(self, path: Path, uuid: str, end: dict[str, str]) -> None:
        try:
            await self._controller.end_run(uuid, end)
            self.logs.forget_end(path)
        except ControllerError as exc:
            log.warning("the end of build %s is told later: %s", uuid, exc)
