"""Submodules of a commit, fetched into the tree where the app allows it (`paas builds:set submodules=yes`).

Each is kept as a repository of its own under BUILDER_DATA/modules/APP, one commit deep.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urljoin, urlsplit, urlunsplit

from builder import snapshot
from builder.controller_api import Run
from builder.errors import BuildFailed, PushRefused
from builder.git_host import LOCKED, GitHost, Remote
from builder.progress import Progress
from builder.repository import Repositories, git_environment
from builder.sources import run_git, unpack_output
from builder.stopping import stoppable

MOST = 30  # submodules of one build
DEEPEST = 4  # submodules in submodules
SCP = re.compile(r"(?P<user>[A-Za-z0-9._-]+)@(?P<host>[A-Za-z0-9.-]+):(?P<path>[^/\s:][^\s:]*)")
KEPT_AT = "refs/heads/kept"
PINS = "paas-known-hosts"


@dataclass(frozen=True)
class Submodule:
    path: str
    commit: str
    url: str


class Submodules:
    def __init__(self, repositories: Repositories, host: GitHost, root: Path) -> None:
        self._repositories, self._host, self._root = repositories, host, root

    async def add(
        self,
        run: Run,
        commit: str,
        git: Mapping[str, str],
        ssh_key: str,
        target: Path,
        limits: snapshot.Limits,
        progress: Progress,
    ) -> None:
        """Put the submodules of `commit` into the tree at `target`; `ssh_key` is the app's SSH_KEY.

        Raises: BuildFailed, PushRefused.
        """
        key = decoded(ssh_key) or (run.git.private_key if run.git else "")
        repository, base = self._repositories.path(run.app), run.git.url if run.git else ""
        pending = [("", repository, commit, dict(git), base, 1)]
        count = 0
        while pending:
            folder, repository, commit, git, base, depth = pending.pop(0)
            for module in await self._listed(repository, commit, git, base):
                where = f"{folder}/{module.path}" if folder else module.path
                inside = below(where, run.root)
                if inside is None:
                    continue
                count += 1
                if count > MOST or depth > DEEPEST:
                    raise PushRefused(f"There are more submodules than {MOST}, or they nest deeper than {DEEPEST}.")
                progress.detail(f"Submodule {where} at {module.commit[:8]} from {module.url}")
                kept = await self._fetch(run, module, key)
                await stoppable(partial(self._unpack, kept, module, target, inside, limits))
                pending.append((where, kept, module.commit, {}, module.url, depth + 1))

    async def _listed(self, repository: Path, commit: str, git: Mapping[str, str], base: str) -> list[Submodule]:
        """The submodules that `commit` names."""
        environment = git_environment(git)
        command = [self._repositories.git or "git", f"--git-dir={repository}"]
        tree = await asyncio.to_thread(run_git, [*command, "ls-tree", "-r", "-z", commit], environment)
        links = re.findall(r"160000 commit ([0-9a-f]{40,64})\t([^\0]+)\0", tree.stdout.decode(errors="replace"))
        if not links:
            return []
        words = [*command, "config", "--blob", f"{commit}:.gitmodules", "--null", "--list"]
        said = (await asyncio.to_thread(run_git, words, environment)).stdout.decode(errors="replace")
        settings = dict(line.partition("\n")[::2] for line in said.split("\0") if line)
        found = []
        for sha, path in links:
            name = next((key[10:-5] for key, value in settings.items() if key.endswith(".path") and value == path), "")
            url = settings.get(f"submodule.{name}.url", "")
            found.append(Submodule(snapshot.check_name(path), sha, absolute(url, base, path)))
        return found

    async def _fetch(self, run: Run, module: Submodule, key: str) -> Path:
        """The repository that holds the submodule's commit. Raises: BuildFailed."""
        name = hashlib.sha256(module.url.encode()).hexdigest()[:24]
        modules = Repositories(self._root / run.app, self._repositories.hooks, self._repositories.git, 0)
        repository = await asyncio.to_thread(modules.ensure, name)
        if not await self._host.commit_of(repository, f"{module.commit}^{{commit}}"):
            remote = Remote(module.url, key if urlsplit(module.url).scheme == "ssh" else "", repository / PINS)
            try:
                await self._host.fetch(repository, remote, module.commit, KEPT_AT, depth=1)
            except BuildFailed as exc:
                if LOCKED in str(exc):
                    raise BuildFailed(no_key(module)) from exc
                raise
        return repository

    def _unpack(
        self, repository: Path, module: Submodule, target: Path, inside: str, limits: snapshot.Limits,
        stop: threading.Event,
    ) -> None:  # fmt: skip
        """Until `stop`. Blocking. Raises: PushRefused, BuildFailed, Abandoned."""
        place = target
        for part in inside.split("/"):
            place = place / part
            if place.is_symlink():
                raise PushRefused(f"The submodule {inside[:100]} lies behind a link.")
        if not place.is_dir() or any(place.iterdir()):
            raise PushRefused(f"The submodule {inside[:100]} has no place in the tree.")
        git = self._repositories.git or "git"
        command = [git, f"--git-dir={repository}", "archive", "--format=tar", module.commit]
        unpack_output(command, git_environment({}), place, limits, "", with_submodules=True, stop=stop)


def decoded(key: str) -> str:
    """The text of a private key that may be written as base64 on one line."""
    if not key or "PRIVATE KEY" in key:
        return key
    try:
        return base64.b64decode(key, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""


def no_key(module: Submodule) -> str:
    return (
        f"The submodule {module.path[:100]} can't be fetched: its host doesn't let us in. Give the app a private key "
        "that may read it: paas config:set SSH_KEY=FILE, and use an ssh:// address in .gitmodules."
    )


def below(path: str, root: str) -> str | None:
    """`path` as seen from `root`; None when it lies elsewhere."""
    if not root:
        return path
    return path[len(root) + 1 :] if path.startswith(f"{root}/") else None


def absolute(url: str, base: str, path: str) -> str:
    """An https or ssh address; `../other.git` counts from where the repository itself was fetched.

    Raises: BuildFailed.
    """
    if found := SCP.fullmatch(url):
        url = f"ssh://{found['user']}@{found['host']}/{found['path']}"
    if url.startswith(("./", "../")):
        if not base:
            raise BuildFailed(
                f"The submodule {path[:100]} has the relative address {url[:200]}, and the app is connected to no git "
                "host: give an absolute one in .gitmodules, or: paas git:connect"
            )
        parts = urlsplit(base)
        url = urlunsplit(parts._replace(path=urljoin(parts.path.rstrip("/") + "/", url)))
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "ssh") or parts.password or not parts.hostname:
        raise BuildFailed(f"The submodule {path[:100]} has no https or ssh address: {url[:200]!r} in .gitmodules.")
    return url
