"""What is in the registry's folder: repositories, their manifests, and which of these nobody keeps.

The layout is Distribution's: `docker/registry/v2/repositories/NAME/_manifests/revisions/sha256/DIGEST/link`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.errors import RegistryError

REPOSITORIES, BLOBS = Path("docker/registry/v2/repositories"), Path("docker/registry/v2/blobs")
LARGEST_MANIFEST = 4 << 20  # bytes, as the server takes them


@dataclass(frozen=True)
class Image:
    """A manifest in a repository."""

    repository: str
    digest: str  # sha256:…
    pushed: float  # seconds since the epoch
    size: int  # bytes of its layers, shared ones too


def repositories(root: Path) -> list[str]:
    """The apps' repositories; those with a slash in their names are the platform's own."""
    folder = root / REPOSITORIES
    return sorted(path.name for path in folder.iterdir() if (path / "_manifests").is_dir()) if folder.is_dir() else []


def images(root: Path, repository: str) -> Iterator[Image]:
    revisions = root / REPOSITORIES / repository / "_manifests/revisions/sha256"
    for link in sorted(revisions.glob("*/link")):
        digest = f"sha256:{link.parent.name}"
        try:
            yield Image(repository, digest, link.stat().st_mtime, size_of(root, digest))
        except FileNotFoundError:
            continue  # deleted meanwhile


def unkept(root: Path, keep: Mapping[str, Collection[str]], before: float) -> list[Image]:
    """Images pushed before that time that are neither kept nor part of a kept image for several machines."""
    found = []
    for repository in repositories(root):
        wanted = set(keep.get(repository, ()))
        for digest in tuple(wanted):
            wanted.update(parts(root, digest))
        found += [image for image in images(root, repository) if image.digest not in wanted and image.pushed < before]
    return found


def blob(root: Path, digest: str) -> Path:
    value = digest.removeprefix("sha256:")
    return root / BLOBS / "sha256" / value[:2] / value / "data"


def manifest(root: Path, digest: str) -> dict[str, Any]:
    """Raises: RegistryError when it can't be read; FileNotFoundError when it is gone."""
    with blob(root, digest).open("rb") as file:
        text = file.read(LARGEST_MANIFEST)
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise RegistryError(f"The manifest {digest} is damaged, so what it needs is unknown: nothing is removed.")
    return content


def parts(root: Path, digest: str) -> list[str]:
    """The manifests that an index names."""
    try:
        return [str(one.get("digest")) for one in manifest(root, digest).get("manifests") or ()]
    except FileNotFoundError:
        return []


def size_of(root: Path, digest: str) -> int:
    return sum(int(layer.get("size") or 0) for layer in manifest(root, digest).get("layers") or ())


def blobs_of(content: dict[str, Any]) -> Iterator[str]:
    """Digests that a manifest of any form needs."""
    for described in (content.get("config"), *(content.get("layers") or ()), *(content.get("manifests") or ())):
        if described:
            yield str(described.get("digest"))
    for layer in content.get("fsLayers") or ():
        yield str(layer.get("blobSum"))


def sweep(root: Path, before: float) -> None:
    """Remove the blobs that no manifest of any repository needs and that were stored before that time.

    Later ones may belong to a push under way. Only while nothing is written. Raises: RegistryError, nothing removed.
    """
    needed = set()
    for link in (root / REPOSITORIES).rglob("_manifests/revisions/sha256/*/link"):
        digest = f"sha256:{link.parent.name}"
        needed.add(digest)
        try:
            needed.update(blobs_of(manifest(root, digest)))
        except FileNotFoundError:
            continue  # a link without its blob can't be pulled already
    for data in (root / BLOBS).glob("sha256/*/*/data"):
        if f"sha256:{data.parent.name}" not in needed and data.stat().st_mtime < before:
            shutil.rmtree(data.parent)


def stored(root: Path) -> int:
    """Bytes of all blobs."""
    return sum(path.stat().st_size for path in (root / BLOBS).glob("sha256/*/*/data"))


def drop_empty(root: Path, before: float) -> None:
    """Remove repositories without any manifest and without a push under way; only while nothing is written."""
    for repository in repositories(root):
        folder = root / REPOSITORIES / repository
        empty = not any((folder / "_manifests/revisions").glob("*/*/link"))
        parts = (*folder.glob("_layers/sha256/*/link"), *folder.glob("_uploads/*"))
        if empty and all(path.stat().st_mtime < before for path in parts):
            shutil.rmtree(folder)


def forget(root: Path, image: Image) -> None:
    """Remove a manifest and the tags that name it; its blobs go with the sweep. Only while nothing is written."""
    folder = root / REPOSITORIES / image.repository / "_manifests"
    value = image.digest.removeprefix("sha256:")
    for tag in (folder / "tags").glob("*"):
        current = tag / "current/link"
        if current.is_file() and current.read_text().strip() == image.digest:
            shutil.rmtree(tag)
        else:
            shutil.rmtree(tag / "index/sha256" / value, ignore_errors=True)
    shutil.rmtree(folder / "revisions/sha256" / value, ignore_errors=True)
