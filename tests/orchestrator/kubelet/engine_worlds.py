"""The whole agent over this machine's Docker Engine, and what tests put on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engines import TEST_IMAGE, busybox_image, docker_runtime, remove_everything
from worlds import World, local_api

from orchestrator.kubelet.runtime import LogOptions

SERVE = "mkdir -p /tmp/www; echo served > /tmp/www/index.html; trap 'exit 0' TERM; httpd -p 8080 -h /tmp/www; "
STAY = "trap 'exit 0' TERM; while :; do sleep 100 & wait; done"


@asynccontextmanager
async def engine_world(folder: Path) -> AsyncIterator[World]:
    async with busybox_image(), local_api(folder) as api:
        made = World(api, docker_runtime(folder), folder / "agent", real=True)
        await made.start()
        try:
            yield made
        finally:
            await made.stop()
            await made.runtime.close()
            await remove_everything(folder)


def busybox(script: str = STAY, name: str = "main", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": TEST_IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
        **fields,
    }


async def logs_of(world: World, name: str, container: str = "main") -> str:
    worker = next(each for each in world.agent.workers.values() if each.ref.name == name)
    status = worker.seen.history[container][-1]
    return b"".join([chunk async for _, chunk in world.runtime.logs(status.id, LogOptions())]).decode()


async def finished(world: World, name: str = "web") -> dict[str, Any]:
    return await world.until(name, lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"))


async def said_by(world: World, *pods: dict[str, Any]) -> dict[str, str]:
    """What the container `main` of each pod printed; all run at once, and each must succeed."""
    for pod in pods:
        await world.create({**pod, "spec": {"restartPolicy": "Never", **pod["spec"]}})
    names = [pod["metadata"]["name"] for pod in pods]
    for name in names:
        found = await finished(world, name)
        assert found["status"]["phase"] == "Succeeded", f"{name}: {found['status']} {await logs_of(world, name)}"
    return {name: await logs_of(world, name) for name in names}


async def until_gone(path: Path) -> None:
    async with asyncio.timeout(60):
        while path.exists():  # noqa: ASYNC110, ASYNC240  one look at a local file
            await asyncio.sleep(0.02)
