"""Python's cycle collector, tuned for a process that holds millions of small dictionaries and may not pause.

Objects of the API are trees: reference counting frees them at once, and scanning them for cycles finds nothing, but
costs a third of a second at 10,000 pods. So whatever survives two collections is set aside (`gc.freeze`), and only once
in a while, for the few real cycles among it (ended connections), everything is looked at.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Mapping

_YOUNG = 20_000  # new containers between two collections: about 200 pods, 2 ms
_MIDDLE = 5  # collections of the young before one of the middle generation, whose survivors are set aside
_NEVER = 1_000_000
_EVERYTHING = 3600.0  # seconds between full collections


def tune() -> None:
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)
    if _set_aside not in gc.callbacks:
        gc.callbacks.append(_set_aside)


def _set_aside(phase: str, info: Mapping[str, int]) -> None:
    if phase == "stop" and info["generation"] == 1:
        gc.freeze()


async def collect_everything_forever() -> None:
    while True:
        await asyncio.sleep(_EVERYTHING)
        gc.unfreeze()
        gc.collect()
        gc.freeze()
