"""`POST /builder/hooks/APP`: a git host's delivery, passed to the controller, which knows the secret."""

from __future__ import annotations

import asyncio
import logging

from aiohttp import web

from builder.controller_api import Controller
from builder.errors import ControllerError, PushRefused
from builder.refs import parse_repository
from builder.work_queue import WorkQueue

log = logging.getLogger("builder.web.webhooks")
LARGEST = 2_000_000  # bytes of a delivery; the controller reads no more
SLOWEST = 20.0  # seconds a delivery may take to arrive
PASSED_ON = (
    "Content-Type", "X-GitHub-Event", "X-GitHub-Delivery", "X-Hub-Signature-256", "X-Gitea-Event", "X-Gitea-Delivery",
    "X-Gitea-Signature", "X-Gitlab-Event", "X-Gitlab-Event-UUID", "X-Gitlab-Token", "Idempotency-Key",
)  # fmt: skip


class Webhooks:
    def __init__(self, controller: Controller, queue: WorkQueue) -> None:
        self._controller, self._queue = controller, queue

    async def take(self, request: web.Request) -> web.Response:
        try:
            app = parse_repository(request.match_info["app"])
            headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
            status, answer = await self._controller.deliver(app, headers, await self._body(request))
        except PushRefused as exc:
            raise web.HTTPNotFound(text=f"{exc}\n") from exc
        except ControllerError as exc:
            raise web.HTTPServiceUnavailable(text=f"{exc}\n") from exc
        if answer.pop("queued", False):
            self._queue.wake()
        log.info("webhook of %s: %d %s", app, status, answer.get("detail", ""))
        return web.json_response(answer, status=status)

    @staticmethod
    async def _body(request: web.Request) -> bytes:
        body = bytearray()
        try:
            async with asyncio.timeout(SLOWEST):
                while chunk := await request.content.readany():
                    body += chunk
                    if len(body) > LARGEST:
                        raise web.HTTPRequestEntityTooLarge(
                            LARGEST, len(body), text=f"A delivery may have {LARGEST} bytes.\n"
                        )
        except TimeoutError as exc:
            raise web.HTTPRequestTimeout(text=f"The delivery did not arrive within {SLOWEST:.0f} s.\n") from exc
        return bytes(body)
