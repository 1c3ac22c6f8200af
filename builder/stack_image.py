"""The stack image and its variants with languages in the registry: sent there by the engine, read before builds."""

from __future__ import annotations

import asyncio
import logging

from builder.engine import Engine
from builder.errors import BuilderError, RegistryError
from builder.image import Assembler, Base
from builder.registry_api import RegistryClient
from builder.settings import Registry, Settings

log = logging.getLogger("builder.stack")
RETRY = 5.0  # seconds


class StackImage:
    def __init__(self, engine: Engine, registry: RegistryClient, assembler: Assembler, settings: Settings) -> None:
        self._engine, self._registry, self._assembler, self._settings = engine, registry, assembler, settings
        self._lock = asyncio.Lock()
        self._published: dict[str, str] = {}  # image → the engine's id of what the registry holds

    @property
    def ready(self) -> bool:
        return self._settings.stack_image in self._published

    async def run(self) -> None:
        """Send the image at start, trying again while engine or registry are not there yet."""
        told = ""
        while not self.ready:
            try:
                await self.publish(self._settings.stack_image)
            except BuilderError as exc:
                if str(exc) != told:
                    log.warning("the stack image is not in the registry yet: %s", told := str(exc))
                await asyncio.sleep(RETRY)

    async def publish(self, image: str) -> None:
        """The registry holds the engine's `image` of now afterwards. Raises: RegistryError, EngineError."""
        async with self._lock:
            local = await self._engine.image(image)
            if local is not None and local["Id"] == self._published.get(image):
                return
            if local is None:
                raise RegistryError(f"{image} isn't on this engine: run `python -m builder stack`.")
            repository, _, tag = image.rpartition(":")
            known = await self._registry.manifest(repository, tag)
            if known is None or known.content["config"]["digest"] != local["Id"]:
                await send(self._engine, self._settings.registry, image)
            self._published[image] = local["Id"]

    async def base(self, image: str) -> Base:
        """The image to build on. Raises: RegistryError, EngineError."""
        await self.publish(image)
        repository, _, tag = image.rpartition(":")
        return await self._assembler.base(repository, tag)


async def send(engine: Engine, registry: Registry, image: str) -> None:
    """Put the engine's `image` (name:tag) into the registry, under its own name. Raises: EngineError."""
    name, _, tag = image.rpartition(":")
    repository = f"{registry.host}/{name}"
    auth = {"username": registry.username, "password": registry.password, "serveraddress": registry.host}
    await engine.tag(image, repository, tag)
    try:
        await engine.push(repository, tag, auth)
    finally:
        await engine.untag(f"{repository}:{tag}")
    log.info("sent %s to the registry", image)
