"""git's smart HTTP protocol: `/APP.git/info/refs`, `/APP.git/git-receive-pack`, `/APP.git/git-upload-pack`.

The same services, rules and output as over SSH. Source: git's Documentation/gitprotocol-http.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from aiohttp import web

from builder import pace
from builder.controller_api import Controller
from builder.errors import BuilderError
from builder.git_service import CHUNK, RECEIVE, UPLOAD, Exchange, GitService, run_service
from builder.packets import LARGEST_COMMANDS, error_packet, packet, refusal
from builder.push import Push
from builder.web.callers import Caller, identify

log = logging.getLogger("builder.web.git")
SERVICES = {f"git-{name}": name for name in (RECEIVE, UPLOAD)}
UNCACHED = {"Cache-Control": "no-cache, max-age=0, must-revalidate", "Pragma": "no-cache"}
PROBE = b"0000"  # what git sends to find out whether its login is taken
DRAINED = 64 << 20  # bytes of a refused push that are read, so that the client reads the answer


class GitOverHttp:
    def __init__(self, controller: Controller, git: GitService) -> None:
        self._controller, self._git = controller, git

    async def refs(self, request: web.Request) -> web.StreamResponse:
        """`GET /APP.git/info/refs?service=…`"""
        name = request.query.get("service", "")
        service = SERVICES.get(name)
        if service is None:
            raise web.HTTPForbidden(text="This server speaks git's smart HTTP protocol only.\n")
        caller = await self._caller(request, name)
        if isinstance(caller, web.Response):
            return caller
        answer = Answer(
            request, f"application/x-{name}-advertisement", packet(f"# service={name}\n".encode()) + b"0000"
        )
        try:
            if service == RECEIVE:
                self._git.locks.refuse_if_held(caller.app)
            push = Push(caller.app, caller.user, "git-http", caller.address)
            protocol = request.headers.get("Git-Protocol", "")
            if "version=2" in protocol and service == UPLOAD:
                answer.preface = b""
            exchange = await self._git.advertising(service, push, caller.uuid, protocol)
            await self._run(exchange, request, answer, caller)
        except BuilderError as exc:
            answer.preface = preface(name)
            await answer.write(error_packet(str(exc)))
        return await answer.finish()

    async def call(self, request: web.Request) -> web.StreamResponse:
        """`POST /APP.git/git-receive-pack` and `git-upload-pack`."""
        name = request.match_info["service"]
        if request.content_type != f"application/x-{name}-request":
            raise web.HTTPUnsupportedMediaType(text=f"A {name} request is application/x-{name}-request.\n")
        caller = await self._caller(request, name)
        if isinstance(caller, web.Response):
            return caller
        answer = Answer(request, f"application/x-{name}-result")
        head = await begun(request) if name == "git-receive-pack" else b""
        if head == PROBE and request.content.at_eof():
            return await answer.finish()
        push = Push(caller.app, caller.user, "git-http", caller.address)
        protocol = request.headers.get("Git-Protocol", "")
        try:
            async with self._git.serving(SERVICES[name], push, caller.uuid, protocol, ("--stateless-rpc",)) as exchange:
                await self._run(exchange, request, answer, caller, head)
        except BuilderError as exc:
            log.info("refused %s of %s to %s: %s", name, caller.app, caller.user, exc)
            await self._refuse(request, answer, head, str(exc))
        return await answer.finish()

    async def _caller(self, request: web.Request, service: str) -> Caller | web.Response:
        """Who calls, or a refusal that git shows as a sentence: it keeps a 403's or 404's text to itself."""
        try:
            return await identify(request, self._controller)
        except (web.HTTPForbidden, web.HTTPNotFound) as exc:
            if request.method != "GET":
                raise
            body = preface(service) + error_packet((exc.text or "").strip())
            kind = f"application/x-{service}-advertisement"
            return web.Response(body=body, headers={**UNCACHED, "Content-Type": kind})

    @staticmethod
    async def _run(exchange: Exchange, request: web.Request, answer: Answer, caller: Caller, head: bytes = b"") -> None:
        first = [head] if head else []

        async def read() -> bytes:
            return first.pop() if first else await request.content.read(CHUNK)

        async def complain(data: bytes) -> None:
            log.info(
                "git said of a push to %s by %s: %s", caller.app, caller.user, data.decode(errors="replace").strip()
            )

        await run_service(exchange, read, answer.write, complain)

    @staticmethod
    async def _refuse(request: web.Request, answer: Answer, head: bytes, text: str) -> None:
        """Tell a client that is sending its push that nothing comes of it, the way it reports a hook's refusal."""
        if answer.begun:
            return
        body, size = head, len(head)
        with suppress(TimeoutError):
            async with asyncio.timeout(pace.SILENCE):
                while size < DRAINED and (chunk := await request.content.read(CHUNK)):
                    size += len(chunk)
                    if len(body) < LARGEST_COMMANDS:
                        body += chunk
        await answer.write(refusal(body, text))


async def begun(request: web.Request) -> bytes:
    """The first bytes of the body. Raises: HTTPRequestTimeout when none come."""
    try:
        async with asyncio.timeout(pace.SILENCE):
            return await request.content.readany()
    except TimeoutError as exc:
        raise web.HTTPRequestTimeout(text=f"Nothing came for {pace.SILENCE:.0f} s: the push is given up.\n") from exc


def preface(service: str) -> bytes:
    return packet(f"# service={service}\n".encode()) + b"0000"


class Answer:
    """A response that begins with its first byte: until then it can still become something else."""

    def __init__(self, request: web.Request, kind: str, preface: bytes = b"") -> None:
        self._request, self.preface = request, preface
        self._response = web.StreamResponse(headers={**UNCACHED, "Content-Type": kind})

    @property
    def begun(self) -> bool:
        return self._response.prepared

    async def write(self, data: bytes) -> None:
        if not self.begun:
            await self._response.prepare(self._request)
            data = self.preface + data
        await self._response.write(data)

    async def finish(self) -> web.StreamResponse:
        if not self.begun:
            await self.write(b"")
        await self._response.write_eof()
        return self._response
