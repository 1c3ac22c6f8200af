"""The folder a build happens in, and the app's cache that is moved into it and back.

BUILDER_DATA/work/ID/   mounted into the build container as /workspace
  app/                  the tree, mounted as /app as well
  cache/                the app's cache folder, here while the build runs
  env/                  config as files
  out/                  what the build tells: cause, release, name
  go                    pipe that starts the build
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from builder.errors import BuildFailed

APP_UID = 10001  # the stack image's user `app`


@dataclass(frozen=True)
class Workspace:
    root: Path

    @property
    def app(self) -> Path:
        return self.root / "app"

    @property
    def cache(self) -> Path:
        return self.root / "cache"

    @property
    def env(self) -> Path:
        return self.root / "env"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def go(self) -> Path:
        return self.root / "go"


def create(parent: Path) -> Workspace:
    space = Workspace(parent / secrets.token_hex(6))
    for folder in (space.root, space.app, space.out):
        folder.mkdir(parents=True, mode=0o755)
        os.chown(folder, APP_UID, APP_UID)
    os.mkfifo(space.go, 0o600)
    os.chown(space.go, APP_UID, APP_UID)
    return space


def move_tree(source: Workspace, target: Workspace) -> None:
    """Give the files of one workspace to another, whose tree is mounted somewhere and must stay the same folder."""
    for name in os.listdir(source.app):
        os.rename(source.app / name, target.app / name)


def take_cache(space: Workspace, caches: Path, app: str, fresh: bool) -> None:
    """Move the app's cache into the workspace; an empty one when there is none or `fresh` is asked."""
    if fresh:
        shutil.rmtree(caches / app, ignore_errors=True)
    try:
        os.rename(caches / app, space.cache)
    except FileNotFoundError:
        space.cache.mkdir(mode=0o755)
        os.chown(space.cache, APP_UID, APP_UID)


def give_back_cache(space: Workspace, caches: Path, app: str, finished: bool = True) -> None:
    """Keep the cache for the next build of the app.

    A build that was killed gives its cache back late, when the next one may have begun without it: what a finished
    build leaves takes the place of that, and a killed one's takes nobody's.
    """
    caches.mkdir(parents=True, exist_ok=True)
    if space.cache.is_symlink() or not space.cache.is_dir():
        return  # the build removed it, or put a link to other files of this host there
    if (caches / app).exists():
        if not finished:
            return
        os.rename(caches / app, space.root / "cache-before")  # goes with the workspace
    os.rename(space.cache, caches / app)


def refuse_links(space: Workspace) -> None:
    """Raises: BuildFailed when a build put links where its folders were: this process would follow them."""
    for folder in (space.app, space.cache, space.out):
        gone = not folder.is_dir() and folder != space.cache  # which may be removed
        if gone or folder.is_symlink():
            raise BuildFailed(f"The build moved its folder {folder.name} away; it must stay where it is.")


async def remove(space: Workspace) -> None:
    await asyncio.to_thread(shutil.rmtree, space.root, ignore_errors=True)


async def start_build(space: Workspace, line: str, timeout: float) -> None:  # noqa: ASYNC109 - the pipe has no awaitable to time
    """Write `line` into the pipe as soon as the container reads it. Raises: TimeoutError."""
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        try:
            pipe = os.open(space.go, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as exc:
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError("the build container doesn't read its job") from exc
            await asyncio.sleep(0.01)
            continue
        try:
            os.write(pipe, line.encode() + b"\n")
        finally:
            os.close(pipe)
        return
