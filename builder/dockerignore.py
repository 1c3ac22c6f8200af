"""`.dockerignore` by Docker's rules: the engine leaves them to whoever sends the context."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from builder.snapshot import read_inside

MAX = 64 * 1024


def load(tree: Path) -> Callable[[str], bool]:
    try:
        text = read_inside(tree, ".dockerignore", MAX).decode(errors="replace")
    except FileNotFoundError:
        return lambda name: False
    return compile_patterns(text)


def compile_patterns(text: str) -> Callable[[str], bool]:
    """Whether a path is left out: the last matching line decides, `!` takes back, a folder takes what is in it."""
    rules: list[tuple[re.Pattern[str], bool]] = []
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        keep = line.startswith("!")
        pattern = line.removeprefix("!").strip().strip("/").removeprefix("./")
        if pattern and pattern != ".":
            rules.append((re.compile(translate(pattern) + r"(/.*)?\Z", re.DOTALL), keep))

    def ignored(name: str) -> bool:
        out = False
        for pattern, keep in rules:
            if pattern.match(name):
                out = not keep
        return out

    return ignored


def translate(pattern: str) -> str:
    """A regular expression for a path pattern of Go's filepath.Match, with `**` for any depth."""
    result, index = "", 0
    while index < len(pattern):
        if pattern.startswith("**/", index):
            result, index = result + "(?:.*/)?", index + 3
        elif pattern.startswith("**", index):
            result, index = result + ".*", index + 2
        elif pattern[index] == "*":
            result, index = result + "[^/]*", index + 1
        elif pattern[index] == "?":
            result, index = result + "[^/]", index + 1
        elif pattern[index] == "[" and "]" in pattern[index + 1 :]:
            end = pattern.index("]", index + 1)
            inside = pattern[index + 1 : end].replace("\\", "\\\\")
            result, index = result + "[" + inside + "]", end + 1
        elif pattern[index] == "\\" and index + 1 < len(pattern):
            result, index = result + re.escape(pattern[index + 1]), index + 2
        else:
            result, index = result + re.escape(pattern[index]), index + 1
    return result
