"""The stack image in the registry: sent there once by the engine, then read before every build."""

from __future__ import annotations

import asyncio
import logging

from builder.engine import Engine
from builder.errors import BuilderError, RegistryError
from builder.image import Assembler, Base
from builder.registry_api import RegistryClient
from builder.settings import Settings

log = logging.getLogger("builder.stack")
RETRY = 5.0  # seconds


class StackImage:
    def __init__(self, engine: Engine, registry: RegistryClient, assembler: Assembler, settings: Settings) -> None:
        self._engine, self._registry, self._assembler, self._settings = engine, registry, assembler, settings
        self._lock = asyncio.Lock()
        self._published = ""  # the engine's id of the image the registry holds

    @property
    def ready(self) -> bool:
        return bool(self._published)

    @property
    def _tag(self) -> str:
        return self._settings.stack_image.rpartition(":")[2]

    async def run(self) -> None:
        """Send the image at start, trying again while engine or registry are not there yet."""
        told = ""
        while not self.ready:
            try:
                await self.publish()
            except BuilderError as exc:
                if str(exc) != told:
                    log.warning("the stack image is not in the registry yet: %s", told := str(exc))
                await asyncio.sleep(RETRY)

    async def publish(self) -> None:
        """The registry holds the engine's stack image of now afterwards. Raises: RegistryError, EngineError."""
        async with self._lock:
            local = await self._engine.image(self._settings.stack_image)
            if local is not None and local["Id"] == self._published:
                return
            if local is None:
                raise RegistryError(
                    f"{self._settings.stack_image} isn't on this engine: run `python -m builder stack`."
                )
            known = await self._registry.manifest(self._settings.stack_repository, self._tag)
            if known is None or known.content["config"]["digest"] != local["Id"]:
                await self._send()
            self._published = local["Id"]

    async def _send(self) -> None:
        registry = self._settings.registry
        repository = f"{registry.host}/{self._settings.stack_repository}"
        auth = {"username": registry.username, "password": registry.password, "serveraddress": registry.host}
        await self._engine.tag(self._settings.stack_image, repository, self._tag)
        try:
            await self._engine.push(repository, self._tag, auth)
        finally:
            await self._engine.untag(f"{repository}:{self._tag}")
        log.info("sent %s to the registry", self._settings.stack_image)

    async def base(self) -> Base:
        """The image to build on. Raises: RegistryError, EngineError."""
        await self.publish()
        return await self._assembler.base(self._settings.stack_repository, self._tag)
