"""Lines on disk: a folder per app, in it segments that are only appended to, the older ones compressed.

`apps/APP/00000000000000000012.log` is written to; when it is full it becomes `….log.gz` and the next number begins.
A source's newest line says how far it was read, so that nothing else has to be remembered: when the program starts,
the newest segment tells, which begins with the positions (`#pos`) of the sources it might not mention.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from logger.lines import STAMP, source_of

SEGMENT = 2 * 1024 * 1024  # bytes
OLD_POSITION = 2 * 24 * 3600  # seconds; a source silent for longer needs no position any more
POSITION = b"#pos "
WRITING, PACKED = ".log", ".log.gz"


@dataclass
class Retention:
    """How long and how much of an app is kept."""

    days: int
    bytes: int


@dataclass
class Position:
    """How far a source was read: the time of its newest line, and how many lines have that very time."""

    stamp: bytes
    count: int = 1


@dataclass
class AppLog:
    """One app's lines."""

    folder: Path
    positions: dict[bytes, Position] = field(default_factory=dict)
    _number: int = 0
    _size: int = 0

    @classmethod
    def open(cls, folder: Path) -> AppLog:
        """The app's log as it was left; a line that was half written is dropped."""
        log = cls(folder)
        folder.mkdir(parents=True, exist_ok=True)
        segments = log.segments()
        if not segments:
            return log
        newest = segments[-1]
        log._number = int(newest.name.partition(".")[0])
        if newest.name.endswith(PACKED):
            log._number += 1
        data = read_segment(newest)
        whole = data[: data.rfind(b"\n") + 1]
        if newest.name.endswith(WRITING):
            log._size = len(whole)
            if len(whole) < len(data):
                os.truncate(newest, len(whole))
        for line in whole.split(b"\n"):
            log._note(line)
        return log

    def _note(self, line: bytes) -> None:
        """Keeps the position that a line of a segment tells."""
        if line.startswith(POSITION):
            stamp, count, source = line[len(POSITION) :].split(b" ", 2)
            self.positions[source] = Position(stamp, int(count))
        elif len(line) > STAMP:
            self.advance(source_of(line), line[:STAMP])

    def advance(self, source: bytes, stamp: bytes) -> None:
        known = self.positions.get(source)
        if known is None or stamp > known.stamp:
            self.positions[source] = Position(stamp)
        elif stamp == known.stamp:
            known.count += 1

    def segments(self) -> list[Path]:
        """The oldest first."""
        return sorted(path for path in self.folder.iterdir() if path.name.endswith((WRITING, PACKED)))

    def append(self, lines: list[bytes]) -> Path | None:
        """Writes `lines`; gives the segment that is full with it, to be packed. Raises: OSError."""
        full = None
        if self._size >= SEGMENT:
            full, self._number, self._size = self._current(), self._number + 1, 0
        data = b"\n".join(lines) + b"\n"
        if self._size == 0:
            data = self._heading() + data
        with self._current().open("ab", buffering=0) as file:
            written = 0
            while written < len(data):
                written += file.write(data[written:])
        self._size += len(data)
        return full

    def _current(self) -> Path:
        return self.folder / f"{self._number:020d}{WRITING}"

    def _heading(self) -> bytes:
        limit = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - OLD_POSITION)).encode()
        self.positions = {source: known for source, known in self.positions.items() if known.stamp > limit}
        return b"".join(
            b"%s%s %d %s\n" % (POSITION, known.stamp, known.count, source) for source, known in self.positions.items()
        )

    def tidy(self, retention: Retention, now: float) -> None:
        """Removes the oldest segments beyond the retention; the one being written stays."""
        left = retention.bytes
        for path in reversed(self.segments()):
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                left -= status.st_size
                too_old = status.st_mtime < now - retention.days * 86400
                if (left < 0 or too_old) and path != self._current():
                    path.unlink()

    def clear(self) -> None:
        """Forgets everything: another app of the same name begins."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.positions, self._number, self._size = {}, 0, 0


def pack(path: Path) -> None:
    """Compresses a full segment; killed halfway it is done again at the next start."""
    partial = path.with_name(path.name + ".partial")
    with path.open("rb") as source, gzip.open(partial, "wb", compresslevel=1) as target:
        shutil.copyfileobj(source, target, 256 * 1024)
    status = path.stat()
    os.utime(partial, (status.st_atime, status.st_mtime))
    partial.replace(path.with_name(path.name + ".gz"))
    path.unlink()


def read_segment(path: Path) -> bytes:
    """Raises: FileNotFoundError when retention took it meanwhile."""
    if path.name.endswith(PACKED):
        with gzip.open(path, "rb") as file:
            return file.read()
    return path.read_bytes()


def newest_first(folder: Path) -> Iterator[Path]:
    """The segments of an app, also while some are packed or removed."""
    if not folder.is_dir():
        return
    names = {path.name.partition(".")[0] for path in folder.iterdir() if path.name.endswith((WRITING, PACKED))}
    for name in sorted(names, reverse=True):
        for ending in (WRITING, PACKED):
            if (folder / (name + ending)).exists():
                yield folder / (name + ending)
                break


def unpacked(folder: Path) -> list[Path]:
    """Segments that a killed program left to pack."""
    names = sorted(path for path in folder.iterdir() if path.name.endswith(WRITING))
    return names[:-1]
