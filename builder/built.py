"""How to start the app that a build left in its workspace, or why it failed: read as the untrusted files they are."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from builder import procfile, snapshot, workspace
from builder.errors import BuildFailed
from builder.progress import Progress

OUT_MAX = 1 << 16  # bytes read of anything the build wrote for us


@dataclass
class Built:
    """A finished buildpack build, its folders still there."""

    name: str
    space: workspace.Workspace
    processes: dict[str, str]
    time: int
    config: dict[str, str] = field(default_factory=dict)


def read(folder: Path, name: str) -> str:
    """A small file of the build's as text; empty when there is none."""
    try:
        return snapshot.read_inside(folder, name, OUT_MAX).decode(errors="replace")
    except FileNotFoundError:
        return ""


def failure(space: workspace.Workspace, code: int) -> BuildFailed:
    """The cause the build gave, or its exit code."""
    cause = read(space.out, "cause").strip()
    return BuildFailed(cause.splitlines()[0] if cause else f"The build failed with exit code {code}.")


def discover(space: workspace.Workspace, time: int, name: str, release: str, progress: Progress) -> Built:
    """The process types of what was built; `name` and `release` are what the buildpack told.

    Raises: BuildFailed when nothing says how to start the app.
    """
    progress.step("Discovering process types")
    try:
        text = snapshot.read_inside(space.app, "Procfile", procfile.MAX_BYTES + 1).decode(errors="replace")
    except FileNotFoundError:
        processes = procfile.parse_release(release)
        progress.detail(f"Default process types for {name} -> {', '.join(processes) or 'none'}")
    else:
        processes = procfile.parse_procfile(text)
        progress.detail(f"Procfile declares types -> {', '.join(processes) or 'none'}")
    if not processes:
        raise BuildFailed("Nothing says how to start this app. Add a Procfile with a line like: web: COMMAND")
    return Built(name, space, processes, time, procfile.parse_release_config(release))
