"""Child processes that must end with everything they started."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress

KILL_GRACE = 2.0  # seconds a process may take to end


async def end(child: asyncio.subprocess.Process) -> None:
    """TERM, then KILL, for the child's whole session."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(KILL_GRACE):
                await child.wait()
                return
