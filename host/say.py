"""What a set-up prints, in the form that `git push` has made familiar."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def step(text: str) -> None:
    print(f"-----> {text}", flush=True)


def detail(text: str) -> None:
    print(f"       {text}", flush=True)


def warn(text: str) -> None:
    print(f" !     {text}", file=sys.stderr, flush=True)


@contextmanager
def timed(text: str) -> Iterator[None]:
    """Print the step, and how long it took when that was worth a remark."""
    step(text)
    started = time.monotonic()
    yield
    if (seconds := time.monotonic() - started) > 3:
        detail(f"{seconds:.0f} s")
