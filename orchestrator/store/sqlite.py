"""The durable log: one SQLite file in WAL mode, written by one thread.

Writers that arrive while a commit is on its way to the disk share the next one (group commit), so the rate of durable
writes is bounded by the event loop and not by the disk's latency. `synchronous=FULL` makes each commit survive a power
cut; a reply is only sent after it.

Table `log` is append-only, one row per change; the live objects are the last rows of their keys. Compaction deletes
rows that were superseded, or are deletions, at or before a revision.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from orchestrator.objects.meta import Key
from orchestrator.store.log import Loaded, OnCommit, OnFailure
from orchestrator.store.record import Change, ChangeType, InUse, Record

log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (
    revision  INTEGER PRIMARY KEY,
    resource  TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    type      INTEGER NOT NULL,
    previous  INTEGER NOT NULL,
    value     BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO facts VALUES ('compacted', 0);
"""
_INSERT = "INSERT INTO log (revision, resource, namespace, name, type, previous, value) VALUES (?, ?, ?, ?, ?, ?, ?)"
_TYPES: tuple[ChangeType, ...] = ("ADDED", "MODIFIED", "DELETED")
_TYPE_NUMBER = {name: number for number, name in enumerate(_TYPES)}
_BUSY_TIMEOUT = 10.0  # seconds a second process (a backup) may hold the file before a write fails


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA cache_size=-2000")
    return connection


def _row_of(change: Change) -> tuple[int, str, str, str, int, int, bytes]:
    record = change.record
    previous = change.previous.revision if change.previous else 0
    return (
        record.revision, record.resource, record.key.namespace, record.key.name, _TYPE_NUMBER[change.type], previous,
        record.value,
    )  # fmt: skip


class SqliteLog:
    """Passes the same contract tests as `MemoryLog`, and survives kill -9."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ready = threading.Condition()
        self._queued: list[tuple[Change, int]] = []
        self._jobs: list[tuple[int, asyncio.Future[None]]] = []
        self._stopping = False
        self._failed_epoch = -1
        self._thread: threading.Thread | None = None

    def open(self) -> Loaded:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path.with_name(f"{self.path.name}.lock"))
        self._writer = _connect(self.path)
        self.path.chmod(0o600)
        self._writer.executescript(_SCHEMA)
        compacted = self._writer.execute("SELECT value FROM facts WHERE name = 'compacted'").fetchone()[0]
        newest = self._writer.execute("SELECT max(revision) FROM log").fetchone()[0] or 0
        return Loaded(max(newest, compacted), compacted, self._load())

    def _load(self) -> Iterator[Change]:
        live: dict[tuple[str, str, str], Record] = {}
        rows = self._writer.execute(
            "SELECT revision, resource, namespace, name, type, value FROM log ORDER BY revision"
        )
        for revision, resource, namespace, name, type_number, value in rows:
            key = (resource, namespace, name)
            record = Record(resource, Key(namespace, name), revision, None, value)
            previous = live.pop(key, None)
            if _TYPES[type_number] != "DELETED":
                live[key] = record
            yield Change(_TYPES[type_number], record, previous)

    def start(self, on_commit: OnCommit, on_failure: OnFailure) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_commit, self._on_failure = on_commit, on_failure
        self._thread = threading.Thread(target=self._write_forever, name="store-writer", daemon=True)
        self._thread.start()

    def append(self, change: Change, epoch: int) -> None:
        with self._ready:
            self._queued.append((change, epoch))
            self._ready.notify()

    def _write_forever(self) -> None:
        while True:
            with self._ready:
                while not (self._queued or self._jobs or self._stopping):
                    self._ready.wait()
                queued, self._queued = self._queued, []
                jobs, self._jobs = self._jobs, []
                if self._stopping and not queued and not jobs:
                    return
            batch = [(change, epoch) for change, epoch in queued if epoch > self._failed_epoch]
            if batch:
                self._commit(batch)
            for revision, done in jobs:
                self._compact(revision, done)

    def _commit(self, batch: Sequence[tuple[Change, int]]) -> None:
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                self._writer.executemany(_INSERT, [_row_of(change) for change, _ in batch])
                self._writer.execute("COMMIT")
            except BaseException:
                self._writer.execute("ROLLBACK")
                raise
        except Exception as exc:
            log.exception("could not write %d changes to %s", len(batch), self.path)
            self._failed_epoch = max(epoch for _, epoch in batch)
            self._call_back(self._on_failure, exc)
        else:
            self._call_back(self._on_commit, [change for change, _ in batch])

    def _compact(self, revision: int, done: asyncio.Future[None]) -> None:
        writer = self._writer
        try:
            since = writer.execute("SELECT value FROM facts WHERE name = 'compacted'").fetchone()[0]
            writer.execute("BEGIN IMMEDIATE")
            try:
                writer.execute(
                    "DELETE FROM log WHERE revision IN"
                    " (SELECT previous FROM log WHERE revision > ? AND revision <= ? AND previous > 0)",
                    (since, revision),
                )
                writer.execute(
                    "DELETE FROM log WHERE revision > ? AND revision <= ? AND type = ?",
                    (since, revision, _TYPE_NUMBER["DELETED"]),
                )
                writer.execute("UPDATE facts SET value = ? WHERE name = 'compacted'", (revision,))
                writer.execute("COMMIT")
            except BaseException:
                writer.execute("ROLLBACK")
                raise
        except Exception as exc:
            self._call_back(_fail, done, exc)
        else:
            self._call_back(_finish, done)

    def _call_back(self, callback, *arguments) -> None:  # type: ignore[no-untyped-def]
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            log.warning("the event loop ended before the store was closed; what was committed is on disk")

    async def history(self, resource: str, after: int, until: int) -> list[Change]:
        return await asyncio.to_thread(self._read_history, resource, after, until)

    def _read_history(self, resource: str, after: int, until: int) -> list[Change]:
        reader = _connect(self.path)
        try:
            rows = reader.execute(
                "SELECT a.revision, a.namespace, a.name, a.type, a.value, a.previous, b.value"
                " FROM log a LEFT JOIN log b ON b.revision = a.previous"
                " WHERE a.revision > ? AND a.revision <= ? AND a.resource = ? ORDER BY a.revision",
                (after, until, resource),
            ).fetchall()
        finally:
            reader.close()
        changes = []
        for revision, namespace, name, type_number, value, previous_revision, previous_value in rows:
            key = Key(namespace, name)
            previous = None
            if previous_value is not None:
                previous = Record(resource, key, previous_revision, None, previous_value)
            record = Record(resource, key, revision, None, value)
            changes.append(Change(_TYPES[type_number], record, previous))
        return changes

    async def compact(self, revision: int) -> None:
        done: asyncio.Future[None] = self._loop.create_future()
        with self._ready:
            self._jobs.append((revision, done))
            self._ready.notify()
        await done

    async def close(self) -> None:
        if self._thread is not None:
            with self._ready:
                self._stopping = True
                self._ready.notify()
            await asyncio.to_thread(self._thread.join)
        self._writer.close()
        os.close(self._lock)


def _locked(path: Path) -> int:
    """A descriptor that holds the file's lock until it is closed or the process ends. Raises: InUse."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(descriptor)
        raise InUse(
            f"{path.parent} is in use by another server; stop it, or give this one a folder of its own"
        ) from exc
    return descriptor


def _finish(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)


def _fail(done: asyncio.Future[None], exc: Exception) -> None:
    if not done.done():
        done.set_exception(exc)
