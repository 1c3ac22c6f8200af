"""`.slugignore`: what of the tree stays out of the image. Pure but for reading the file."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path

from builder.snapshot import read_inside

MAX = 64 * 1024


def load(app: Path) -> Callable[[str], bool]:
    """Whether a path of the app is left out."""
    try:
        text = read_inside(app, ".slugignore", MAX).decode(errors="replace")
    except FileNotFoundError:
        return lambda name: False
    return compile_patterns(text)


def compile_patterns(text: str) -> Callable[[str], bool]:
    """Heroku's rules: shell patterns, no negation; without a leading slash they match at any depth."""
    anchored, floating = [], []
    for raw in text.splitlines():
        pattern = raw.strip()
        if not pattern or pattern.startswith("#"):
            continue
        (anchored if pattern.startswith("/") else floating).append(pattern.strip("/"))

    def ignored(name: str) -> bool:
        base = name.rpartition("/")[2]
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in anchored):
            return True
        return any(
            fnmatch.fnmatchcase(base, pattern)
            or fnmatch.fnmatchcase(name, pattern)
            or fnmatch.fnmatchcase(name, "*/" + pattern)
            for pattern in floating
        )

    return ignored
