"""Folders on their way into a build's pod and back, as tar streams over exec: nothing of the pod reaches the builder.

Into the pod go the tree, the app's cache and the buildpacks. Back come what the build left in the tree and the
cache, and of that only what it changed: a cached layer it didn't touch stays, here, the very files it was, so that
it isn't packed again.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from builder import tar_stream
from builder.built import OUT_MAX
from builder.errors import BuildFailed, ClusterError
from builder.jobs.api import KubeApi
from builder.jobs.pod import Pod
from builder.layers import STABLE_TIME, described, file_info, walk
from builder.progress import human
from builder.snapshot import CheckedInfo
from builder.workspace import APP_UID

CHUNK = 1 << 18
MOST_ENTRIES = 1_000_000  # files, folders and links that a build may leave
LISTING = "listing"  # the archive's first entry: everything there is, changed or not
LISTING_MAX = 1 << 28  # bytes

RECEIVE, SEND = ((Path(__file__).resolve().parent / name).read_text() for name in ("receive.sh", "send.sh"))
RELEASE = "kill -USR1 1"


async def send(api: KubeApi, pod: Pod, folders: Mapping[str, Path], files: Mapping[str, bytes], line: str) -> None:
    """Put `folders` and `files` (target without the leading slash → source) into the pod and start the build there.

    `line` is what a buildpack build waits for on its pipe; empty for others. Raises: ClusterError.
    """
    with tempfile.TemporaryFile(dir=work_folder(folders)) as archive:
        size = await asyncio.to_thread(pack, folders, files, archive)
        command = ["/bin/sh", "-c", RECEIVE, "receive", str(size), line]
        async with api.executed(pod.exec_path, command, stdin=True) as process:
            archive.seek(0)
            while chunk := await asyncio.to_thread(archive.read, CHUNK):
                await process.write(chunk)
            async for _ in process.output():
                continue


def work_folder(folders: Mapping[str, Path]) -> Path:
    """Where large files may lie for a moment: beside the first of `folders`."""
    return next(iter(folders.values())).parent


def pack(folders: Mapping[str, Path], files: Mapping[str, bytes], target: IO[bytes]) -> int:
    """The archive's size in bytes."""
    archive = tar_stream.Writer(target)
    for prefix, root in folders.items():
        for name, info in walk(root):
            entry = described(f"{prefix}/{name}", info, None, APP_UID)
            if stat.S_ISLNK(info.st_mode):
                entry.linkname = os.readlink(root / name)
            if not stat.S_ISREG(info.st_mode):
                if stat.S_ISLNK(info.st_mode) or stat.S_ISDIR(info.st_mode):
                    archive.header(entry)
                continue
            with open(os.open(root / name, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
                entry.size = os.fstat(file.fileno()).st_size
                archive.header(entry)
                archive.content(file, entry.size)
    for name, content in files.items():
        archive.header(file_info(name, content, STABLE_TIME))
        archive.content(io.BytesIO(content), len(content))
    archive.close()
    return target.tell()


async def take_back(api: KubeApi, pod: Pod, folders: Mapping[str, Path], limit: int) -> None:
    """Have `folders` (path in the pod without the leading slash → folder here) be what the build left of them.

    Raises: BuildFailed when that is more than `limit` bytes or no archive; ClusterError.
    """
    with tempfile.TemporaryFile(dir=work_folder(folders)) as archive:
        async with api.executed(pod.exec_path, ["/bin/sh", "-c", SEND], stdin=False) as process:
            size = 0
            async for chunk in process.output():
                size += len(chunk)
                if size > limit:
                    raise BuildFailed(f"The build was stopped: its files take more than {human(limit)} of disk.")
                await asyncio.to_thread(archive.write, chunk)
        archive.seek(0)
        try:
            await asyncio.to_thread(Arrival(folders, limit).unpack, archive)
        except (tarfile.TarError, OSError, UnicodeError, ValueError) as exc:
            raise BuildFailed(f"What the build left can't be read ({exc}). Push again.") from exc


async def release(api: KubeApi, pod: Pod) -> None:
    """Let the pod end with its build's exit code. It takes the command that says so along: how that ends is chance."""
    with suppress(ClusterError):
        async with api.executed(pod.exec_path, ["/bin/sh", "-c", RELEASE], stdin=False) as process:
            async for _ in process.output():
                continue


async def read(api: KubeApi, pod: Pod, path: str) -> bytes:
    """A small file of the pod's. Raises: ClusterError when it can't be read."""
    async with api.executed(pod.exec_path, ["head", "-c", str(OUT_MAX), path], stdin=False) as process:
        return b"".join([chunk async for chunk in process.output()])


class Arrival:
    """Writes an archive that nobody vouches for over folders that nobody else writes to; through no link."""

    def __init__(self, folders: Mapping[str, Path], limit: int) -> None:
        self._folders, self._left = folders, limit

    def unpack(self, stream: IO[bytes]) -> None:
        """Raises: TarError, OSError, ValueError for an archive that isn't one of ours."""
        with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 17, tarinfo=CheckedInfo) as archive:
            entries = iter(archive)
            first = next(entries, None)
            if first is None or first.name != LISTING or not plain(first) or first.size > LISTING_MAX:
                raise ValueError("no listing")
            listing = archive.extractfile(first)
            assert listing is not None
            self._remove_missing(listing.read().split(b"\0"))
            folders: list[tuple[Path, tarfile.TarInfo]] = []
            for count, member in enumerate(entries):
                archive.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
                if count > MOST_ENTRIES:
                    raise ValueError("too many files")
                self._write(archive, member, folders)
            for path, member in reversed(folders):
                if is_folder(path):
                    path.chmod(member.mode & 0o777)
                    os.utime(path, (member.mtime, member.mtime))

    def _remove_missing(self, listed: list[bytes]) -> None:
        """What isn't there any more goes; so does what is of another kind now."""
        known = {os.fsdecode(each[1:]): each[:1] for each in listed if each}
        for prefix, root in self._folders.items():
            for path, kind in list(below(root)):
                if known.get(f"{prefix}/{path.relative_to(root)}") != kind and path.parent.is_dir():
                    remove(path)

    def _write(
        self, archive: tarfile.TarFile, member: tarfile.TarInfo, made: list[tuple[Path, tarfile.TarInfo]]
    ) -> None:
        path = self._place(member.name)
        self._left -= member.size if plain(member) else 0
        if self._left < 0:
            raise BuildFailed("The build was stopped: its files take more disk than BUILD_DISK.")
        if member.isdir():
            if not is_folder(path):
                remove(path)
                path.mkdir()
            made.append((path, member))
        elif member.issym():
            remove(path)
            os.symlink(member.linkname, path)
        elif member.islnk():
            source = self._place(member.linkname)
            if path != source:
                remove(path)
                os.link(source, path, follow_symlinks=False)
            return
        elif plain(member):
            remove(path)
            self._write_file(archive, member, path)
        else:
            return  # neither image nor cache takes devices, pipes or sockets
        os.chown(path, APP_UID, APP_UID, follow_symlinks=False)

    @staticmethod
    def _write_file(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        content = archive.extractfile(member)
        assert content is not None
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:
            shutil.copyfileobj(content, file, CHUNK)
            file.flush()
            os.fchmod(descriptor, member.mode & 0o777)
            os.utime(descriptor, (member.mtime, member.mtime))

    def _place(self, name: str) -> Path:
        """Where an entry goes; every folder on the way is a real one. Raises: ValueError."""
        for prefix, root in self._folders.items():
            inside = name.removeprefix(f"{prefix}/")
            parts = inside.split("/")
            if inside == name or not inside or ".." in parts or "." in parts or "" in parts:
                continue
            folder = root
            for part in parts[:-1]:
                folder = folder / part
                if not is_folder(folder):
                    raise ValueError(f"{name[:100]!r} lies in no folder")
            return root / inside
        raise ValueError(f"{name[:100]!r} leads elsewhere")


def plain(member: tarfile.TarInfo) -> bool:
    """Whether it is a file whose bytes are all in the archive: a sparse one claims any size."""
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.sparse


def is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def remove(path: Path) -> None:
    if is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def below(root: Path) -> Iterator[tuple[Path, bytes]]:
    """Every path below `root` and its kind as `find -printf %y` tells it."""
    for name, info in walk(root):
        kind = b"d" if stat.S_ISDIR(info.st_mode) else b"l" if stat.S_ISLNK(info.st_mode) else b"f"
        yield root / name, kind
