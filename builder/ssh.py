"""The SSH server that git pushes to: public keys only, four commands, everything else refused in words."""

from __future__ import annotations

import asyncio
import logging
import shlex
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import asyncssh

from builder.controller_api import Controller, Identity
from builder.errors import BuilderError, ControllerError, PushRefused
from builder.git_service import RECEIVE, GitService, run_service
from builder.packets import error_packet, refusal
from builder.push import Push
from builder.refs import parse_repository
from builder.settings import Settings

log = logging.getLogger("builder.ssh")
KEEPALIVE = 15  # seconds; a client that is gone for four of them is dropped
LOGIN_TIMEOUT = 30  # seconds
LOGINS = 32  # connections of one address that have yet to log in; more are dropped
IDLE = 60  # seconds a connection may be without a session
WINDOW = 1 << 21  # bytes a client may send before they are read
SERVICES = {"git-receive-pack": "receive-pack", "git-upload-pack": "upload-pack"}
HELP = "This server takes `git push` and `git clone`, nothing else."


class GitServer(asyncssh.SSHServer):
    """One connection: who it is. `waiting` counts, by address, those that have yet to log in."""

    def __init__(self, controller: Controller, waiting: Counter[str]) -> None:
        self._controller, self._waiting, self._address = controller, waiting, ""
        self._sessions = 0
        self._closing: asyncio.TimerHandle | None = None
        self._known: dict[str, Identity | None] = {}
        self.identity: Identity | None = None
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        address = str((conn.get_extra_info("peername") or ("",))[0])
        if self._waiting[address] >= LOGINS:
            log.warning("%s has %d connections that don't log in: one more is dropped", address, LOGINS)
            conn.abort()
            return
        self._address = address
        self._waiting[address] += 1
        acknowledge_at_once(conn)

    def auth_completed(self) -> None:
        self._settle()
        self.session_ended(0)

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle()
        if self._closing:
            self._closing.cancel()

    def _settle(self) -> None:
        """It waits no more."""
        if self._address:
            self._waiting -= Counter([self._address])
            self._address = ""

    def session_began(self) -> None:
        self._sessions += 1
        if self._closing:
            self._closing.cancel()

    def session_ended(self, count: int = 1) -> None:
        """Without any other, the connection is closed soon."""
        self._sessions -= count
        if not self._sessions and self._connection:
            self._closing = asyncio.get_running_loop().call_later(IDLE, self._connection.close)

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


def acknowledge_at_once(connection: asyncssh.SSHServerConnection) -> None:
    """Have the kernel acknowledge what the client sends as it comes, not 40 ms later in the hope of an answer to send.

    OpenSSH's client writes twice in a row, twice before its session begins, and lets the kernel hold the second small
    packet back until the first is acknowledged. The kernel forgets the wish whenever it sends: it is told each time.
    """
    link, received = connection.get_extra_info("socket"), connection.data_received

    def receive(data: bytes, datatype: int | None = None) -> None:
        with suppress(OSError):
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        received(data, datatype)

    connection.data_received = receive  # type: ignore[method-assign]


Handle = Callable[[asyncssh.SSHServerProcess[bytes]], Awaitable[None]]


class Sessions:
    """What a session's command does."""

    def __init__(self, controller: Controller, git: GitService) -> None:
        self._controller, self._git = controller, git
        self.active: set[asyncio.Task[None]] = set()

    async def handle(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        """Answer one session; the exit status is always sent."""
        task = asyncio.current_task()
        assert task is not None
        self.active.add(task)
        status, owner = 1, process.get_extra_info("connection").get_owner()
        owner.session_began()
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
            owner.session_ended()
            with suppress(Exception):
                process.exit(status)

    async def _answer(self, process: asyncssh.SSHServerProcess[bytes]) -> int:
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
            address = str((process.get_extra_info("peername") or ("",))[0])
            push = Push(app, identity.username, origin=address)
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

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes], service: str, push: Push, who: Identity) -> int:
        async def read() -> bytes:
            try:
                return await read_window(process)
            except (asyncssh.Error, ConnectionError):
                return b""

        async def write(data: bytes) -> None:
            process.stdout.write(data)
            await process.stdout.drain()

        async def write_error(data: bytes) -> None:
            process.stderr.write(data)
            await process.stderr.drain()

        protocol = process.env.get("GIT_PROTOCOL") or ""
        async with self._git.serving(service, push, who.uuids.get(push.app, ""), protocol) as exchange:
            try:
                status = await run_service(exchange, read, write, write_error)
            except PushRefused as exc:
                log.info("gave up on a push to %s by %s: %s", push.app, push.user, exc)
                await write(refusal(bytes(exchange.sent), str(exc)))
                return 1
        if service == RECEIVE:
            await self._git.collect(who.apps)
        return status


async def read_window(process: asyncssh.SSHServerProcess[bytes]) -> bytes:
    """What the client has sent, at most a window of it; b"" at the end.

    asyncssh grants a new window at the first byte that is taken out of a full one, whatever waits behind it: taken in
    smaller pieces than windows, what waits here would grow to all that a client can send.
    """
    return await process.stdin.read(WINDOW)


def host_key(path: Path) -> asyncssh.SSHKey:
    """The server's key, made at the first start and kept."""
    if not path.exists():
        fresh = path.with_suffix(".new")
        asyncssh.generate_private_key("ssh-ed25519", comment="builder").write_private_key(str(fresh))
        fresh.chmod(0o600)
        fresh.rename(path)
    return asyncssh.read_private_key(str(path))


async def listen(
    settings: Settings, controller: Controller, handle: Callable[[asyncssh.SSHServerProcess[bytes]], Awaitable[None]]
) -> list[asyncssh.SSHAcceptor]:
    """Listen on every address; an IPv6 one that the host doesn't have is left out."""
    key = host_key(settings.data / "host_key")
    acceptors: list[asyncssh.SSHAcceptor] = []
    waiting = Counter[str]()
    for host, port in settings.ssh_listen:
        try:
            acceptor = await asyncssh.listen(
                host,
                port,
                server_factory=partial(GitServer, controller, waiting),
                server_host_keys=[key],
                process_factory=handle,
                encoding=None,
                allow_scp=False,
                agent_forwarding=False,
                x11_forwarding=False,
                keepalive_interval=KEEPALIVE,
                keepalive_count_max=4,
                login_timeout=LOGIN_TIMEOUT,
                window=WINDOW,
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
