"""Image layers straight from folders: sorted, owned by `app`, gzip level 1, hashed while they are written.

Runs in threads: reading, hashing and compressing are blocking. The folders were written by untrusted code in a
container that has ended: links are never followed, and only plain files, folders and links go in.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from builder import tar_stream
from builder.errors import BuildFailed
from builder.workspace import APP_UID

STABLE_TIME = 315532801  # 1980-01-01T00:00:01Z, the oldest time that zip files can hold
SPOOL = 16 << 20  # bytes of a layer kept in memory
REMEMBERED = 8  # layers of an app
LINKED = "/workspace/cache/layers/"
LAYER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,120})?")


@dataclass(frozen=True)
class LayerInfo:
    digest: str  # of the compressed blob
    diff_id: str  # of the tar inside
    size: int


@dataclass
class Layer:
    """A layer and, unless it is only remembered, its content."""

    info: LayerInfo
    content: IO[bytes] | None = None


class LayerWriter(io.RawIOBase):
    """A file that hashes, compresses and hashes again what is written to it."""

    def __init__(self) -> None:
        self._plain, self._packed = hashlib.sha256(), hashlib.sha256()
        self._zip = zlib.compressobj(1, zlib.DEFLATED, 31)
        self._size = 0
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(SPOOL)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._plain.update(data)
        self._put(self._zip.compress(data))
        return len(data)

    def finish(self) -> Layer:
        self._put(self._zip.flush())
        self._spool.seek(0)
        info = LayerInfo(f"sha256:{self._packed.hexdigest()}", f"sha256:{self._plain.hexdigest()}", self._size)
        return Layer(info, self._spool)

    def _put(self, packed: bytes) -> None:
        self._packed.update(packed)
        self._size += len(packed)
        self._spool.write(packed)


def walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """(relative path, lstat) of everything below `root`, sorted, folders before what is in them."""
    pending, top = [""], str(root)
    while pending:
        folder = pending.pop()
        with os.scandir(f"{top}/{folder}") as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        inner = []
        for entry in found:
            name = f"{folder}/{entry.name}" if folder else entry.name
            info = entry.stat(follow_symlinks=False)
            yield name, info
            if stat.S_ISDIR(info.st_mode):
                inner.append(name)
        pending.extend(reversed(inner))


def find_linked(app: Path, cache: Path) -> dict[str, Path]:
    """Links in the app's first levels that stand for a cached layer: {path in the app: the layer's folder}."""
    found = {}
    for name, info in walk_shallow(app, depth=3):
        if not stat.S_ISLNK(info.st_mode):
            continue
        target = os.readlink(app / name)
        if not layer_name(target):
            continue
        folder = layer_folder(cache, target)
        if folder is None:
            raise BuildFailed(f"The build left {name} pointing to a cached layer that doesn't exist.")
        found[name] = folder
    return found


def layer_name(target: str) -> str:
    """The layer that a link to `target` in the app stands for, or nothing."""
    layer = target.removeprefix(LINKED)
    return layer if layer != target and LAYER_NAME.fullmatch(layer) else ""


def layer_folder(cache: Path, target: str) -> Path | None:
    """The folder in `cache` that a link to `target` in the app stands for; None when there is none.

    Builds write the cache: a link in the place of any folder on the way would lead to files of this host.
    """
    if not (layer := layer_name(target)):
        return None
    folder = cache / "layers" / layer
    on_the_way = [folder, *folder.parents][: len(folder.relative_to(cache).parts) + 1]
    try:
        return folder if all(stat.S_ISDIR(path.lstat().st_mode) for path in on_the_way) else None
    except OSError:
        return None


def walk_shallow(root: Path, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    """Like `walk`, `depth` levels deep."""
    for entry in sorted(os.scandir(root), key=lambda item: item.name):
        info = entry.stat(follow_symlinks=False)
        yield entry.name, info
        if depth > 1 and stat.S_ISDIR(info.st_mode):
            for name, inner in walk_shallow(root / entry.name, depth - 1):
                yield f"{entry.name}/{name}", inner


def write_layer(
    root: Path,
    prefix: str,
    skip: Callable[[str], bool] = lambda name: False,
    extra: Mapping[str, bytes] | None = None,
    time: int | None = STABLE_TIME,
) -> Layer:
    """The tree below `root` as a layer at `prefix` (like "app"), with `extra` files added.

    `time` is every file's time, so equal trees make equal layers; None keeps each file's own, which compiled
    Python needs.
    """
    layer = LayerWriter()
    archive = tar_stream.Writer(layer)
    skipped: set[str] = set()
    for parent in parents(prefix):
        archive.header(folder_info(parent))
    for name, info in walk(root):
        if skip(name) or os.path.dirname(name) in skipped:
            if stat.S_ISDIR(info.st_mode):
                skipped.add(name)
            continue
        write_entry(archive, f"{root}/{name}", f"{prefix}/{name}", info, time)
    for name, data in sorted((extra or {}).items()):
        archive.header(file_info(f"{prefix}/{name}", data, STABLE_TIME if time is None else time))
        archive.content(io.BytesIO(data), len(data))
    archive.close()
    return layer.finish()


def write_entry(archive: tar_stream.Writer, path: str, target: str, info: os.stat_result, time: int | None) -> None:
    entry = described(target, info, time, APP_UID)
    if stat.S_ISDIR(info.st_mode):
        archive.header(entry)
    elif stat.S_ISLNK(info.st_mode):
        entry.linkname = os.readlink(path)
        archive.header(entry)
    elif stat.S_ISREG(info.st_mode):
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb", buffering=0) as file:
            entry.size = os.fstat(file.fileno()).st_size
            archive.header(entry)
            archive.content(file, entry.size)


def described(target: str, info: os.stat_result, time: int | None, owner: int) -> tarfile.TarInfo:
    """What a tar header says of a file, folder or link but its size and where it leads."""
    entry = tarfile.TarInfo(target)
    entry.mode, entry.uid, entry.gid = stat.S_IMODE(info.st_mode) & 0o777, owner, owner
    entry.mtime = int(info.st_mtime) if time is None else time
    if stat.S_ISDIR(info.st_mode):
        entry.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(info.st_mode):
        entry.type = tarfile.SYMTYPE
    return entry


def parents(path: str) -> list[str]:
    """`app/.heroku/python` → `app`, `app/.heroku`, `app/.heroku/python`."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]


def folder_info(name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o755, STABLE_TIME
    entry.uid = entry.gid = APP_UID
    return entry


def add_entry(
    archive: tarfile.TarFile,
    root: Path,
    name: str,
    target: str,
    info: os.stat_result,
    time: int | None,
    owner: int = APP_UID,
) -> None:
    entry = described(target, info, time, owner)
    if stat.S_ISDIR(info.st_mode):
        archive.addfile(entry)
    elif stat.S_ISLNK(info.st_mode):
        entry.linkname = os.readlink(root / name)
        archive.addfile(entry)
    elif stat.S_ISREG(info.st_mode):
        with open(os.open(root / name, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            entry.size = os.fstat(file.fileno()).st_size
            archive.addfile(entry, file)


def add_bytes(archive: tarfile.TarFile, target: str, content: bytes, time: int = STABLE_TIME) -> None:
    archive.addfile(file_info(target, content, time), io.BytesIO(content))


def file_info(target: str, content: bytes, time: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(target)
    entry.mode, entry.mtime, entry.size = 0o644, time, len(content)
    entry.uid = entry.gid = APP_UID
    return entry


def fingerprint(root: Path) -> str:
    """Changes whenever anything below `root` does: no one without root's rights can set a file's ctime."""
    told = []
    for name, info in walk(root):
        mode = info.st_mode
        if stat.S_ISDIR(mode):
            told.append(f"{name}\0{mode}\0")
        else:
            told.append(f"{name}\0{mode}\0{info.st_size}\0{info.st_mtime_ns}\0{info.st_ctime_ns}\0")
    return hashlib.sha256("".join(told).encode(errors="surrogateescape")).hexdigest()


class LayerMemory:
    """What a cached layer was when it was last packed, so that an unchanged one isn't packed again."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def recall(self, app: str, folder: Path, prefix: str, mark: str) -> LayerInfo | None:
        try:
            known = json.loads(self._path(app, folder).read_text())
            return LayerInfo(**known["layer"]) if (known["mark"], known["prefix"]) == (mark, prefix) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, app: str, folder: Path, prefix: str, mark: str, info: LayerInfo) -> None:
        path = self._path(app, folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps({"mark": mark, "prefix": prefix, "layer": asdict(info)}))
        fresh.rename(path)
        for old in sorted(path.parent.glob("*.json"), key=lambda item: item.stat().st_mtime)[:-REMEMBERED]:
            old.unlink(missing_ok=True)

    def _path(self, app: str, folder: Path) -> Path:
        layers = next(parent for parent in folder.parents if parent.name == "layers")
        return self._root / app / (str(folder.relative_to(layers)).replace("/", "+") + ".json")
