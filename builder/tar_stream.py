"""Tar streams quickly: tarfile's objects cost ten times what creating the files does, and a tree has many.

`read` understands what git's archive writes (POSIX ustar with pax headers for long names), nothing else; archives
from elsewhere go through tarfile. `Writer` makes the same bytes as tarfile in its pax format.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Protocol

BLOCK = 512
PADDING = b"\0" * BLOCK
FILE, FOLDER, LINK, OTHER = "file", "folder", "link", "other"
KINDS = {b"0": FILE, b"\0": FILE, b"5": FOLDER, b"2": LINK}
HEADER_MAX = 1 << 20  # bytes of an extended header
NAME_MAX = 100  # bytes of a name in a plain header


@dataclass(slots=True)
class Entry:
    name: str
    kind: str
    mode: int
    size: int
    link: str
    time: int


class Content:
    """The bytes of the entry that was read last."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._left = self._padding = 0

    def begin(self, size: int) -> None:
        self._left, self._padding = size, -size % BLOCK

    def read(self, most: int) -> bytes:
        data = self._stream.read(min(most, self._left))
        self._left -= len(data)
        if self._left and not data:
            raise tarfile.ReadError("unexpected end of data")
        return data

    def skip(self) -> None:
        while self._left:
            self.read(1 << 20)
        if len(self._stream.read(self._padding)) < self._padding:
            raise tarfile.ReadError("unexpected end of data")
        self._padding = 0


def read(stream: IO[bytes]) -> Iterator[tuple[Entry, Content]]:
    """Each entry with its content, which must be read before the next one. Raises: tarfile.ReadError."""
    content = Content(stream)
    more: dict[str, str] = {}
    while True:
        header = stream.read(BLOCK)
        if len(header) < BLOCK or header == PADDING:
            if len(header) not in (0, BLOCK):
                raise tarfile.ReadError("unexpected end of data")
            return
        try:
            size, kind = int(header[124:136].rstrip(b"\0 ") or b"0", 8), header[156:157]
        except ValueError as exc:
            raise tarfile.ReadError("a header can't be read") from exc
        if kind in (b"x", b"g"):
            if size > HEADER_MAX:
                raise tarfile.ReadError("a header is larger than any real one")
            content.begin(size)
            records = parse_records(content.read(size)) if size else {}
            content.skip()
            more = records if kind == b"x" else more
            continue
        entry = parse_entry(header, size, kind, more)
        more = {}
        content.begin(entry.size)
        yield entry, content
        content.skip()


def parse_entry(header: bytes, size: int, kind: bytes, more: dict[str, str]) -> Entry:
    prefix, name = text(header[345:500]), text(header[:100])
    if prefix and header[257:263] == b"ustar\0":
        name = f"{prefix}/{name}"
    size = int(more.get("size", size))
    mode, time = int(header[100:108].rstrip(b"\0 ") or b"0", 8), int(header[136:148].rstrip(b"\0 ") or b"0", 8)
    kept = KINDS.get(kind, OTHER)
    return Entry(
        more.get("path", name), kept, mode, 0 if kept in (FOLDER, LINK) else size,
        more.get("linkpath", text(header[157:257])), time,
    )  # fmt: skip


def text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="surrogateescape")


def parse_records(data: bytes) -> dict[str, str]:
    """`27 path=…` lines of a pax header. Raises: tarfile.ReadError."""
    records, at = {}, 0
    while at < len(data):
        blank = data.find(b" ", at, at + 20)
        try:
            length = int(data[at:blank])
        except ValueError as exc:
            raise tarfile.ReadError("a header can't be read") from exc
        key, equals, value = data[blank + 1 : at + length - 1].partition(b"=")
        if blank < 0 or length <= 0 or at + length > len(data) or not equals:
            raise tarfile.ReadError("a header can't be read")
        records[key.decode(errors="replace")] = value.decode(errors="surrogateescape")
        at += length
    return records


class Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class Writer:
    """Entries into a file, as tarfile writes them; `close` ends the archive."""

    def __init__(self, file: Sink) -> None:
        self._file, self._size = file, 0

    def header(self, info: tarfile.TarInfo) -> None:
        self._put(plain_header(info) or info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))

    def content(self, source: IO[bytes], size: int) -> None:
        """Exactly `size` bytes of `source`. Raises: OSError when it has fewer."""
        left = size
        while left:
            data = source.read(min(left, 1 << 20))
            if not data:
                raise OSError("unexpected end of data")
            left -= len(data)
            self._put(data)
        if size % BLOCK:
            self._put(PADDING[: -size % BLOCK])

    def close(self) -> None:
        self._put(PADDING * 2)
        if rest := self._size % tarfile.RECORDSIZE:
            self._put(b"\0" * (tarfile.RECORDSIZE - rest))

    def _put(self, data: bytes) -> None:
        self._size += len(data)
        self._file.write(data)


def plain_header(info: tarfile.TarInfo) -> bytes:
    """The header of an entry that needs no extended one, or b""."""
    is_folder = info.type == tarfile.DIRTYPE
    name, link = (info.name + "/" if is_folder else info.name), info.linkname
    size = info.size if info.type == tarfile.REGTYPE else 0
    if len(name) > NAME_MAX or len(link) > NAME_MAX or not (name.isascii() and link.isascii()) or size >= 8**11:
        return b""
    head = (
        name.encode().ljust(100, b"\0")
        + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (info.mode & 0o7777, info.uid, info.gid, size, int(info.mtime))
        + b"        "
        + info.type
        + link.encode().ljust(100, b"\0")
        + b"ustar\x0000"
        + info.uname.encode().ljust(32, b"\0")
        + info.gname.encode().ljust(32, b"\0")
    ).ljust(BLOCK, b"\0")
    checksum = sum(head)
    return head[:148] + b"%06o\0 " % checksum + head[156:]
