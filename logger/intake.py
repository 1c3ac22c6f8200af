"""Lines and nudges from the platform's programs, as datagrams: who sends never waits, and needs nobody to be there.

`{"nudge": true}` says that the controller has news; `{"app": "shop", "source": "builder", "text": "…"}` is a line.
Over the network (`places.py`) each carries the `"key"`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from logger.inbox import Inbox
from logger.lines import PLATFORM, cleaned, compose, now
from logger.places import OPEN, Address, Door

log = logging.getLogger(__name__)

RECEIVE_BUFFER = 1024 * 1024  # bytes of datagrams that wait while we are busy
LONGEST = 64 * 1024


class Intake:
    def __init__(
        self,
        place: Path | Address,
        inbox: Inbox,
        nudged: Callable[[], None],
        known: Callable[[str], bool],
        door: Door = OPEN,
    ) -> None:
        self._place, self._inbox, self._nudged, self._known, self._door = place, inbox, nudged, known, door

    async def run(self) -> None:
        with self._open() as receiver:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            receiver.setblocking(False)
            while True:
                self._take(await asyncio.get_running_loop().sock_recv(receiver, LONGEST))

    def _open(self) -> socket.socket:
        if isinstance(self._place, Address):
            family = socket.AF_INET6 if ":" in self._place.host else socket.AF_INET
            receiver = socket.socket(family, socket.SOCK_DGRAM)
            receiver.bind((self._place.host, self._place.port))
            return receiver
        with contextlib.suppress(FileNotFoundError):
            self._place.unlink()
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(str(self._place))
        os.chmod(self._place, 0o600)
        return receiver

    def _take(self, datagram: bytes) -> None:
        try:
            message = json.loads(datagram)
            if not self._door.opens_to(message.get("key")):
                log.warning("a datagram without the key is left out")
                return
            if message.get("nudge"):
                self._nudged()
                return
            app, source, text = message["app"], message["source"], message["text"]
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("a datagram is no message of ours: %r", datagram[:100])
            return
        if source in PLATFORM and self._known(app) and self._inbox.allowance(app, 1):
            self._inbox.add(app, [compose(now(), f"deis[{source}]".encode(), cleaned(text.encode()))])
