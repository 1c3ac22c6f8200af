"""The SSH server that git pushes to: public keys only, four commands, everything else refused in words."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import asyncssh

from builder.controller_api import Controller, Identity
from builder.errors import BuilderError, ControllerError, PushRefused
from builder.locks import AppLocks
from builder.push import Pipeline, Push
from builder.receive import HookServer
from builder.refs import DEPLOYED, parse_repository
from builder.repository import Repositories, git_environment
from builder.settings import Settings

log = logging.getLogger("builder.ssh")
CHUNK = 1 << 16
KEEPALIVE = 15  # seconds; a client that is gone for four of them is dropped
LOGIN_TIMEOUT = 30  # seconds
TIDY_TIMEOUT = 600.0  # seconds for packing a repository
KILL_GRACE = 2.0  # seconds a git process may take to end
SERVICES = {"git-receive-pack": "receive-pack", "git-upload-pack": "upload-pack"}
HELP = "This server takes `git push` and `git clone`, nothing else."


class GitServer(asyncssh.SSHServer):
    """One connection: who it is."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller
        self._known: dict[str, Identity | None] = {}
        self.identity: Identity | None = None
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return False

    async def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether the controller knows the key; the user name doesn't matter."""
        fingerprint = key.get_fingerprint("md5").removeprefix("MD5:")
        if fingerprint not in self._known:
            try:
                self._known[fingerprint] = await self._controller.identify(fingerprint)
            except ControllerError as exc:
                log.warning("key %s could not be looked up: %s", fingerprint, exc)
                if self._connection:
                    self._connection.send_auth_banner(f"{exc}\r\n")
                return False
        self.identity = self._known[fingerprint]
        return self.identity is not None


class Sessions:
    """What a session's command does."""

    def __init__(
        self, controller: Controller, repositories: Repositories, locks: AppLocks, hooks: HookServer, pipeline: Pipeline
    ) -> None:
        self._controller, self._repositories, self._locks = controller, repositories, locks
        self._hooks, self._pipeline = hooks, pipeline
        self.active: set[asyncio.Task[None]] = set()
        self._tidying: set[asyncio.Task[None]] = set()

    async def handle(self, process: asyncssh.SSHServerProcess) -> None:
        """Answer one session; the exit status is always sent."""
        task = asyncio.current_task()
        assert task is not None
        self.active.add(task)
        status = 1
        try:
            work = asyncio.ensure_future(self._answer(process))
            gone = asyncio.ensure_future(process.channel.wait_closed())
            try:
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    status = work.result()
            finally:
                for other in (work, gone):
                    other.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await work
        except (asyncssh.Error, ConnectionError) as exc:
            log.info("session ended early: %r", exc)
        except Exception:
            log.exception("session broke")
        finally:
            self.active.discard(task)
            with suppress(Exception):
                process.exit(status)

    async def _answer(self, process: asyncssh.SSHServerProcess) -> int:
        owner = process.get_extra_info("connection").get_owner()
        identity = owner.identity
        try:
            words = shlex.split(process.command or "")
        except ValueError:
            words = []
        if words == ["ping"]:
            process.stdout.write(b"pong\n")
            return 0
        if len(words) == 3 and words[0] == "git":  # `git receive-pack` spelt with a blank
            words = [f"git-{words[1]}", words[2]]
        if len(words) != 2 or words[0] not in SERVICES or identity is None:
            process.stderr.write(f"{HELP}\n".encode())
            return 1
        try:
            app = await self._permitted(words[1], identity)
            push = Push(app, identity.username)
            return await self._serve(process, SERVICES[words[0]], push, identity)
        except BuilderError as exc:
            process.stdout.write(error_packet(str(exc)))
            log.info("refused %s to %s: %s", words, identity.username, exc)
            return 1

    async def _permitted(self, path: str, identity: Identity) -> str:
        """The app's name. Raises: PushRefused when it isn't there or not this user's."""
        app = parse_repository(path)
        if app not in identity.apps:
            raise PushRefused(f"There is no app {app}. Make it with: paas create {app}")
        if not await self._controller.may_use(app, identity.username):
            user = identity.username
            raise PushRefused(
                f"{user} may not push to {app}. Its owner can allow it: paas perms:create {user} -a {app}"
            )
        return app

    async def _serve(self, process: asyncssh.SSHServerProcess, service: str, push: Push, who: Identity) -> int:
        with ExitStack() as held:
            extra = {}
            if service == "receive-pack":
                held.enter_context(self._locks.hold(push.app, push.user))
                token = held.enter_context(self._hooks.announce(partial(self._pipeline.run, push)))
                extra = {"PAAS_SOCKET": str(self._hooks.path), "PAAS_PUSH": token}
            await asyncio.to_thread(self._repositories.ensure_of, push.app, who.uuids.get(push.app, ""))
            if protocol := process.env.get("GIT_PROTOCOL"):
                extra["GIT_PROTOCOL"] = protocol[:64]
            status = await run_git(
                process, self._repositories.service_command(service, push.app), git_environment(extra)
            )
            if service == "receive-pack":
                for ref in DEPLOYED:
                    self._repositories.point_head(push.app, ref)
                await self._collect(who.apps)
                self._tidy(push.app)
            return status

    def _tidy(self, app: str) -> None:
        """Pack the repository behind the push's back, if it needs it."""
        if command := self._repositories.tidy_command(app):
            task = asyncio.create_task(run_quietly(command))
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    async def _collect(self, apps: frozenset[str]) -> None:
        """Drop the repositories of apps that are gone."""
        for app in await asyncio.to_thread(
            self._repositories.drop_others, apps | self._locks.held().keys(), time.time()
        ):
            log.info("dropped what was kept for %s: the app is gone", app)


def error_packet(text: str) -> bytes:
    """git's own way to say why there is no service: a pkt-line that clients show as `remote error`."""
    payload = f"ERR {text}\n".encode()
    return f"{len(payload) + 4:04x}".encode() + payload


async def run_git(process: asyncssh.SSHServerProcess, command: list[str], environment: dict[str, str]) -> int:
    """Run a git service on a session's streams; its exit code. Cancelled, it ends the child with its children."""
    child = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=4 * CHUNK,
    )
    feeding = asyncio.ensure_future(feed(process.stdin, child.stdin))
    try:
        await asyncio.gather(drain(child.stdout, process.stdout), drain(child.stderr, process.stderr))
        return await child.wait()
    finally:
        feeding.cancel()
        if child.returncode is None:
            await end(child)


async def run_quietly(command: list[str]) -> None:
    """Run housekeeping to its end, a bounded time, at the lowest priority."""
    child = await asyncio.create_subprocess_exec(
        "nice",
        *command,
        env=git_environment({}),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TIDY_TIMEOUT):
            await child.wait()
    except TimeoutError:
        log.warning("stopped after %.0f s: %s", TIDY_TIMEOUT, " ".join(command))
    finally:
        if child.returncode is None:
            await end(child)


async def feed(source: asyncssh.SSHReader, sink: asyncio.StreamWriter) -> None:
    """Pump the client's bytes into the child until either has enough."""
    with suppress(ConnectionError, asyncssh.Error):
        while chunk := await source.read(CHUNK):
            sink.write(chunk)
            await sink.drain()
    sink.close()


async def drain(source: asyncio.StreamReader, sink: asyncssh.SSHWriter) -> None:
    while chunk := await source.read(CHUNK):
        sink.write(chunk)
        await sink.drain()


async def end(child: asyncio.subprocess.Process) -> None:
    """TERM, then KILL, for the child's whole session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(KILL_GRACE):
                await child.wait()
                return


def host_key(path: Path) -> asyncssh.SSHKey:
    """The server's key, made at the first start and kept."""
    if not path.exists():
        fresh = path.with_suffix(".new")
        asyncssh.generate_private_key("ssh-ed25519", comment="builder").write_private_key(str(fresh))
        fresh.chmod(0o600)
        fresh.rename(path)
    return asyncssh.read_private_key(str(path))


async def listen(settings: Settings, controller: Controller, handle: Callable) -> list[asyncssh.SSHAcceptor]:
    """Listen on every address; an IPv6 one that the host doesn't have is left out."""
    key = host_key(settings.data / "host_key")
    acceptors = []
    for host, port in settings.ssh_listen:
        try:
            acceptor = await asyncssh.listen(
                host,
                port,
                server_factory=partial(GitServer, controller),
                server_host_keys=[key],
                process_factory=handle,
                encoding=None,
                allow_scp=False,
                agent_forwarding=False,
                x11_forwarding=False,
                keepalive_interval=KEEPALIVE,
                keepalive_count_max=4,
                login_timeout=LOGIN_TIMEOUT,
                window=1 << 21,
                server_version="paas",
                reuse_address=True,
            )
        except OSError as exc:
            if ":" in host and acceptors:
                log.warning("not listening on [%s]:%d: %s", host, port, exc)
                continue
            raise
        acceptors.append(acceptor)
    return acceptors
