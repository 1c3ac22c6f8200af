"""The output of builds, kept: BUILDER_DATA/logs/APP/NUMBER.log, and NUMBER.end while the controller has yet to hear.

The newest logs of an app are kept, a bounded time; they go with the app.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from builder.log_store import StoreLines

log = logging.getLogger("builder.build_log")
LARGEST = 8 << 20  # bytes of one build's output; what comes after is left out, but for steps and errors
KEPT = 100  # logs of one app
OLDEST = 90 * 24 * 3600.0  # seconds
MARKED = (b"-----> ", b"=====> ", b" !     ")


class LogWriter:
    """Takes the lines of one build."""

    def __init__(self, path: Path, store: StoreLines) -> None:
        self.path, self._store = path, store
        self._file: IO[bytes] | None = path.open("wb", buffering=0)
        self._room = LARGEST

    def write(self, data: bytes) -> None:
        if self._file is None:
            return
        if self._room < 0 and not data.startswith(MARKED):
            return
        self._keep(data)
        self._store.write(data)
        was_open, self._room = self._room >= 0, self._room - len(data)
        if was_open and self._room < 0:
            self._keep(b"       (the rest of this build's output is not kept)\n")

    def _keep(self, data: bytes) -> None:
        """A disk that is full costs the kept output, not the build."""
        with suppress(OSError):
            if self._file:
                self._file.write(data)

    def close(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
            self._store.close()


@dataclass(frozen=True)
class BuildLogs:
    root: Path
    intake: str = ""  # where the log store takes lines
    key: str = field(default="", repr=False)  # what opens it over the network

    def path(self, app: str, number: int) -> Path:
        return self.root / app / f"{number}.log"

    def open(self, app: str, number: int) -> LogWriter:
        """The log of a build that begins; older ones beyond what is kept go."""
        folder = self.root / app
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._tidy(folder)
        return LogWriter(self.path(app, number), StoreLines(self.intake, app, self.key))

    def keep_end(self, app: str, number: int, uuid: str, end: dict[str, Any]) -> Path:
        """The build's end, on disk until the controller knows it; a disk that is full doesn't take it."""
        path = self.root / app / f"{number}.end"
        fresh = path.with_suffix(".new")
        try:
            fresh.write_text(json.dumps({"uuid": uuid, "end": end}))
            fresh.rename(path)
        except OSError as exc:
            log.warning("the end of build %d of %s is told, but not kept: %s", number, app, exc)
            fresh.unlink(missing_ok=True)
        return path

    @staticmethod
    def is_kept(path: Path) -> bool:
        return path.exists()

    @staticmethod
    def read(path: Path) -> IO[bytes]:
        return path.open("rb")

    @staticmethod
    def forget_end(path: Path) -> None:
        path.unlink(missing_ok=True)

    def untold_ends(self) -> Iterator[tuple[Path, str, dict[str, Any]]]:
        """(file, the build's uuid, its end) of what the controller hasn't heard."""
        for path in sorted(self.root.glob("*/*.end")):
            try:
                kept = json.loads(path.read_text())
                yield path, str(kept["uuid"]), dict(kept["end"])
            except (OSError, ValueError, KeyError, TypeError):
                path.unlink(missing_ok=True)

    def _tidy(self, folder: Path) -> None:
        logs = sorted(folder.glob("*.log"), key=lambda path: int(path.stem) if path.stem.isdigit() else 0)
        limit = time.time() - OLDEST
        for path in logs[: -(KEPT - 1)] + [path for path in logs if path.stat().st_mtime < limit]:
            path.unlink(missing_ok=True)
