"""Where a build's files come from: a commit of the app's repository, or an archive somebody sent."""

from __future__ import annotations

import asyncio
import subprocess
import tarfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from builder import snapshot, tar_stream, workspace
from builder.errors import BuildFailed, PushRefused
from builder.repository import Repositories, git_environment
from builder.stopping import stoppable, stoppable_stream, until_stopped

UNPACK_TIMEOUT = 300.0  # seconds


class Source(Protocol):
    @property
    def commit(self) -> str: ...

    async def unpack(self, target: Path, root: str, with_submodules: bool = False) -> snapshot.Snapshot:
        """The files below `root` in the empty folder `target`. Raises: PushRefused, BuildFailed."""


@dataclass(frozen=True)
class CommitSource:
    repositories: Repositories
    app: str
    commit: str
    limits: snapshot.Limits
    git: Mapping[str, str]  # where objects of a push lie that isn't accepted yet

    async def unpack(self, target: Path, root: str, with_submodules: bool = False) -> snapshot.Snapshot:
        command, environment = self.repositories.archive_command(self.app, self.commit), git_environment(self.git)
        return await stoppable(
            lambda stop: unpack_output(command, environment, target, self.limits, root, with_submodules, stop)
        )

    async def changed_since(self, old: str, paths: Sequence[str]) -> bool:
        """Whether anything in `paths` differs from the commit `old`; True when there is no telling."""
        command = self.repositories.changed_command(self.app, old, self.commit, paths)
        done = await asyncio.to_thread(run_git, command, git_environment(self.git))
        return done.returncode != 0


@dataclass(frozen=True)
class ArchiveSource:
    """A tar file, packed or not, from outside."""

    path: Path
    commit: str
    limits: snapshot.Limits

    async def unpack(self, target: Path, root: str, with_submodules: bool = False) -> snapshot.Snapshot:
        return await stoppable(lambda stop: unpack_file(self.path, target, self.limits, root, stop))


def run_git(command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """A git command that ends by itself, bounded all the same. Blocking."""
    return subprocess.run(
        command, env=dict(environment), stdin=subprocess.DEVNULL, capture_output=True, timeout=UNPACK_TIMEOUT
    )


def unpack_output(
    command: list[str],
    environment: Mapping[str, str],
    target: Path,
    limits: snapshot.Limits,
    root: str,
    with_submodules: bool,
    stop: threading.Event,
) -> snapshot.Snapshot:
    """Unpack what `command` writes, until `stop`. Blocking. Raises: PushRefused, BuildFailed, Abandoned."""
    with subprocess.Popen(
        command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        timer = threading.Timer(UNPACK_TIMEOUT, process.kill)
        timer.start()
        assert process.stdout is not None and process.stderr is not None
        try:
            entries = until_stopped(tar_stream.read(stoppable_stream(process.stdout, stop)), stop)
            done = snapshot.unpack(entries, target, limits, workspace.APP_UID, root, with_submodules)
            process.stdout.read()
        except tarfile.TarError as exc:
            told = process.stderr.read().decode(errors="replace").strip().splitlines()[-1:]
            raise BuildFailed(f"The commit's files could not be read: {' '.join(told) or exc}") from exc
        finally:
            timer.cancel()
            process.kill()
    return done


def unpack_file(
    path: Path, target: Path, limits: snapshot.Limits, root: str, stop: threading.Event
) -> snapshot.Snapshot:
    """Unpack an archive from outside, until `stop`. Blocking. Raises: PushRefused, Abandoned."""
    try:
        with path.open("rb") as file:
            entries = until_stopped(snapshot.read_any(stoppable_stream(file, stop)), stop)
            return snapshot.unpack(entries, target, limits, workspace.APP_UID, root, what=snapshot.ARCHIVE)
    except (tarfile.TarError, EOFError, OSError, ValueError) as exc:
        raise PushRefused(f"The archive can't be read ({exc}); send a tar file, plain or gzip, bzip2, xz.") from exc
