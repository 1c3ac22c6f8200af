"""Fetching from a git host: with the app's deploy key, from where it may, bounded in time and size.

Host keys of well-known hosts are in `known_hosts`; another host's key is pinned when the connection first meets it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from builder.controller_api import GitSource
from builder.disk import disk_usage
from builder.egress import Network, proxy_of, refuse_literal, resolve
from builder.errors import BuildFailed
from builder.processes import end
from builder.progress import human
from builder.repository import git_environment
from builder.settings import Settings

log = logging.getLogger("builder.git_host")
KNOWN_HOSTS = Path(__file__).resolve().parent / "known_hosts"
TIMEOUT = 900.0  # seconds for one fetch
CONNECT = 15  # seconds
SIZE_CHECK = 1.0  # seconds between looks at what a fetch has brought
MOST_SAID = 1 << 16  # bytes of git's output that are kept; a host can have it say as much as it likes
SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
PASSED = (
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "GIT_SSL_CAINFO", "CURL_CA_BUNDLE",
)  # fmt: skip
LOCKED = "the host doesn't let us in"
# What git says, in our words; the first that fits. After any failure ssh adds that nothing could be read.
REASONS = (
    (r"host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
     "the host shows another key than before. If that is right, connect again: paas git:connect"),
    (r"connection (?:timed out|refused|reset|closed)|connect to host|no route to host|operation too slow"
     r"|could not resolve host|failed to connect",
     "the host doesn't answer; is its address right, and does it answer this platform?"),
    (r"permission denied|could not read from remote repository|repository not found|authentication failed"
     r"|could not read Username|terminal prompts disabled",
     f"{LOCKED}. Give it the deploy key that `paas git:info` shows, and use the ssh:// address"),
    (r"couldn't find remote ref|not our ref|no such ref", "the repository has no such branch, tag or commit"),
    (r"unable to update url base from redirection|redirect", "the host sends us elsewhere; give the address it names"),
)  # fmt: skip


@dataclass(frozen=True)
class Remote:
    """A repository elsewhere, and what opens it."""

    url: str
    private_key: str = ""
    pins: Path | None = None  # known_hosts of our own making

    @property
    def parts(self) -> SplitResult:
        return urlsplit(self.url)


class GitHost:
    def __init__(self, settings: Settings) -> None:
        self._git, self._host = settings.git, settings.host
        self._allowed: Sequence[Network] = settings.fetch_allow
        self._most = settings.limits.repository_bytes

    def remote_of(self, source: GitSource, repository: Path) -> Remote:
        return Remote(source.url, source.private_key, repository / f"paas-known-hosts-{source.uuid[:8]}")

    async def fetch(self, repository: Path, remote: Remote, ref: str, into: str, depth: int = 0) -> str:
        """Fetch the branch, tag or commit `ref` into our ref `into`; its commit. Raises: BuildFailed."""
        if not self._git:
            raise BuildFailed("The builder's host has no git, which fetching needs. Push instead.")
        wanted = [ref] if SHA.fullmatch(ref) else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
        for position, name in enumerate(wanted, 1):
            try:
                await self._fetch(repository, remote, [f"+{name}:{into}"], depth)
                break
            except BuildFailed as exc:
                if position == len(wanted) or "no such branch" not in str(exc):
                    raise
        return await self.commit_of(repository, f"{into}^{{commit}}")

    async def commit_of(self, repository: Path, name: str) -> str:
        """The commit that `name` stands for, or ""."""
        code, out, _ = await self._run(["rev-parse", "--verify", "--quiet", name], repository, {})
        return out.decode().strip() if code == 0 else ""

    async def is_part_of(self, repository: Path, commit: str, tip: str) -> bool:
        code, _, _ = await self._run(["merge-base", "--is-ancestor", commit, tip], repository, {})
        return code == 0

    async def move(self, repository: Path, ref: str, commit: str) -> None:
        """Let `ref` be `commit`; an empty one removes it."""
        words = ["update-ref", ref, commit] if commit else ["update-ref", "-d", ref]
        code, _, error = await self._run(words, repository, {})
        if code:
            raise BuildFailed(f"The repository could not be updated: {error.decode(errors='replace').strip()}")

    async def _fetch(self, repository: Path, remote: Remote, refspecs: list[str], depth: int) -> None:
        parts = remote.parts
        if parts.scheme not in ("https", "http", "ssh") or not parts.hostname:
            raise BuildFailed(f"{remote.url[:200]} is no https or ssh address of a repository.")
        proxied = bool(proxy_of(parts, self._host))
        if proxied:
            refuse_literal(parts, self._allowed)
        address = "" if proxied else await resolve(parts, self._allowed)
        with tempfile.TemporaryDirectory(prefix="paas-fetch-") as folder:
            environment = self._environment(remote, address, Path(folder))
            words = [*settings_for(parts, address), "fetch", "--no-tags", "--no-recurse-submodules"]
            words += ["--no-write-fetch-head", "--quiet", *([f"--depth={depth}"] if depth else [])]
            code, _, error = await self._run([*words, remote.url, *refspecs], repository, environment)
        if code:
            raise BuildFailed(explain(parts.hostname, error.decode(errors="replace")))

    def _environment(self, remote: Remote, address: str, folder: Path) -> dict[str, str]:
        extra = {"GIT_ALLOW_PROTOCOL": "https:http:ssh", "HOME": str(folder)}
        extra |= {name: self._host[name] for name in PASSED if self._host.get(name)}
        if remote.parts.scheme == "ssh":
            extra |= {"GIT_SSH_COMMAND": ssh_command(remote, address, folder), "GIT_SSH_VARIANT": "ssh"}
        return extra

    async def _run(self, words: list[str], repository: Path, extra: dict[str, str]) -> tuple[int, bytes, bytes]:
        """git in `repository`: (exit code, output, errors). Raises: BuildFailed when it takes too long or too much."""
        child = await asyncio.create_subprocess_exec(
            self._git or "git",
            f"--git-dir={repository}",
            *words,
            env=git_environment(extra),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        watching = asyncio.create_task(self._watch(repository))
        assert child.stdout and child.stderr
        talking = asyncio.gather(head_of(child.stdout), head_of(child.stderr), child.wait())
        try:
            async with asyncio.timeout(TIMEOUT):
                both: set[asyncio.Future[Any]] = {watching, talking}
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    watching.result()
                out, error, code = await talking
                return code, out, error
        except TimeoutError as exc:
            raise BuildFailed(f"The fetch was not done within {TIMEOUT:.0f} s.") from exc
        finally:
            watching.cancel()
            talking.cancel()
            await asyncio.gather(watching, talking, return_exceptions=True)
            if child.returncode is None:
                await end(child)

    async def _watch(self, repository: Path) -> None:
        """Raises: BuildFailed once the repository outgrows its quota."""
        while True:
            await asyncio.sleep(SIZE_CHECK)
            if await asyncio.to_thread(disk_usage, repository, self._most) > self._most:
                raise BuildFailed(f"The repository takes more than {human(self._most)} (BUILD_REPOSITORY_BYTES).")


async def head_of(stream: asyncio.StreamReader) -> bytes:
    """The first `MOST_SAID` bytes of `stream`, which is read to its end."""
    head = b""
    while chunk := await stream.read(MOST_SAID):
        head += chunk[: MOST_SAID - len(head)]
    return head


def settings_for(parts: SplitResult, address: str) -> list[str]:
    """git's settings for one fetch: only to the checked address, nowhere else, and not for ever."""
    options = {
        "credential.helper": "",
        "http.followRedirects": "false",
        "http.lowSpeedLimit": "1000",
        "http.lowSpeedTime": "60",
        "fetch.fsckObjects": "true",
        "fetch.unpackLimit": "100",
        "gc.auto": "0",
        "maintenance.auto": "false",
    }
    if address and parts.scheme != "ssh":
        port = parts.port or (443 if parts.scheme == "https" else 80)
        options["http.curloptResolve"] = f"{parts.hostname}:{port}:{f'[{address}]' if ':' in address else address}"
    return [word for key, value in options.items() for word in ("-c", f"{key}={value}")]


def ssh_command(remote: Remote, address: str, folder: Path) -> str:
    """The ssh to use, with the deploy key and the pinned host keys; git hands it to a shell."""
    words = ["ssh", "-F", "/dev/null"]
    if remote.private_key:
        key = folder / "key"
        key.touch(mode=0o600)
        key.write_text(remote.private_key)
        words += ["-i", str(key)]
    pins = remote.pins or folder / "known_hosts"
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": str(pins),
        "GlobalKnownHostsFile": str(KNOWN_HOSTS),
        "HostKeyAlias": host_alias(remote.parts),
        "HostName": address,
        "ConnectTimeout": str(CONNECT),
        "ServerAliveInterval": "15",
        "PreferredAuthentications": "publickey",
        "ProxyCommand": "none",
        "ForwardAgent": "no",
        "LogLevel": "ERROR",
    }
    words += [word for key, value in options.items() if value for word in ("-o", f"{key}={value}")]
    return shlex.join(words)


def host_alias(parts: SplitResult) -> str:
    """The name a host's key is kept under."""
    return f"[{parts.hostname}]:{parts.port}" if parts.port and parts.port != 22 else parts.hostname or ""


def explain(host: str, error: str) -> str:
    """One sentence of what git said."""
    for pattern, text in REASONS:
        if re.search(pattern, error, re.IGNORECASE):
            return f"Fetching from {host} failed: {text}" + ("" if text.endswith("?") else ".")
    said = [line for line in error.strip().splitlines() if line.strip()]
    last = said[-1].removeprefix("fatal: ").removeprefix("error: ")[:300] if said else "git gave no reason"
    return f"Fetching from {host} failed: {last}."
