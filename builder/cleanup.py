"""`python -m builder cleanup`: what an instance's builds left on an engine goes, by label; stack images stay as long as
another instance uses them.

Safe to run again, and after a builder or an engine that died.
"""

from __future__ import annotations

from typing import Any

from builder import fence, step_fence
from builder.engine import Engine
from builder.errors import EngineError
from builder.pool import labels
from builder.stack import users
from builder.stack.build import SPEC_LABEL


async def remove_everything(engine: Engine, instance: str) -> list[str]:
    """What was removed, a line each."""
    mine = labels(instance)
    filters: dict[str, Any] = {"label": [f"{key}={value}" for key, value in mine.items()]}
    removed = []
    for container in await engine.containers(mine):
        await engine.remove(container["Id"])
        removed.append(f"container {container['Id'][:12]}")
    for network in await engine.call("GET", "/networks", params={"filters": filters}):
        await engine.remove_network(network["Id"])
        removed.append(f"network {network['Name']}")
    await fence.take_down(instance)
    await step_fence.sweep(instance)
    filters = {"label": [f"paas.io/instance={instance}"]}
    for image in await engine.call("GET", "/images/json", params={"filters": filters, "all": 0}):
        if SPEC_LABEL in image["Labels"]:
            continue
        try:
            await engine.call("DELETE", f"/images/{image['Id']}", params={"force": 1})
        except EngineError as exc:
            if exc.status not in (404, 409):
                raise
        removed.append(f"image {image['Id'].removeprefix('sha256:')[:12]}")
    return removed + await users.dismiss(engine, instance)
