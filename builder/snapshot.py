"""A commit's tree, unpacked from a tar stream into a folder, with every trick of a hostile tree refused.

Runs in a thread: reading, writing and hashing are blocking.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from builder.errors import PushRefused
from builder.progress import human

LFS_MARK = b"version https://git-lfs.github.com/spec/"
LFS_MAX = 1024  # bytes; pointers are about 130
MAX_PATH = 1024  # characters
MAX_HEADER = 1 << 20  # bytes of one entry's extended header
BUILDER_OWNED = (".paas",)  # names in the root that the image gets from us


@dataclass(frozen=True)
class Limits:
    total_bytes: int
    files: int


@dataclass
class Snapshot:
    """What was unpacked."""

    files: int = 0
    total_bytes: int = 0
    time: int = 0  # the commit's, as the stream tells it


class CheckedInfo(tarfile.TarInfo):
    """An entry whose extended headers are bounded: tarfile reads them into memory whole."""

    HEADERS = (
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    )

    def _proc_member(self, tarfile):
        if self.type in self.HEADERS and self.size > MAX_HEADER:
            raise PushRefused("The archive holds a header that is larger than any real one.")
        return super()._proc_member(tarfile)  # type: ignore[misc]


def unpack(stream: IO[bytes], target: Path, limits: Limits, owner: int, root: str = "") -> Snapshot:
    """Write the tree of `stream`, or what of it is below `root`, into the empty folder `target`, owned by `owner`.

    Raises: PushRefused naming the path that can't be taken.
    """
    done = Snapshot()
    folders: set[str] = {""}
    found = not root
    with tarfile.open(fileobj=stream, mode="r|*", bufsize=1 << 17, tarinfo=CheckedInfo) as archive:
        for member in archive:
            name = check_name(member.name)
            if not name:
                continue
            done.files += 1
            done.time = max(done.time, int(member.mtime))
            done.total_bytes += member.size
            check_limits(done, limits)
            if root:
                if not is_within(name, root):
                    continue
                found, name = True, name[len(root) + 1 :]
                if not name:
                    continue
            refuse_reserved(name)
            make_parents(target, name, folders, owner)
            if member.islnk():
                done.total_bytes += copy_linked(member, target, target / name, folders, owner, root)
                check_limits(done, limits)
            else:
                write_member(archive, member, target, name, folders, owner)
    if not found:
        raise PushRefused(f"There is no folder {root} in what was pushed: `paas builds:set root=…` names the app's.")
    refuse_submodules(target)
    return done


def is_within(name: str, root: str) -> bool:
    return name == root or name.startswith(f"{root}/")


def check_name(raw: str) -> str:
    """The path inside the tree, "" for its root. Raises: PushRefused for one that leads elsewhere."""
    name = raw.removeprefix("./").rstrip("/")
    if name in ("", "."):
        return ""
    parts = name.split("/")
    hostile = name.startswith("/") or ".." in parts or "" in parts or "\0" in name or ".git" in parts
    if hostile or len(name) > MAX_PATH or any(len(part.encode(errors="surrogateescape")) > 255 for part in parts):
        raise PushRefused(f"The repository holds a path that can't be unpacked: {name[:100]!r}")
    return name


def refuse_reserved(name: str) -> None:
    top = name.partition("/")[0]
    if top in BUILDER_OWNED:
        raise PushRefused(f"The name {top} in the repository's root is reserved: rename it.")


def check_limits(done: Snapshot, limits: Limits) -> None:
    if done.total_bytes > limits.total_bytes:
        raise PushRefused(
            f"The repository unpacks to more than {human(limits.total_bytes)}; large files belong elsewhere."
        )
    if done.files > limits.files:
        raise PushRefused(f"The repository has more than {limits.files} files.")


def make_parents(target: Path, name: str, folders: set[str], owner: int) -> None:
    """Every parent is a real folder of ours: nothing is written through a symlink."""
    parts = name.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        parent = "/".join(parts[:depth])
        if parent in folders:
            continue
        try:
            os.mkdir(target / parent, 0o755)
        except FileExistsError as exc:
            raise PushRefused(f"The repository uses {parent[:100]!r} both as a folder and as something else.") from exc
        os.chown(target / parent, owner, owner)
        folders.add(parent)


def write_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, name: str, folders: set[str], owner: int
) -> None:
    path = target / name
    try:
        if member.isdir():
            if name not in folders:
                os.mkdir(path, 0o755)
                os.chown(path, owner, owner)
                folders.add(name)
        elif member.issym():
            os.symlink(member.linkname, path)
            os.chown(path, owner, owner, follow_symlinks=False)
        elif member.isreg():
            write_file(archive, member, path, name, owner)
        else:
            raise PushRefused(f"The repository holds {name[:100]!r}, which is neither file, folder nor link.")
    except FileExistsError as exc:
        raise PushRefused(f"The repository names {name[:100]!r} twice.") from exc


def copy_linked(member: tarfile.TarInfo, target: Path, path: Path, folders: set[str], owner: int, root: str) -> int:
    """A hard link becomes a copy of the file that came before it in the archive; its bytes."""
    name = check_name(member.linkname)
    inside = name[len(root) + 1 :] if root and is_within(name, root) else name
    folder, _, base = inside.rpartition("/")
    if not base or folder not in folders or (root and not is_within(name, root)):
        raise PushRefused(f"The archive's hard link {member.name[:100]!r} leads nowhere.")
    try:
        source = os.open(target / inside, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as exc:
        raise PushRefused(f"The archive's hard link {member.name[:100]!r} leads nowhere.") from exc
    try:
        with open(source, "rb") as original, path.open("xb") as copy:
            shutil.copyfileobj(original, copy, 1 << 20)
            os.fchmod(copy.fileno(), os.fstat(source).st_mode & 0o777)
            os.fchown(copy.fileno(), owner, owner)
            return os.fstat(source).st_size
    except FileExistsError as exc:
        raise PushRefused(f"The archive names {member.name[:100]!r} twice.") from exc


def write_file(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path, name: str, owner: int) -> None:
    source = archive.extractfile(member)
    assert source is not None
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o755 if member.mode & 0o100 else 0o644
    )
    with open(descriptor, "wb") as file:
        os.fchown(file.fileno(), owner, owner)
        head = source.read(1 << 16)
        if member.size <= LFS_MAX and head.startswith(LFS_MARK):
            raise PushRefused(
                f"{name[:100]} is a Git LFS pointer, not the file: LFS content isn't part of a push. "
                f"Commit the file itself: git lfs migrate export --include={name[:100]!r}"
            )
        while head:
            file.write(head)
            head = source.read(1 << 20)


def refuse_submodules(target: Path) -> None:
    """A submodule arrives as an empty folder; an app built without it would only fail later."""
    try:
        text = read_inside(target, ".gitmodules", 1 << 16).decode(errors="replace")
    except FileNotFoundError:
        return
    paths = [line.partition("=")[2].strip() for line in text.splitlines() if line.strip().startswith("path")]
    missing = [path for path in paths if is_empty_folder(target, path)]
    if missing:
        raise PushRefused(
            f"The submodule {missing[0][:100]} isn't part of a push. Commit its files instead: "
            f"git rm --cached {missing[0][:100]}, remove its .git, git add it."
        )


def is_empty_folder(target: Path, name: str) -> bool:
    if name.startswith("/") or ".." in name.split("/"):
        return False
    path = target / name
    return path.is_dir() and not path.is_symlink() and not any(path.iterdir())


def read_inside(folder: Path, name: str, most: int) -> bytes:
    """At most `most` bytes of a regular file that untrusted code may have put there; links are not followed.

    Raises: FileNotFoundError when there is no such regular file.
    """
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as exc:
        raise FileNotFoundError(name) from exc
    with open(descriptor, "rb") as file:
        if not os.path.isfile(f"/proc/self/fd/{file.fileno()}"):
            raise FileNotFoundError(name)
        return file.read(most)


def write_environment(folder: Path, values: Mapping[str, str], owner: int) -> None:
    """The app's config as files, the way buildpacks read it."""
    folder.mkdir(mode=0o700)
    os.chown(folder, owner, owner)
    for key, value in values.items():
        if "/" in key or key in ("", ".", ".."):
            continue
        path = folder / key
        path.write_text(value)
        path.chmod(0o400)
        os.chown(path, owner, owner)
