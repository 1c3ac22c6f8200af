"""What the user sees: headings, columns, JSON, colour on a terminal, a spinner while it takes long."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cli.system import shows_colour, speak_utf8

COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "bold": 1, "dim": 2}
TAG_COLOURS = ("cyan", "green", "magenta", "yellow", "blue")
SPINNER_FRAMES = ("...", "o..", ".o.", "..o")
SPINNER_SECONDS = 0.2


def drink() -> str:
    return os.environ.get("DEIS_DRINK_OF_CHOICE") or "coffee"


def is_colourful(stream: Any) -> bool:
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return shows_colour()


def tolerate_any_text() -> None:
    """Print what the terminal's encoding lacks as `?` instead of failing on it."""
    speak_utf8()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def paint(text: str, colour: str, stream: Any = None) -> str:
    if not is_colourful(stream or sys.stdout):
        return text
    return f"\033[{COLOURS[colour]}m{text}\033[0m"


BORDER = 4  # modules of light around a QR code, which readers need
BLOCKS = {"00": " ", "10": "▀", "01": "▄", "11": "█"}  # the upper module, the lower one


def picture(rows: list[str]) -> None:
    """A QR code on a terminal that has colours and blocks: two of its rows (1 is dark) a line. Elsewhere nothing."""
    if not rows or not is_colourful(sys.stdout) or (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        return
    empty = ["0" * (len(rows[0]) + 2 * BORDER)] * BORDER
    framed = [*empty, *(f"{'0' * BORDER}{row}{'0' * BORDER}" for row in rows), *empty]
    if len(framed) % 2:
        framed.append(empty[0])
    for upper, lower in zip(framed[::2], framed[1::2], strict=True):
        blocks = "".join(BLOCKS[a + b] for a, b in zip(upper, lower, strict=True))
        line(f"\033[30;107m{blocks}\033[0m")


def line(text: str = "") -> None:
    print(text, flush=True)


def text(piece: str) -> None:
    """Output that comes in pieces, as it came."""
    sys.stdout.write(piece)
    sys.stdout.flush()


def note(text: str) -> None:
    """A remark beside the result, kept out of what a script reads."""
    print(text, file=sys.stderr, flush=True)


def error(text: str) -> None:
    print(f"{paint('Error:', 'red', sys.stderr)} {text}", file=sys.stderr, flush=True)


def heading(text: str, shown: int | None = None, total: int | None = None) -> None:
    """`=== text`, with `(n of total)` when rows were left off."""
    cut = f" ({shown} of {total})" if shown is not None and total is not None and shown < total else ""
    line(paint(f"=== {text}{cut}", "bold"))


def pairs(rows: Sequence[tuple[str, Any]], gap: int = 2, suffix: str = "") -> None:
    """Keys and values in two columns."""
    width = max((len(key) + len(suffix) for key, _ in rows), default=0) + gap
    for key, value in rows:
        line(f"{key + suffix:<{width}}{'' if value is None else value}".rstrip())


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    columns([header, *rows])


def columns(rows: Sequence[Sequence[Any]]) -> None:
    """Rows of as many cells each, every column as wide as its widest cell."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def as_json(data: Any) -> None:
    line(json.dumps(data, indent=2, ensure_ascii=False))


def log_line(text: str) -> None:
    """A line of an app's log, its `app[type]:` tag coloured on a terminal."""
    parts = text.split(" ", 2)
    if len(parts) == 3 and parts[1].endswith(":") and is_colourful(sys.stdout):
        process = parts[1].split(".")[0]
        colour = TAG_COLOURS[sum(process.encode()) % len(TAG_COLOURS)]
        text = f"{paint(parts[0] + ' ' + parts[1], colour)} {parts[2]}"
    line(text)


class Progress:
    """What a step in progress may say at its end; the default is `done`."""

    def __init__(self) -> None:
        self.result = "done"


@contextmanager
def progress(title: str, quiet: bool = False) -> Iterator[Progress]:
    """`title done`: the title at once, a spinner on a terminal meanwhile, the result at the end."""
    step = Progress()
    if quiet:
        yield step
        return
    sys.stdout.write(title + " ")
    sys.stdout.flush()
    try:
        with _spinner():
            yield step
    except BaseException:
        line()
        raise
    line(step.result)


@contextmanager
def long_step(title: str, quiet: bool = False) -> Iterator[None]:
    """`title`, then on its own line `done in Ns`."""
    if quiet:
        yield
        return
    line(title)
    started = time.monotonic()
    with _spinner():
        yield
    line(f"done in {time.monotonic() - started:.0f}s")


@contextmanager
def _spinner() -> Iterator[None]:
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield
        return
    stopped = threading.Event()
    thread = threading.Thread(target=_spin, args=(stopped,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _spin(stopped: threading.Event) -> None:
    turn = 0
    while not stopped.wait(SPINNER_SECONDS):
        sys.stdout.write(SPINNER_FRAMES[turn % len(SPINNER_FRAMES)] + "\b\b\b")
        sys.stdout.flush()
        turn += 1
    sys.stdout.write("   \b\b\b")
    sys.stdout.flush()
