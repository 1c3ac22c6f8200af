"""`/runs/APP/NUMBER/…`, for the controller alone: what a build said, for its dashboard, and stopping one.

The router passes nothing on to `/runs/`; the controller has asked whose right it is.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from aiohttp import web

from builder.errors import PushRefused
from builder.git_service import GitService
from builder.refs import parse_repository
from builder.runs import Runs
from builder.web.callers import is_controller


class ControllerQuestions:
    def __init__(self, runs: Runs, git: GitService, key: str) -> None:
        self._runs, self._git, self._key = runs, git, key

    async def output(self, request: web.Request) -> web.Response:
        """The kept output as text, with `?tail=N` its last N bytes from a line's beginning on."""
        app, number = await self._named(request)
        path = self._runs.logs.path(app, number)
        if not self._runs.logs.is_kept(path):
            raise web.HTTPNotFound(text=f"No output is kept of build {number} of {app}.\n")
        tail = request.query.get("tail", "")
        most = int(tail) if tail.isascii() and tail[:12].isdigit() else None
        left_out, body = await asyncio.to_thread(self._read, path, most)
        headers = {"Content-Type": "text/plain; charset=utf-8", "X-Left-Out": str(left_out)}
        return web.Response(body=body, headers=headers)

    async def in_line(self, request: web.Request) -> web.Response:
        """`{"NUMBER": how many builds come before}` of the app's builds that wait for a place."""
        if not is_controller(request, self._key):
            raise web.HTTPForbidden(text="Only the controller may ask.\n")
        return web.json_response(self._runs.in_line(request.match_info["app"]))

    async def cancel(self, request: web.Request) -> web.Response:
        app, number = await self._named(request)
        try:
            stopped = self._runs.cancel(app, number, request.query.get("by", "")[:150] or "somebody")
        except PushRefused as exc:
            raise web.HTTPConflict(text=f"{exc}\n") from exc
        if not stopped:
            raise web.HTTPNotFound(text=f"Build {number} of {app} is not under way.\n")
        return web.json_response({"number": number, "state": "cancelled"})

    async def _named(self, request: web.Request) -> tuple[str, int]:
        if not is_controller(request, self._key):
            raise web.HTTPForbidden(text="Only the controller may ask.\n")
        try:
            app = parse_repository(request.match_info["app"])
        except PushRefused as exc:
            raise web.HTTPNotFound(text=f"{exc}\n") from exc
        await asyncio.to_thread(self._git.repositories.drop_if_other, app, request.query.get("app_uuid", ""))
        return app, int(request.match_info["number"])

    def _read(self, path: Path, most: int | None) -> tuple[int, bytes]:
        """(bytes left out, the bytes after them)."""
        with self._runs.logs.read(path) as file:
            size = file.seek(0, os.SEEK_END)
            if most is None or size <= most:
                file.seek(0)
                return 0, file.read()
            file.seek(size - most)
            begun = len(file.readline())
            return size - most + begun, file.read()
