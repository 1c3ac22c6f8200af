"""Signals to processes of this host."""

from __future__ import annotations

import os
import signal


def kill_process(pid: int) -> None:
    """Ends a process; one that has gone is fine."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
