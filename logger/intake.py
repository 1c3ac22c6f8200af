"""Lines and nudges from programs of this host, as datagrams: who sends never waits, and needs nobody to be there.

`{"nudge": true}` says that the controller has news; `{"app": "shop", "source": "builder", "text": "…"}` is a line.
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

log = logging.getLogger(__name__)

RECEIVE_BUFFER = 1024 * 1024  # bytes of datagrams that wait while we are busy
LONGEST = 64 * 1024


class Intake:
    def __init__(self, path: Path, inbox: Inbox, nudged: Callable[[], None], known: Callable[[str], bool]) -> None:
        self._path, self._inbox, self._nudged, self._known = path, inbox, nudged, known

    async def run(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
            receiver.setblocking(False)
            receiver.bind(str(self._path))
            os.chmod(self._path, 0o600)
            while True:
                self._take(await asyncio.get_running_loop().sock_recv(receiver, LONGEST))

    def _take(self, datagram: bytes) -> None:
        try:
            message = json.loads(datagram)
            if message.get("nudge"):
                self._nudged()
                return
            app, source, text = message["app"], message["source"], message["text"]
        except (ValueError, KeyError, TypeError, AttributeError):
            log.warning("a datagram is no message of ours: %r", datagram[:100])
            return
        if source in PLATFORM and self._known(app) and self._inbox.allowance(app, 1):
            self._inbox.add(app, [compose(now(), f"deis[{source}]".encode(), cleaned(text.encode()))])
