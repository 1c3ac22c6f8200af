"""Layers dropped from an image in the registry: what the host lent to a build and the image must not keep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from builder.registry_api import RegistryClient, digest_of


def strip_layers(
    manifest: Mapping[str, Any], config: Mapping[str, Any], words: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and config without the layers of steps that wrote `words` (a path) by COPY, and without their ARGs."""
    kept_layers, kept_ids, kept_history = [], [], []
    number = 0
    for step in config.get("history") or []:
        ours = "#(nop)" in step.get("created_by", "") and words in step["created_by"]
        if not ours:
            kept_history.append(step)
        if step.get("empty_layer"):
            continue
        if not ours:
            kept_layers.append(manifest["layers"][number])
            kept_ids.append(config["rootfs"]["diff_ids"][number])
        number += 1
    if number != len(manifest["layers"]):
        return dict(manifest), dict(config)  # a base without history: nothing can be told apart
    rootfs = {**config["rootfs"], "diff_ids": kept_ids}
    return {**manifest, "layers": kept_layers}, {**config, "rootfs": rootfs, "history": kept_history}


async def strip_image(registry: RegistryClient, repository: str, tag: str, digest: str, words: str) -> str:
    """The digest of the image without those layers; `tag` names it afterwards. Raises: RegistryError."""
    manifest = await registry.manifest(repository, digest)
    if manifest is None:
        return digest
    config = json.loads(await registry.blob(repository, manifest.content["config"]["digest"]))
    shorter, cleaned = strip_layers(manifest.content, config, words)
    if len(shorter["layers"]) == len(manifest.content["layers"]):
        return digest
    content = json.dumps(cleaned, separators=(",", ":"), sort_keys=True).encode()
    await registry.upload(repository, digest_of(content), content, len(content))
    shorter["config"] = {**shorter["config"], "digest": digest_of(content), "size": len(content)}
    return await registry.put_manifest(repository, tag, shorter)
