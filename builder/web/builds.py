"""`/builder/apps/APP/builds/N/…`: the output of a build, as it comes or kept, and stopping one."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web

from builder.controller_api import Controller
from builder.errors import PushRefused
from builder.git_service import GitService
from builder.runs import Runs
from builder.web.callers import Caller, identify
from builder.work_queue import WorkQueue

LOOK = 0.2  # seconds between looks for more of a build's output
CHUNK = 1 << 16
BEGINS_WITHIN = 3600.0  # seconds a follower waits for a queued build
ALIVE = 15.0  # seconds of silence before an empty line keeps the connection


class Builds:
    def __init__(self, controller: Controller, runs: Runs, queue: WorkQueue, git: GitService) -> None:
        self._controller, self._runs, self._queue, self._git = controller, runs, queue, git

    async def output(self, request: web.Request) -> web.StreamResponse:
        """The whole output as text; with `?follow=true` until the build ends, one that is queued included."""
        caller, number = await self._named(request)
        follow = request.query.get("follow") == "true"
        path = self._runs.logs.path(caller.app, number)
        if not follow and not self._runs.logs.is_kept(path):
            raise web.HTTPNotFound(text=f"No output is kept of build {number} of {caller.app}.\n")
        response = web.StreamResponse(
            headers={"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        if follow:
            self._queue.wake()
            await self._wait_for(path, response)
        await self._send(path, (caller.app, number), response, follow)
        await response.write_eof()
        return response

    async def cancel(self, request: web.Request) -> web.Response:
        caller, number = await self._named(request)
        try:
            stopped = self._runs.cancel(caller.app, number, caller.user)
        except PushRefused as exc:
            raise web.HTTPConflict(text=f"{exc}\n") from exc
        if not stopped:
            raise web.HTTPNotFound(text=f"Build {number} of {caller.app} is not under way.\n")
        return web.json_response({"number": number, "state": "cancelled"})

    async def reset(self, request: web.Request) -> web.Response:
        """Drop the app's repository; the next push brings it anew."""
        caller = await identify(request, self._controller)
        try:
            with self._git.locks.hold(caller.app, caller.user):
                await asyncio.to_thread(self._git.repositories.reset, caller.app)
        except PushRefused as exc:
            raise web.HTTPConflict(text=f"{exc}\n") from exc
        return web.json_response({"app": caller.app})

    async def _named(self, request: web.Request) -> tuple[Caller, int]:
        caller = await identify(request, self._controller)
        await asyncio.to_thread(self._git.repositories.drop_if_other, caller.app, caller.uuid)
        return caller, int(request.match_info["number"])

    async def _wait_for(self, path: Path, response: web.StreamResponse) -> None:
        """Returns when the build's output begins; a queued build may take its time."""
        waited = silent = 0.0
        while not self._runs.logs.is_kept(path) and waited < BEGINS_WITHIN and not self._queue.is_idle:
            await asyncio.sleep(LOOK)
            waited, silent = waited + LOOK, silent + LOOK
            if silent >= ALIVE:
                await response.write(b"\n")
                silent = 0.0

    async def _send(self, path: Path, key: tuple[str, int], response: web.StreamResponse, follow: bool) -> None:
        if not self._runs.logs.is_kept(path):
            return
        silent = 0.0
        with self._runs.logs.read(path) as file:
            while True:
                live = key in self._runs.live
                while chunk := file.read(CHUNK):
                    silent = 0.0
                    await response.write(chunk)
                if not follow or not live:
                    return
                await asyncio.sleep(LOOK)
                silent += LOOK
                if silent >= ALIVE:
                    await response.write(b"\n")
                    silent = 0.0
