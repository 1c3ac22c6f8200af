"""Images as OCI layouts on disk: how the Cloud Native Buildpacks lifecycle takes a run image and leaves an app's.

Everything the lifecycle wrote is untrusted: links are not followed, names are checked, and the registry checks every
digest. Source: opencontainers/image-spec image-layout.md; buildpacks/rfcs 0119 (paths, images without their layers).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from builder.errors import BuildFailed
from builder.registry_api import digest_of
from builder.snapshot import read_inside

JSON_MAX = 8 << 20
DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def layout_place(image: str) -> str:
    """Where below the layout folder an image lies: `python:3` → `index.docker.io/library/python/3`."""
    registry, repository, reference = split_name(image)
    return "/".join((registry, repository, *reference.split(":", 1)))


def split_name(image: str) -> tuple[str, str, str]:
    """Registry, repository and tag or digest: `python` → `index.docker.io`, `library/python`, `latest`."""
    name, _, digest = image.partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        head, tag = name, "latest"
    registry, slash, rest = head.partition("/")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, rest = "index.docker.io", head if slash else f"library/{head}"
    return registry, rest, digest or tag


def write_sparse(folder: Path, manifest: Mapping[str, Any], config: bytes) -> None:
    """An image as a layout without its layers: the lifecycle only puts others on top of them."""
    layers = [{"mediaType": OCI_LAYER, "digest": item["digest"], "size": item["size"]} for item in manifest["layers"]]
    described = {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)}
    content = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": layers}
    text = json.dumps(content).encode()
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for blob in (config, text):
        (blobs / digest_of(blob).removeprefix("sha256:")).write_bytes(blob)
    entry = {"mediaType": OCI_MANIFEST, "digest": digest_of(text), "size": len(text)}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


class Layout:
    """An image that untrusted code wrote into `root`. Raises: BuildFailed from every method."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def manifest(self) -> dict[str, Any]:
        """The image's manifest, its descriptors checked for form."""
        index = self._json(self._root, "index.json")
        try:
            manifest = self._json(self._blobs, self._file(index["manifests"][0]["digest"]))
            described = [manifest["config"], *manifest["layers"]]
            if all(DIGEST.fullmatch(item["digest"]) and isinstance(item["size"], int) for item in described):
                return {**manifest, "mediaType": manifest.get("mediaType") or OCI_MANIFEST}
        except (KeyError, IndexError, TypeError, AttributeError) as exc:
            raise self._broken("its manifest is not one") from exc
        raise self._broken("its manifest has a descriptor that is none")

    def config(self, manifest: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The image's config, as an object and as it is written."""
        name = self._file(manifest["config"]["digest"])
        return self._json(self._blobs, name), self._read(self._blobs, name)

    def blob(self, digest: str) -> IO[bytes] | None:
        """A layer, or None when the layout leaves it out."""
        try:
            descriptor = os.open(self._blobs / self._file(digest), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise self._broken("a blob is not a plain file") from exc
        return os.fdopen(descriptor, "rb")

    @property
    def _blobs(self) -> Path:
        path = self._root / "blobs" / "sha256"
        if path.resolve() != self._root.resolve() / "blobs" / "sha256":
            raise self._broken("its blobs lie elsewhere")
        return path

    def _file(self, digest: Any) -> str:
        found = DIGEST.fullmatch(digest) if isinstance(digest, str) else None
        if not found:
            raise self._broken("a digest is none")
        return found[1]

    def _read(self, folder: Path, name: str) -> bytes:
        try:
            return read_inside(folder, name, JSON_MAX)
        except FileNotFoundError as exc:
            raise self._broken(f"{name[:20]} is missing") from exc

    def _json(self, folder: Path, name: str) -> dict[str, Any]:
        try:
            loaded = json.loads(self._read(folder, name))
        except ValueError as exc:
            raise self._broken(f"{name[:20]} is not JSON") from exc
        if not isinstance(loaded, dict):
            raise self._broken(f"{name[:20]} is not an object")
        return loaded

    @staticmethod
    def _broken(why: str) -> BuildFailed:
        return BuildFailed(f"The lifecycle left no image that can be read: {why}.")
