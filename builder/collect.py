"""What builds and deploys left on this machine that nobody needs: found by label and name, never what others made.

Images of apps that aren't kept, images without a name that our Dockerfile builds left, containers of builds that
ended, volumes of ours that nothing uses, and repository, cache and logs of apps that are gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from builder.engine import Engine
from builder.errors import EngineError
from builder.pool import labels
from builder.repository import Repositories


@dataclass(frozen=True)
class Left:
    """One thing to remove."""

    kind: str  # image, container, volume, files of app
    name: str
    size: int  # bytes, as far as known; shared layers count each time


@dataclass(frozen=True)
class Wish:
    keep: frozenset[str]  # digests of the apps' images
    apps: frozenset[str]
    older_than: float  # seconds
    dry_run: bool


class Collector:
    def __init__(self, engine: Engine | None, instance: str, registry: str, repositories: Repositories) -> None:
        self._engine, self._registry, self._repositories = engine, registry, repositories
        self._labels = labels(instance)
        self._instance = {"paas.io/instance": instance}

    async def collect(self, wish: Wish) -> list[Left]:
        """What was removed, or would be; without an engine, of the apps' files alone. Raises: EngineError."""
        before = time.time() - wish.older_than
        found = await asyncio.to_thread(self._others, wish.apps)
        if self._engine is not None:
            found += [
                *await self._app_images(self._engine, wish.keep, before),
                *await self._nameless_images(self._engine, before),
                *await self._containers(self._engine, before),
                *await self._volumes(self._engine),
            ]
        return found if wish.dry_run else [one for one in found if await self._remove(one)]

    async def _app_images(self, engine: Engine, keep: Collection[str], before: float) -> list[Left]:
        """References of our registry's apps; an image that a container uses stays, for the engine refuses."""
        found = []
        for image in await engine.call("GET", "/images/json", params={"digests": 1}):
            names = [*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())]
            ours = [name for name in names if is_app_image(name, self._registry)]
            digests = {name.rpartition("@")[2] for name in ours if "@" in name}
            if ours and image["Created"] < before and digests and not digests & set(keep):
                found += [Left("image", name, image["Size"]) for name in ours]
        return found

    async def _nameless_images(self, engine: Engine, before: float) -> list[Left]:
        filters = {"dangling": ["true"], "label": as_filter(self._labels)}
        listed = await engine.call("GET", "/images/json", params={"filters": filters})
        return [Left("image", image["Id"], image["Size"]) for image in listed if image["Created"] < before]

    async def _containers(self, engine: Engine, before: float) -> list[Left]:
        return [
            Left("container", one["Id"][:12], 0)
            for one in await engine.containers(self._labels)
            if one["State"] in ("exited", "dead", "created") and one["Created"] < before
        ]

    async def _volumes(self, engine: Engine) -> list[Left]:
        filters = {"dangling": ["true"], "label": as_filter(self._instance)}
        listed = await engine.call("GET", "/volumes", params={"filters": filters})
        return [Left("volume", one["Name"], 0) for one in listed.get("Volumes") or ()]

    def _others(self, apps: Collection[str]) -> list[Left]:
        gone = self._repositories.others(apps, time.time())
        return [Left("files of app", app, sum(map(size_of, self._repositories.folders(app)))) for app in gone]

    async def _remove(self, one: Left) -> bool:
        try:
            if one.kind == "files of app":
                await asyncio.to_thread(self._repositories.drop, one.name)
            elif self._engine is None:
                return False
            elif one.kind == "container":
                await self._engine.remove(one.name)
            else:
                await self._engine.call("DELETE", f"/{one.kind}s/{quote(one.name, safe='/:@')}")
        except EngineError as exc:
            if exc.status not in (404, 409):  # gone, or in use
                raise
            return False
        return True


def is_app_image(name: str, registry: str) -> bool:
    """`REGISTRY/APP:tag` or `REGISTRY/APP@digest`; the platform's own images have one more slash."""
    return name.startswith(f"{registry}/") and "/" not in name.removeprefix(f"{registry}/")


def as_filter(wanted: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in wanted.items()]


def size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def parse_wish(body: Any) -> Wish:
    """Raises: ValueError naming the field."""
    if not isinstance(body, dict):
        raise ValueError("the body is not an object.")
    for name in ("keep", "apps"):
        if not isinstance(body.get(name), list) or not all(isinstance(one, str) for one in body[name]):
            raise ValueError(f"{name}: a list of texts is needed; everything else is removed.")
    older_than, dry_run = body.get("older_than", 3600), body.get("dry_run", False)
    if isinstance(older_than, bool) or not isinstance(older_than, int | float) or older_than < 0:
        raise ValueError("older_than: seconds are needed.")
    if not isinstance(dry_run, bool):
        raise ValueError("dry_run: true or false is needed.")
    return Wish(frozenset(body["keep"]), frozenset(body["apps"]), older_than, dry_run)
