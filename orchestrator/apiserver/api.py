"""What every verb works with: the store, the kinds, the clock."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

from orchestrator.objects.kinds import Kinds
from orchestrator.settings import ServerSettings
from orchestrator.store.store import Store


class Api:
    """The server's core; the verbs are functions over it, one module each."""

    def __init__(
        self, store: Store, settings: ServerSettings, kinds: Kinds | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self.store, self.settings = store, settings
        self.kinds = kinds or Kinds()
        self.now = now

    def timestamp(self, offset: float = 0) -> str:
        return rfc3339(self.now() + offset)


def rfc3339(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
