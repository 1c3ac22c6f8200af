"""An app's image without an engine: layers of the app's folders on top of the stack image, put into the registry."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.built import Built
from builder.errors import BuildFailed, RegistryError
from builder.layers import Layer, LayerMemory, find_linked, fingerprint, write_layer
from builder.progress import Progress, human
from builder.registry_api import CONFIG, LAYER, MANIFEST, PartsMissing, RegistryClient, digest_of

CREATED = "1980-01-01T00:00:01Z"  # the same for all, so equal content has an equal digest


@dataclass(frozen=True)
class Base:
    """The stack image as the registry holds it."""

    repository: str
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.manifest["config"]["digest"])


def render_config(
    base: Mapping[str, Any], layers: list[Layer], env: Mapping[str, str], labels: Mapping[str, str]
) -> bytes:
    """The image's config: the stack's, with our layers and defaults."""
    config = json.loads(json.dumps(base))
    settings = config.setdefault("config", {})
    known = dict(item.partition("=")[::2] for item in settings.get("Env") or [])
    settings["Env"] = [f"{key}={value}" for key, value in {**known, **env}.items()]
    settings["Labels"] = {**(settings.get("Labels") or {}), **labels}
    settings["Cmd"] = ["/runner/init", "start", "web"]
    config["created"] = CREATED
    config["rootfs"]["diff_ids"] = [*config["rootfs"]["diff_ids"], *(layer.info.diff_id for layer in layers)]
    config["history"] = [*config.get("history", []), *({"created": CREATED, "created_by": "builder"} for _ in layers)]
    for key in ("container", "container_config", "id", "parent"):
        config.pop(key, None)
    return json.dumps(config, separators=(",", ":"), sort_keys=True).encode()


def render_manifest(base: Mapping[str, Any], config: bytes, layers: list[Layer]) -> dict[str, Any]:
    ours = [{"mediaType": LAYER, "digest": layer.info.digest, "size": layer.info.size} for layer in layers]
    theirs = [{**layer, "mediaType": LAYER} for layer in base["layers"]]
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [*theirs, *ours],
    }


Source = tuple[str, Path] | None  # where a layer can be packed from again: its name and folder


class Assembler:
    def __init__(self, registry: RegistryClient, memory: LayerMemory) -> None:
        self._registry, self._memory = registry, memory
        self._configs: dict[str, dict[str, Any]] = {}
        self._held: dict[str, frozenset[str]] = {}  # app → parts of its last image; the registry has them, or says so

    async def base(self, repository: str, tag: str) -> Base:
        """The stack image. Raises: RegistryError when the registry doesn't have it."""
        manifest = await self._registry.manifest(repository, tag)
        if manifest is None:
            raise RegistryError(f"The registry has no {repository}:{tag} yet; the builder sends it when it starts.")
        if manifest.digest not in self._configs:
            blob = await self._registry.blob(repository, manifest.content["config"]["digest"])
            self._configs[manifest.digest] = json.loads(blob)
        return Base(repository, manifest.content, self._configs[manifest.digest])

    async def assemble(
        self, app: str, tag: str, built: Built, cache: Path, base: Base, labels: Mapping[str, str], progress: Progress
    ) -> str:
        """Put the image into the registry; its digest."""
        with progress.phase("pack"):
            linked = await asyncio.to_thread(find_linked, built.space.app, cache)
            packing = [self._dependencies(app, name, folder) for name, folder in sorted(linked.items())]
            code = asyncio.to_thread(pack_code, built, frozenset(linked))
            *dependencies, code_layer = await asyncio.gather(*packing, code)
        layers = [*dependencies, code_layer]
        progress.detail(f"Image: {human(sum(layer.info.size for layer in layers))} on the stack, {changed(layers)}")
        config = render_config(base.config, layers, built.config, labels)
        sources = [*sorted(linked.items()), None]
        with progress.phase("upload"):
            try:
                if held := self._held.pop(app, frozenset()):
                    with suppress(PartsMissing):
                        return await self._upload(app, tag, base, config, layers, sources, held)
                try:
                    return await self._upload(app, tag, base, config, layers, sources)
                except PartsMissing:  # swept by a collection between being found there and being named
                    return await self._upload(app, tag, base, config, layers, sources)
            finally:
                for layer in layers:
                    if layer.content:
                        layer.content.close()

    async def _upload(
        self,
        app: str,
        tag: str,
        base: Base,
        config: bytes,
        layers: list[Layer],
        sources: Sequence[Source],
        held: frozenset[str] = frozenset(),
    ) -> str:
        """Send what the registry lacks; the image's digest. It isn't asked for what it should hold.

        Raises: PartsMissing, RegistryError.
        """
        sending: dict[str, Coroutine[Any, Any, Any]] = {}
        for digest in {layer["digest"] for layer in base.manifest["layers"]} - held:
            sending[digest] = self._registry.mount(app, digest, base.repository)
        for layer, source in zip(layers, sources, strict=True):
            if layer.info.digest not in held:
                sending[layer.info.digest] = self._send(app, layer, source, bool(held))
        if digest_of(config) not in held:
            sending[digest_of(config)] = self._registry.upload(app, digest_of(config), config, len(config), bool(held))
        await all_or_first_error(sending.values())
        image = await self._registry.put_manifest(app, tag, render_manifest(base.manifest, config, layers))
        self._held[app] = parts_of(base, config, layers)
        return image

    async def _dependencies(self, app: str, name: str, folder: Path) -> Layer:
        """A cached layer: remembered when nothing in it changed, packed otherwise."""
        mark = await asyncio.to_thread(fingerprint, folder)
        if known := self._memory.recall(app, folder, name, mark):
            return Layer(known)
        layer = await asyncio.to_thread(write_layer, folder, f"app/{name}", time=None)
        self._memory.remember(app, folder, name, mark, layer.info)
        return layer

    async def _send(self, app: str, layer: Layer, source: Source, is_new: bool) -> None:
        info = layer.info
        if layer.content is None:
            if await self._registry.has_blob(app, info.digest):
                return
            assert source is not None
            again = await asyncio.to_thread(write_layer, source[1], f"app/{source[0]}", time=None)
            if again.info != info or again.content is None:
                raise BuildFailed("A cached layer changed while it was packed. Push again.")
            layer.content = again.content
        await self._registry.upload(app, info.digest, layer.content, info.size, is_new)


def parts_of(base: Base, config: bytes, layers: Iterable[Layer]) -> frozenset[str]:
    """The digests of an image's blobs."""
    theirs = (layer["digest"] for layer in base.manifest["layers"])
    return frozenset({*theirs, *(layer.info.digest for layer in layers), digest_of(config)})


async def all_or_first_error(work: Iterable[Coroutine[Any, Any, Any]]) -> None:
    """Run `work` side by side; the first failure stops the rest and is raised as itself."""
    tasks = [asyncio.ensure_future(item) for item in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def changed(layers: list[Layer]) -> str:
    """`dependencies unchanged` when they came from memory."""
    dependencies = layers[:-1]
    if not dependencies:
        return "one layer"
    return "dependencies unchanged" if all(layer.content is None for layer in dependencies) else "dependencies new"


def pack_code(built: Built, linked: frozenset[str]) -> Layer:
    """The app's tree without cached layers, with its process types beside it."""
    processes = {f".paas/processes/{name}": command.encode() for name, command in built.processes.items()}
    return write_layer(built.space.app, "app", skip=lambda name: name in linked, extra=processes, time=built.time)


def git_tag(commit: str) -> str:
    return f"git-{re.sub('[^0-9a-f]', '', commit)[:8]}"
