"""Where the Distribution server keeps its files: a folder, or a bucket (bucket.py). Keys are paths with slashes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

UPLOADS = tuple(f"docker/registry/v2/repositories/{name}/_uploads/*" for name in ("*", "*/*"))


@dataclass(frozen=True)
class Entry:
    key: str
    modified: float  # seconds since the epoch
    size: int  # bytes


class Store(Protocol):
    def entries(self, folder: str) -> Iterator[Entry]:
        """Everything below `folder`. Raises: RegistryError."""

    def read(self, key: str, most: int) -> bytes:
        """At most `most` bytes. Raises: FileNotFoundError, RegistryError."""

    def remove(self, folders: Collection[str]) -> None:
        """With all that is in them; gone already is fine. Raises: RegistryError, OSError."""

    def drop_uploads(self, before: float) -> None:
        """Remove what came of uploads of which nothing came since `before`, where that is cheap to find."""


class Folder:
    def __init__(self, root: Path) -> None:
        self._root = root

    def entries(self, folder: str) -> Iterator[Entry]:
        for parent, _, names in os.walk(self._root / folder):
            for name in names:
                path = Path(parent, name)
                try:
                    info = path.stat()
                except FileNotFoundError:
                    continue  # deleted meanwhile
                yield Entry(path.relative_to(self._root).as_posix(), info.st_mtime, info.st_size)

    def read(self, key: str, most: int) -> bytes:
        with (self._root / key).open("rb") as file:
            return file.read(most)

    def remove(self, folders: Collection[str]) -> None:
        for folder in folders:
            shutil.rmtree(self._root / folder, ignore_errors=True)

    def drop_uploads(self, before: float) -> None:
        for pattern in UPLOADS:
            for upload in self._root.glob(pattern):
                with suppress(OSError):  # it ended meanwhile
                    files = [path for path in upload.rglob("*") if path.is_file()]
                    if all(path.stat().st_mtime < before for path in (upload, *files)):
                        for path in files:
                            os.truncate(path, 0)  # the server may hold it open long after its disk was full
                        shutil.rmtree(upload)
