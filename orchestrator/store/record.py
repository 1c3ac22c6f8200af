"""What the store holds and tells: records, and the changes that made them.

A record is immutable and shared by every reader and watcher, so its JSON is encoded exactly once.
"""

from __future__ import annotations

from typing import Literal

import orjson

from orchestrator.errors import OrchestratorError, ServiceUnavailable
from orchestrator.objects.meta import Key, Obj
from orchestrator.store.sharing import share_field_sets

ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]


class StoreError(OrchestratorError):
    """Root of what a store refuses; the API server turns each into an answer of its own."""


class Exists(StoreError):
    """There is an object under this key already."""


class Missing(StoreError):
    """There is no object under this key."""


class Stale(StoreError):
    """The object changed since the revision the writer read."""


class Compacted(StoreError):
    """The history asked for is gone; list again."""


class WatchDropped(StoreError):
    """The watcher fell too far behind, or the store closes; watch again from the last revision seen."""


class InUse(StoreError):
    """Another server has the file open; two would overwrite each other."""


class WriteFailed(StoreError, ServiceUnavailable):
    """The write could not be made durable (disk full, file unreadable); nothing of it is visible."""


class Record:
    """One object at one revision: the decoded form for reading, the encoded one for sending."""

    __slots__ = ("_obj", "key", "resource", "revision", "value")

    def __init__(self, resource: str, key: Key, revision: int, obj: Obj | None, value: bytes | None = None) -> None:
        """From the decoded form, the encoded one, or both."""
        self.resource, self.key, self.revision, self._obj = resource, key, revision, obj
        self.value: bytes = orjson.dumps(obj) if value is None else value

    @property
    def obj(self) -> Obj:
        if self._obj is None:
            self._obj = orjson.loads(self.value)
            share_field_sets(self._obj)
        return self._obj

    def forget_decoded(self) -> None:
        """Keep the bytes alone: a seventh of the memory, for records that few will ask for again."""
        self._obj = None

    def __repr__(self) -> str:
        return f"<Record {self.resource} {self.key} @{self.revision}>"


class Change:
    """One step of the log; a deletion's record is the object's last state, at the deletion's revision."""

    __slots__ = ("previous", "record", "type")

    def __init__(self, type: ChangeType, record: Record, previous: Record | None) -> None:
        self.type, self.record, self.previous = type, record, previous

    @property
    def revision(self) -> int:
        return self.record.revision

    def __repr__(self) -> str:
        return f"<Change {self.type} {self.record!r}>"
