"""`make backup FILE=…`: the whole platform in one file, while it runs.

Order makes the copy whole: the database first, then the store, then repositories (references before the objects they
name) and the registry (links before blobs). What comes later may be newer and holds all that the earlier names.
Left out is what can be made again (build caches, logs, containers) and the data of volumes: it is the apps' own.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from host import postgres, say
from host.errors import HostError
from host.settings import Platform

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE, STORE = "controller/db.sqlite3", "orchestrator/store.db"
DUMP = "controller/database.dump"  # instead of DATABASE when that is PostgreSQL's
PLAIN = (
    "secrets", "orchestrator/pki", "operator/admin.json", "builder/host_key", "builder/host_key.pub",
    "builder/buildpacks", "builder/repos", "registry",
)  # fmt: skip
LATE = ("objects", "blobs")  # folders whose files others name
PASSING = (".lock", ".partial", ".sock")


def back_up(platform: Platform, target: Path) -> None:
    """Write the backup to `target`; the file appears when it is whole. Raises: HostError."""
    if target.exists():
        raise HostError(f"{target} exists already; name another file.")
    partial = target.with_name(target.name + ".partial")
    say.step(f"Backing up {platform.home}")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            with tarfile.open(fileobj=raw, mode="w|") as archive:
                sums = write(platform, archive)
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(partial, target)
    except OSError as exc:
        raise HostError(f"{target} can't be written: {exc.strerror}. Nothing of the platform was changed.") from exc
    finally:
        partial.unlink(missing_ok=True)
    say.detail(f"{len(sums)} files, {target.stat().st_size / 1e6:.0f} MB: {target}")
    say.detail("It holds every secret of the platform: keep it as you keep a root password.")


def write(platform: Platform, archive: tarfile.TarFile) -> dict[str, str]:
    """The SHA-256 of every file by its name; the manifest with them is the last member. Raises: HostError."""
    sums: dict[str, str] = {}
    home = platform.home
    add_bytes(archive, "platform.json", (home / "platform.json").read_bytes(), sums)
    with tempfile.TemporaryDirectory(dir=home / "run", prefix="backup-") as folder:
        copy, server = Path(folder) / "copy.db", None
        if url := postgres.url_of(os.environ):
            server = postgres.dump(url, copy)
            add_file(archive, DUMP, copy, sums)
            copy.unlink()
        stores = () if platform.kubeconfig else (STORE,)
        for name in stores if url else (DATABASE, *stores):
            copy_database(home / name, copy)
            add_file(archive, name, copy, sums)
            copy.unlink()
    for name, path in files_of(home):
        add_file(archive, name, path, sums)
    facts = {"format": FORMAT, "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "home": str(home)}
    facts |= {"node": platform.node_name, "registry_host": platform.registry_host, "postgresql": server}
    add_bytes(archive, MANIFEST, json.dumps({**facts, "files": sums}, indent=1).encode(), {})
    return sums


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of a database that others write to meanwhile (SQLite's online backup)."""
    with sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30) as live, sqlite3.connect(target) as copy:
        live.backup(copy)
    live.close()
    copy.close()


def files_of(home: Path) -> Iterator[tuple[str, Path]]:
    """Name and path of every file beside the databases, those that are named by others last."""
    for path in sorted(home.glob("*.env")):
        yield path.name, path
    for name in PLAIN:
        place = home / name
        if place.is_file():
            yield name, place
            continue
        early: list[Path] = []
        late: list[Path] = []
        for path in sorted(place.rglob("*")):
            (late if {*LATE} & {*path.relative_to(place).parts} else early).append(path)
        for path in early:
            if is_kept(path):
                yield str(path.relative_to(home)), path
        for path in sorted({*late, *place.rglob("*")} - {*early}):  # with what came meanwhile
            if is_kept(path) and {*LATE} & {*path.relative_to(place).parts}:
                yield str(path.relative_to(home)), path


def is_kept(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and path.suffix not in PASSING and "_uploads" not in path.parts


def add_file(archive: tarfile.TarFile, name: str, path: Path, sums: dict[str, str]) -> None:
    """A file that goes away before it is read is left out: git and the registry replace, never change."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        member = archive.gettarinfo(arcname=name, fileobj=file)
        reader = Summing(file, member.size)
        archive.addfile(member, reader)
        sums[name] = reader.digest.hexdigest()


def add_bytes(archive: tarfile.TarFile, name: str, content: bytes, sums: dict[str, str]) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o600
    archive.addfile(member, io.BytesIO(content))
    sums[name] = hashlib.sha256(content).hexdigest()


class Summing(io.RawIOBase):
    """Reads `size` bytes of a file, and sums them on the way."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file, self._left, self.digest = file, size, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        wished = self._left if size < 0 else min(size, self._left)
        chunk = self._file.read(wished)
        self._left -= len(chunk)
        self.digest.update(chunk)
        return chunk
