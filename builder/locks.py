"""One push an app at a time; the second one hears who holds it and since when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from builder.errors import PushRefused


@dataclass(frozen=True)
class Holder:
    user: str
    since: float  # unix time


class AppLocks:
    """Held in memory: whoever held one is gone when this process is."""

    def __init__(self) -> None:
        self._held: dict[str, Holder] = {}

    @contextmanager
    def hold(self, app: str, user: str) -> Iterator[None]:
        """Raises: PushRefused while another push of `app` is on."""
        if holder := self._held.get(app):
            since = time.strftime("%H:%M:%S UTC", time.gmtime(holder.since))
            raise PushRefused(
                f"Another git push is ongoing: {holder.user} is pushing {app} since {since}. Try again when it is done."
            )
        self._held[app] = Holder(user, time.time())
        try:
            yield
        finally:
            del self._held[app]

    def held(self) -> dict[str, Holder]:
        return dict(self._held)
