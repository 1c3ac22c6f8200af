"""A commit's tree or an archive, unpacked from a tar stream into a folder, with every trick of a hostile tree refused.

Runs in a thread: reading, writing and hashing are blocking.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from builder import tar_stream
from builder.errors import PushRefused
from builder.progress import human
from builder.tar_stream import Content, Entry

LFS_MARK = b"version https://git-lfs.github.com/spec/"
LFS_MAX = 1024  # bytes; pointers are about 130
MAX_PATH = 1024  # characters
MAX_HEADER = 1 << 20  # bytes of one entry's extended header
REPOSITORY, ARCHIVE = "repository", "archive"  # what a tree came in, in the words of a refusal
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

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in self.HEADERS and self.size > MAX_HEADER:
            raise PushRefused("The archive holds a header that is larger than any real one.")
        member: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return member


HARD_LINK = "hard link"


def read_any(stream: IO[bytes]) -> Iterator[tuple[Entry, IO[bytes] | Content]]:
    """The entries of any tar file, packed or not, as `tar_stream.read` gives those of git's."""
    kinds = {tarfile.DIRTYPE: tar_stream.FOLDER, tarfile.SYMTYPE: tar_stream.LINK, tarfile.LNKTYPE: HARD_LINK}
    with tarfile.open(fileobj=stream, mode="r|*", bufsize=1 << 17, tarinfo=CheckedInfo) as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # tarfile would keep them all
            kind = tar_stream.FILE if member.isreg() else kinds.get(member.type, tar_stream.OTHER)
            entry = Entry(member.name, kind, member.mode, member.size, member.linkname, int(member.mtime))
            yield entry, (archive.extractfile(member) if member.isreg() else None) or io.BytesIO()


def unpack(
    entries: Iterable[tuple[Entry, IO[bytes] | Content]],
    target: Path,
    limits: Limits,
    owner: int,
    root: str = "",
    with_submodules: bool = False,
    what: str = REPOSITORY,
) -> Snapshot:
    """Write `entries`, or those below `root`, into the empty folder `target`, owned by `owner`.

    `with_submodules`: they come afterwards; otherwise an empty one is refused. `what`: REPOSITORY or ARCHIVE.
    Raises: PushRefused naming the path that can't be taken.
    """
    done, tree = Snapshot(), Tree(target, owner, what)
    found = not root
    for entry, content in entries:
        name = check_name(entry.name, what)
        if not name:
            continue
        done.files += 1
        done.time = max(done.time, entry.time)
        done.total_bytes += entry.size
        check_limits(done, limits, what)
        if root:
            if not is_within(name, root):
                continue
            found, name = True, name[len(root) + 1 :]
            if not name:
                continue
        refuse_reserved(name, what)
        if entry.kind == HARD_LINK:
            done.total_bytes += tree.copy(name, entry, root)
            check_limits(done, limits, what)
        else:
            tree.write(name, entry, content)
    if not found:
        raise PushRefused(f"There is no folder {root} in the {what}: `paas builds:set root=…` names the app's.")
    if not with_submodules:
        refuse_submodules(target, what)
    return done


class Tree:
    """A folder that is filled with entries nobody vouches for; nothing is written through a symlink."""

    def __init__(self, target: Path, owner: int, what: str) -> None:
        self._target, self._owner, self._what = str(target), owner, what
        self._folders: set[str] = {""}

    def write(self, name: str, entry: Entry, content: IO[bytes] | Content) -> None:
        self._make_parents(name)
        path = f"{self._target}/{name}"
        try:
            if entry.kind == tar_stream.FILE:
                self._write_file(path, name, entry, content)
            elif entry.kind == tar_stream.FOLDER:
                if name not in self._folders:
                    self._make_folder(name)
            elif entry.kind == tar_stream.LINK:
                os.symlink(entry.link, path)
                os.chown(path, self._owner, self._owner, follow_symlinks=False)
            else:
                raise PushRefused(f"The {self._what} holds {name[:100]!r}, which is neither file, folder nor link.")
        except FileExistsError as exc:
            raise PushRefused(f"The {self._what} names {name[:100]!r} twice.") from exc

    def copy(self, name: str, entry: Entry, root: str) -> int:
        """A hard link becomes a copy of the file that came before it; its bytes."""
        self._make_parents(name)
        link = check_name(entry.link, self._what)
        inside = link[len(root) + 1 :] if root and is_within(link, root) else link
        folder, _, base = inside.rpartition("/")
        if not base or folder not in self._folders or (root and not is_within(link, root)):
            raise PushRefused(f"The archive's hard link {name[:100]!r} leads nowhere.")
        try:
            source = os.open(f"{self._target}/{inside}", os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as exc:
            raise PushRefused(f"The archive's hard link {name[:100]!r} leads nowhere.") from exc
        try:
            with open(source, "rb") as original, open(f"{self._target}/{name}", "xb") as copy:
                shutil.copyfileobj(original, copy, 1 << 20)
                os.fchmod(copy.fileno(), os.fstat(source).st_mode & 0o777)
                os.fchown(copy.fileno(), self._owner, self._owner)
                return os.fstat(source).st_size
        except FileExistsError as exc:
            raise PushRefused(f"The archive names {name[:100]!r} twice.") from exc

    def _make_parents(self, name: str) -> None:
        """Every parent is a real folder of ours."""
        parent = name.rpartition("/")[0]
        if parent in self._folders:
            return
        self._make_parents(parent)
        try:
            self._make_folder(parent)
        except FileExistsError as exc:
            raise PushRefused(
                f"The {self._what} uses {parent[:100]!r} both as a folder and as something else."
            ) from exc

    def _make_folder(self, name: str) -> None:
        path = f"{self._target}/{name}"
        os.mkdir(path, 0o755)
        os.chown(path, self._owner, self._owner)
        self._folders.add(name)

    def _write_file(self, path: str, name: str, entry: Entry, content: IO[bytes] | Content) -> None:
        mode = 0o755 if entry.mode & 0o100 else 0o644
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        try:
            os.fchown(descriptor, self._owner, self._owner)
            data = content.read(1 << 20)
            if entry.size <= LFS_MAX and data.startswith(LFS_MARK):
                raise PushRefused(lfs_text(name, self._what))
            while data:
                while data:
                    data = data[os.write(descriptor, data) :]
                data = content.read(1 << 20)
        finally:
            os.close(descriptor)


def lfs_text(name: str, what: str) -> str:
    if what == ARCHIVE:
        return f"{name[:100]} is a Git LFS pointer, not the file. Get the files, then deploy again: git lfs pull"
    return (
        f"{name[:100]} is a Git LFS pointer, not the file: LFS content isn't part of a push. "
        f"Commit the file itself: git lfs migrate export --include={name[:100]!r}"
    )


def is_within(name: str, root: str) -> bool:
    return name == root or name.startswith(f"{root}/")


def check_name(raw: str, what: str = REPOSITORY) -> str:
    """The path inside the tree, "" for its root. Raises: PushRefused for one that leads elsewhere."""
    name = raw.removeprefix("./").rstrip("/")
    if name in ("", "."):
        return ""
    parts = name.split("/")
    hostile = name.startswith("/") or ".." in parts or "" in parts or "\0" in name or ".git" in parts
    if hostile or len(name) > MAX_PATH or any(len(part.encode(errors="surrogateescape")) > 255 for part in parts):
        raise PushRefused(f"The {what} holds a path that can't be unpacked: {name[:100]!r}")
    return name


def refuse_reserved(name: str, what: str) -> None:
    top = name.partition("/")[0]
    if top in BUILDER_OWNED:
        raise PushRefused(f"The name {top} in the {what}'s root is reserved: rename it.")


def check_limits(done: Snapshot, limits: Limits, what: str) -> None:
    if done.total_bytes > limits.total_bytes:
        raise PushRefused(f"The {what} unpacks to more than {human(limits.total_bytes)}; large files belong elsewhere.")
    if done.files > limits.files:
        raise PushRefused(f"The {what} has more than {limits.files} files.")


def refuse_submodules(target: Path, what: str) -> None:
    """A submodule arrives as an empty folder; an app built without it would only fail later."""
    try:
        text = read_inside(target, ".gitmodules", 1 << 16).decode(errors="replace")
    except FileNotFoundError:
        return
    paths = [line.partition("=")[2].strip() for line in text.splitlines() if line.strip().startswith("path")]
    missing = [path for path in paths if is_empty_folder(target, path)]
    if missing and what == ARCHIVE:
        raise PushRefused(
            f"The submodule {missing[0][:100]} is an empty folder in the archive. Get its files, then deploy again: "
            "git submodule update --init"
        )
    if missing:
        raise PushRefused(
            f"The submodule {missing[0][:100]} isn't part of a push. Have it fetched: paas builds:set submodules=yes; "
            f"or commit its files: git rm --cached {missing[0][:100]}, remove its .git, git add it."
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
