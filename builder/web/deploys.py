"""`POST /builder/apps/APP/deploy`: a folder as a tar file, built like a push. The output streams back.

The query may name where it comes from: `ref` (what the user calls it), `commit`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import secrets
from pathlib import Path

from aiohttp import web

from builder import disk, pace
from builder.causes import worded
from builder.controller_api import Controller
from builder.errors import BuilderError
from builder.locks import AppLocks
from builder.progress import human
from builder.push import Pipeline, Push
from builder.repository import Repositories
from builder.sources import ArchiveSource
from builder.web.callers import Caller, identify
from builder.web.streams import BuildStream

log = logging.getLogger("builder.web.deploys")
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
REF = re.compile(r"[\w./@^~{}-]{1,200}")


class Deploys:
    def __init__(
        self, controller: Controller, pipeline: Pipeline, locks: AppLocks, repositories: Repositories, folder: Path
    ) -> None:
        self._controller, self._pipeline, self._locks = controller, pipeline, locks
        self._repositories, self._folder = repositories, folder

    async def deploy(self, request: web.Request) -> web.StreamResponse:
        caller = await identify(request, self._controller)
        ref, commit = request.query.get("ref", ""), request.query.get("commit", "")
        if (commit and not COMMIT.fullmatch(commit)) or (ref and not REF.fullmatch(ref)):
            raise web.HTTPBadRequest(text="ref or commit in the address can't be read.\n")
        path = self._folder / secrets.token_hex(8)
        try:
            digest = await self._receive(request, path)
            await asyncio.to_thread(self._repositories.ensure_of, caller.app, caller.uuid)
            source = ArchiveSource(path, commit or digest[:40], self._pipeline.limits)
            return await self._build(request, caller, source, ref)
        finally:
            forget(path)  # not in a thread: a client that hangs up cancels what is awaited

    async def _receive(self, request: web.Request, path: Path) -> str:
        """The body in the file `path`; its SHA-256. Raises: HTTPRequestEntityTooLarge, HTTPBadRequest,
        HTTPRequestTimeout, HTTPInsufficientStorage."""
        most = self._pipeline.limits.total_bytes
        if (request.content_length or 0) > most:
            raise too_large(most, request.content_length or 0)
        self._refuse_when_full(request.content_length or 0)
        digest, size, kept = hashlib.sha256(), 0, pace.Pace()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            while chunk := await self._next(request):
                size += len(chunk)
                if not kept.keeps_up(len(chunk)):
                    raise web.HTTPRequestTimeout(text="The archive comes too slowly; the deploy is given up.\n")
                if size > most:
                    raise too_large(most, size)
                self._refuse_when_full(len(chunk))
                digest.update(chunk)
                await asyncio.to_thread(write_all, descriptor, chunk)
        finally:
            os.close(descriptor)
        if not size:
            raise web.HTTPBadRequest(text="There is no archive in the request; its body is a tar file.\n")
        return digest.hexdigest()

    def _refuse_when_full(self, size: int) -> None:
        """Raises: HTTPInsufficientStorage when the disk has no room for `size` bytes more."""
        if (room := disk.room(self._folder)).left < max(size, 1):
            raise web.HTTPInsufficientStorage(
                text=f"{worded(str(disk.DiskFull(room, 'the archive is not received')), 'upload')}\n"
            )

    @staticmethod
    async def _next(request: web.Request) -> bytes:
        """Raises: HTTPBadRequest when the client falls silent."""
        try:
            async with asyncio.timeout(pace.SILENCE):
                return await request.content.readany()
        except TimeoutError as exc:
            raise web.HTTPBadRequest(text=f"Nothing came for {pace.SILENCE:.0f} s; the deploy is given up.\n") from exc

    async def _build(self, request: web.Request, caller: Caller, source: ArchiveSource, ref: str) -> web.StreamResponse:
        push = Push(caller.app, caller.user, "upload", caller.address)
        async with BuildStream(request) as stream:
            try:
                async with self._locks.turn(caller.app, caller.user, stream.progress.step):
                    live = await self._pipeline.deploy(push, source, stream.progress, ref=ref)
            except BuilderError as exc:
                log.info("refused a deploy of %s by %s: %s", caller.app, caller.user, exc)
                stream.progress.error(worded(str(exc), push.source))
                return await stream.end(state="failed")
            return await stream.end(state=live.state, number=live.run.number)


def forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def too_large(most: int, size: int) -> web.HTTPRequestEntityTooLarge:
    return web.HTTPRequestEntityTooLarge(
        most, size, text=f"The archive is larger than {human(most)}; large files belong elsewhere.\n"
    )
