"""The git folder the user stands in: its remotes, and the one that names the app."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from cli.errors import CliError, UsageError
from cli.system import program

DEFAULT_REMOTE = "deis"
BUILDER_PORT = 2222
GIT_SECONDS = 20.0


@dataclass(frozen=True)
class Remote:
    name: str
    url: str

    @property
    def host(self) -> str:
        return self._parts.hostname or ""

    @property
    def app(self) -> str:
        return self._parts.path.strip("/").removesuffix(".git")

    @property
    def may_be_a_builders(self) -> bool:
        """Whether this looks like `ssh://git@HOST:PORT/APP.git`; other hosts' paths have a folder in them."""
        return self._parts.scheme == "ssh" and self.app != "" and "/" not in self.app

    @property
    def _parts(self) -> SplitResult:
        try:
            return urlsplit(self.url)
        except ValueError:
            return urlsplit("")


def derived_ssh_url(controller: SplitResult) -> str:
    """Where Deis puts the builder of a controller: `deis.example.com` -> `deis-builder.example.com:2222`."""
    first, dot, rest = (controller.hostname or "").partition(".")
    return f"ssh://git@{first}-builder{dot}{rest}:{BUILDER_PORT}"


def app_url(ssh_url: str, app: str) -> str:
    """The remote of `app`; a `.localhost` name that this system can't resolve is written as 127.0.0.1."""
    parts = urlsplit(ssh_url)
    host = parts.hostname or ""
    if host.endswith(".localhost") and not _resolves(host):
        ssh_url = ssh_url.replace(host, "127.0.0.1", 1)
    return f"{ssh_url.rstrip('/')}/{app}.git"


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def push_remotes() -> list[Remote]:
    """The push remotes of the folder; none when it is no repository or there is no git."""
    result = _git("remote", "-v", check=False)
    found = re.findall(r"^(\S+)\t(\S+) \(push\)$", result or "", re.MULTILINE)
    return [Remote(name, url) for name, url in found]


def app_of_folder(controller: SplitResult, told: Callable[[], str]) -> str:
    """The app that the folder belongs to: by the remote at the builder, else by one named deis, else its name.

    `told` gives the git address that the platform tells; it is asked only when the remotes may be there.
    """
    ours = {controller.hostname or "", urlsplit(derived_ssh_url(controller)).hostname or ""}
    remotes = [remote for remote in push_remotes() if remote.app]
    for remote in remotes:
        if remote.host in ours or remote.name == DEFAULT_REMOTE:
            return remote.app
    if any(remote.may_be_a_builders for remote in remotes):
        place = place_of(told())
        for remote in remotes:
            if remote.may_be_a_builders and place_of(remote.url) == place:
                return remote.app
    name = Path.cwd().name.lower()
    if not name:
        raise UsageError("Which app? Name it with -a APP.")
    return name


def place_of(url: str) -> tuple[str, int]:
    """Host and port of a git address over SSH; `.localhost` names are this machine."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 22
    except ValueError:
        return "", 0
    return "127.0.0.1" if host.endswith(".localhost") else host, port


def remotes_of_app(app: str, controller: SplitResult, told: str) -> list[Remote]:
    """The remotes here that push to `app` on this platform, whose git address is `told` where it tells one."""
    ours = {controller.hostname or "", urlsplit(derived_ssh_url(controller)).hostname or "", "127.0.0.1"}
    place = place_of(told)
    return [
        remote
        for remote in push_remotes()
        if remote.app == app
        and (remote.host in ours or remote.name == DEFAULT_REMOTE or (told and place_of(remote.url) == place))
    ]


def is_repository(folder: Path | None = None) -> bool:
    where = ("-C", str(folder)) if folder else ()
    return _git(*where, "rev-parse", "--git-dir", check=False) is not None


def set_local(key: str, value: str) -> None:
    """A setting of this folder's repository."""
    _git("config", "--local", key, value)


def add_remote(name: str, url: str) -> None:
    _git("remote", "add", "--", name, url)


def set_remote(name: str, url: str) -> None:
    _git("remote", "set-url", "--", name, url)


def remove_remote(name: str) -> None:
    _git("remote", "remove", name)


def _git(*words: str, check: bool = True) -> str | None:
    """What `git words` prints; None when it fails and `check` is off."""
    try:
        command = [program("git"), *words]
        done = subprocess.run(command, capture_output=True, timeout=GIT_SECONDS, check=False)
    except FileNotFoundError:
        if not check:
            return None
        raise CliError("git is not installed here; install it to push code.") from None
    except subprocess.TimeoutExpired:
        raise CliError(f"git did not finish within {GIT_SECONDS:.0f} s; try again.") from None
    if done.returncode == 0:
        return done.stdout.decode(errors="replace")  # git speaks UTF-8, whatever the code page is
    if not check:
        return None
    complaint = (done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"])[-1]
    raise CliError(f"git {words[0]} {words[1]} failed: {complaint.removeprefix('error: ').removeprefix('fatal: ')}.")
