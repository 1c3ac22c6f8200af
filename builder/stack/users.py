"""Who on an engine needs its stack images: instances share them, and the last one that goes takes them along.

An image can't be labelled once it is made; a name can be added. `paas/stack-users:shop` says that the instance `shop`
runs apps on `paas/stack`. Variants with languages are used by whoever uses the plain image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from builder.engine import Engine
from builder.errors import EngineError
from builder.stack.build import SPEC_LABEL, Stack

SUFFIX = "-users"


@dataclass(frozen=True)
class StackImage:
    """One on the engine."""

    id: str
    names: tuple[str, ...]
    made_by: str

    @property
    def repositories(self) -> set[str]:
        """Of its names, as they are without what we add to them."""
        return {name.rpartition(":")[0].removesuffix(SUFFIX).removesuffix("-build") for name in self.names}

    @property
    def users(self) -> set[tuple[str, str]]:
        """(repository, instance)"""
        parts = (name.rpartition(":") for name in self.names)
        return {(where.removesuffix(SUFFIX), who) for where, _, who in parts if where.endswith(SUFFIX)}


async def enlist(engine: Engine, stack: Stack) -> None:
    """Have the engine know that the instance needs the stack image."""
    await engine.tag(stack.image, stack.image.rpartition(":")[0] + SUFFIX, stack.instance)


async def listed(engine: Engine) -> list[StackImage]:
    found: Sequence[dict[str, Any]] = await engine.call(
        "GET", "/images/json", params={"filters": {"label": [SPEC_LABEL]}}
    )
    return [
        StackImage(one["Id"], tuple(one.get("RepoTags") or ()), one["Labels"].get("paas.io/instance", ""))
        for one in found
    ]


def no_longer_needed(images: Sequence[StackImage], instance: str) -> list[StackImage]:
    """Of the stack images on an engine, those that go with `instance`: it made or used them, and nobody else does."""
    needed = {where for image in images for where, who in image.users if who != instance}
    its = {where for image in images for where, who in image.users if who == instance}
    return [
        image
        for image in images
        if not image.repositories & needed and (image.made_by == instance or image.repositories & its)
    ]


async def dismiss(engine: Engine, instance: str) -> list[str]:
    """Forget that the instance needs stack images, and remove those that nobody needs now; a line each."""
    images = await listed(engine)
    removed = []
    for image in no_longer_needed(images, instance):
        try:
            await engine.call("DELETE", f"/images/{image.id}", params={"force": 1})
        except EngineError as exc:
            if exc.status not in (404, 409):
                raise
        removed.append(f"image {', '.join(image.names) or image.id.removeprefix('sha256:')[:12]}")
    for image in images:
        for where, who in image.users:
            if who == instance:
                await engine.untag(f"{where}{SUFFIX}:{who}")
    return removed
