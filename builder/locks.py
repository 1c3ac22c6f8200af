"""One deploy of an app at a time: a git push hears who holds it, everything else waits its turn."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from builder.errors import PushRefused

MOST_WAITING = 10  # deploys of one app


@dataclass(frozen=True)
class Holder:
    user: str
    since: float  # unix time


class AppLocks:
    """Held in memory: whoever held one is gone when this process is."""

    def __init__(self) -> None:
        self._held: dict[str, Holder] = {}
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def refuse_if_held(self, app: str) -> None:
        """Raises: PushRefused while another deploy of `app` is on."""
        if holder := self._held.get(app):
            raise PushRefused(
                f"Another git push is ongoing: {holder.user} is pushing {app} since {clock(holder)}. "
                "Try again when it is done."
            )

    @contextmanager
    def hold(self, app: str, user: str) -> Iterator[None]:
        """Raises: PushRefused while another deploy of `app` is on."""
        self.refuse_if_held(app)
        self._held[app] = Holder(user, time.time())
        try:
            yield
        finally:
            self._pass_on(app)

    @asynccontextmanager
    async def turn(self, app: str, user: str, tell: Callable[[str], None]) -> AsyncIterator[None]:
        """Waits until the deploys of `app` that came before are done; `tell` hears for whom.

        Raises: PushRefused when too many wait.
        """
        if holder := self._held.get(app):
            line = self._waiting.setdefault(app, deque())
            if len(line) >= MOST_WAITING:
                raise PushRefused(f"{len(line)} deploys of {app} are waiting already. Try again when they are done.")
            before = f", {len(line)} more before this one" if line else ""
            tell(f"Waiting for {holder.user}, who is deploying {app} since {clock(holder)}{before}")
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            line.append(place)
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self._pass_on(app)
                else:
                    line.remove(place)
                raise
        self._held[app] = Holder(user, time.time())
        try:
            yield
        finally:
            self._pass_on(app)

    def _pass_on(self, app: str) -> None:
        """The next one's turn; it stays held, so that nobody comes between."""
        line = self._waiting.get(app)
        while line:
            place = line.popleft()
            if not place.done():
                place.set_result(None)
                return
        self._waiting.pop(app, None)
        del self._held[app]

    def held(self) -> dict[str, Holder]:
        return dict(self._held)


def clock(holder: Holder) -> str:
    return time.strftime("%H:%M:%S UTC", time.gmtime(holder.since))
