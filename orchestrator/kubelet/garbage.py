"""Images and dead containers removed when the disk fills: only those this platform made or pulled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from orchestrator.kubelet.agent import NodeAgent
from orchestrator.kubelet.images import names_registry
from orchestrator.kubelet.pressure import FULL
from orchestrator.kubelet.runtime import ContainerStatus, Image, RuntimeFailure
from orchestrator.kubelet.settings import AgentSettings

log = logging.getLogger(__name__)

EVERY = 60.0  # seconds between looks
HIGH, LOW = 0.85, 0.80  # shares of the disk: start collecting, stop
YOUNGEST = 120.0  # seconds an image was last seen unused before it may go


def plan_images(
    images: Iterable[Image], containers: Iterable[ContainerStatus], unused_since: dict[str, float], *, now: float,
    registry: str,
) -> list[Image]:  # fmt: skip
    """Images to remove, longest unused first: pulled from our registry, and used by no container of ours.

    `unused_since` is kept by this function: image id → when it was first seen unused.
    """
    used = {status.image_id for status in containers}
    unused = [image for image in images if image.id not in used and is_ours(image, registry)]
    for image_id in set(unused_since) - {image.id for image in unused}:
        del unused_since[image_id]
    for image in unused:
        unused_since.setdefault(image.id, now)
    old = [image for image in unused if now - unused_since[image.id] >= YOUNGEST]
    return sorted(old, key=lambda image: (unused_since[image.id], image.created_at))


def is_ours(image: Image, registry: str) -> bool:
    """Every name of it is in our registry."""
    names = [name for name in image.names if names_registry(name)]
    return bool(names) and len(names) == len(image.names) and all(name.startswith(f"{registry}/") for name in names)


def plan_containers(containers: Iterable[ContainerStatus], live_pods: Iterable[str]) -> list[ContainerStatus]:
    """Dead containers of other pods than these."""
    alive = set(live_pods)
    return [status for status in containers if status.state == "exited" and status.pod.uid not in alive]


class GarbageCollector:
    """`read_disk` is the share of the node's fullest disk in use."""

    def __init__(self, agent: NodeAgent, settings: AgentSettings, read_disk: Callable[[], float]) -> None:
        self._agent, self._read_disk = agent, read_disk
        self._registry = settings.registry_host
        self._unused_since: dict[str, float] = {}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.collect(self._read_disk())
            except RuntimeFailure as exc:
                log.warning("nothing collected: %s", exc)

    async def collect(self, used: float) -> Sequence[str]:
        """What was removed, when the share of the disk in use asked for it."""
        runtime = self._agent.services.runtime
        containers = await runtime.containers()
        candidates = plan_images(
            await runtime.images(), containers, self._unused_since, now=time.time(), registry=self._registry
        )
        removed: list[str] = []
        if used < HIGH:
            return removed
        for status in plan_containers(containers, self._kept(used)):
            await runtime.remove_container(status.id)
            removed.append(status.id)
        for image in candidates:
            if self._read_disk() < LOW:
                break
            try:
                await runtime.remove_image(image.id)
                removed.append(image.id)
            except RuntimeFailure as exc:
                log.info("image %s stays: %s", image.id, exc)
        if removed:
            log.info("disk %d%% full: removed %d containers and images", used * 100, len(removed))
        return removed

    def _kept(self, used: float) -> list[str]:
        """The pods whose dead containers stay for their logs; on a full disk not those of pods that are over."""
        return [uid for uid, worker in self._agent.workers.items() if used < FULL or not worker.is_over]
