"""`.slugignore`: what of the tree is gone before buildpacks see it, as on Heroku."""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from builder.snapshot import read_inside

MAX = 64 * 1024


def prune(app: Path) -> int:
    """Remove what `.slugignore` names from a tree that nothing else writes to yet; how many entries went."""
    try:
        text = read_inside(app, ".slugignore", MAX).decode(errors="replace")
    except FileNotFoundError:
        return 0
    ignored, removed = compile_patterns(text), 0
    for folder, folders, files in os.walk(app):
        for name in [*folders, *files]:
            path = Path(folder, name)
            if not ignored(path.relative_to(app).as_posix()):
                continue
            removed += 1
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
                folders.remove(name)
            else:
                path.unlink()
    return removed


def compile_patterns(text: str) -> Callable[[str], bool]:
    """Heroku's rules: shell patterns, no negation; without a leading slash they match at any depth."""
    anchored: list[str] = []
    floating: list[str] = []
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
