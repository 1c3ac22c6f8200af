"""Images of a Docker Engine: what is there, pulling, removing."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import orjson

from orchestrator.kubelet.engine import Engine, EngineError, quoted
from orchestrator.kubelet.images import names_registry, split_reference
from orchestrator.kubelet.runtime import Image, ImageMissing, PullFailed, RuntimeUnavailable

CONCURRENT_PULLS = 3
PULL_SILENCE = 300.0  # seconds without a word from the engine before a pull is given up


class DockerImages:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pulls = asyncio.Semaphore(CONCURRENT_PULLS)
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, reference: str) -> Image:
        try:
            return image_record(await self._engine.call("GET", f"/images/{quoted(reference)}/json"))
        except EngineError as exc:
            if exc.status in (400, 404):
                raise ImageMissing(f"image {reference} isn't on this node") from exc
            raise

    async def pull(self, reference: str, credentials: Mapping[str, str] | None) -> Image:
        """One pull of a reference at a time; the engine itself shares layers between several."""
        if not names_registry(reference):
            raise PullFailed(f'image "{reference}" names no registry and none is assumed: write it as HOST[:PORT]/NAME')
        lock = self._locks.setdefault(reference, asyncio.Lock())
        async with lock, self._pulls:
            await self._pull(reference, credentials)
        if not lock.locked():
            self._locks.pop(reference, None)
        return await self.get(reference)

    async def _pull(self, reference: str, credentials: Mapping[str, str] | None) -> None:
        name, version = split_reference(reference)
        headers = {}
        if credentials:
            headers["X-Registry-Auth"] = base64.urlsafe_b64encode(orjson.dumps(dict(credentials))).decode()
        pending = b""
        try:
            async for chunk in self._engine.stream(
                "POST", "/images/create", params={"fromImage": name, "tag": version}, headers=headers,
                idle_deadline=PULL_SILENCE,
            ):  # fmt: skip
                *lines, pending = (pending + chunk).split(b"\n")
                for line in filter(None, lines):
                    if problem := orjson.loads(line).get("error"):
                        raise PullFailed(problem)
        except (EngineError, RuntimeUnavailable) as exc:
            raise PullFailed(str(exc)) from exc

    async def list(self) -> list[Image]:
        rows = await self._engine.call("GET", "/images/json")
        return [
            Image(
                id=row["Id"],
                names=tuple(name for name in image_names(row) if not name.startswith("<none>")),
                size=int(row.get("Size") or 0),
                created_at=float(row.get("Created") or 0),
            )
            for row in rows
        ]

    async def remove(self, image_id: str) -> None:
        row = await self._engine.call("GET", f"/images/{image_id}/json")
        for name in image_names(row) or [image_id]:
            try:
                await self._engine.call("DELETE", f"/images/{quoted(name)}")
            except EngineError as exc:
                if exc.status != 404:
                    raise


def image_names(row: Mapping[str, Any]) -> list[str]:
    return [*(row.get("RepoTags") or ()), *(row.get("RepoDigests") or ())]


def image_record(row: Mapping[str, Any]) -> Image:
    config = row.get("Config") or {}
    return Image(
        id=row["Id"],
        names=tuple(image_names(row)),
        size=int(row.get("Size") or 0),
        user=config.get("User") or "",
        stop_signal=config.get("StopSignal") or "",
    )
