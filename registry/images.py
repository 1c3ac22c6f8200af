"""What the registry holds: repositories, their manifests, and what of it nobody keeps.

The layout is Distribution's: `docker/registry/v2/repositories/NAME/_manifests/revisions/sha256/DIGEST/link`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from registry.errors import RegistryError
from registry.store import Store

ROOT = "docker/registry/v2"
REPOSITORIES, BLOBS = f"{ROOT}/repositories", f"{ROOT}/blobs"
LARGEST_MANIFEST = 4 << 20  # bytes, as the server takes them
LARGEST_LINK = 1 << 10
CACHES = ("build-cache", "cnb-cache")  # tags under which builds on Kubernetes keep theirs, beside the app's images


@dataclass(frozen=True)
class Image:
    """A manifest in a repository."""

    repository: str
    digest: str  # sha256:…
    pushed: float  # seconds since the epoch
    size: int  # bytes of its layers, shared ones too


@dataclass
class Repository:
    """One as it is stored; times are seconds since the epoch."""

    revisions: dict[str, float] = field(default_factory=dict)  # digest → when it was pushed
    tags: dict[str, set[str]] = field(default_factory=dict)  # tag → digests it named, now or before
    layers: dict[str, float] = field(default_factory=dict)  # digest → when the repository got it
    uploads: dict[str, float] = field(default_factory=dict)  # id → when something of it last came


class Contents:
    """What there was when it was read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.repositories: dict[str, Repository] = defaultdict(Repository)
        self.blobs: dict[str, tuple[float, int]] = {}  # digest → when it was stored, bytes
        for entry in store.entries(REPOSITORIES):
            self._place(entry.key.removeprefix(f"{REPOSITORIES}/").split("/"), entry.modified)
        for entry in store.entries(BLOBS):
            parts = entry.key.split("/")
            if parts[-1] == "data":
                self.blobs[f"{parts[-4]}:{parts[-2]}"] = (entry.modified, entry.size)

    def _place(self, parts: list[str], modified: float) -> None:
        match parts:
            case [*name, "_manifests", "revisions", kind, value, "link"]:
                self.repositories["/".join(name)].revisions[f"{kind}:{value}"] = modified
            case [*name, "_manifests", "tags", tag, "index", kind, value, "link"]:
                self.repositories["/".join(name)].tags.setdefault(tag, set()).add(f"{kind}:{value}")
            case [*name, "_layers", kind, value, "link"]:
                self.repositories["/".join(name)].layers[f"{kind}:{value}"] = modified
            case _ if "_uploads" in parts:
                at = parts.index("_uploads")
                uploads = self.repositories["/".join(parts[:at])].uploads
                uploads[parts[at + 1]] = max(modified, uploads.get(parts[at + 1], 0.0))

    @property
    def apps(self) -> list[str]:
        """The apps' repositories; those with a slash in their names are the platform's own."""
        return sorted(name for name in self.repositories if "/" not in name)

    def bytes_in(self, folders: Collection[str]) -> int:
        """Bytes of the blobs among `folders`, whatever is pushed meanwhile."""
        chosen = set(folders)
        return sum(size for digest, (_, size) in self.blobs.items() if blob_folder(digest) in chosen)

    def manifest(self, digest: str) -> dict[str, Any]:
        """Raises: RegistryError when it can't be read; FileNotFoundError when it is gone."""
        text = self._store.read(f"{blob_folder(digest)}/data", LARGEST_MANIFEST)
        try:
            content = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise RegistryError(f"The manifest {digest} is damaged, so what it needs is unknown: nothing is removed.")
        return content

    def current(self, repository: str, tag: str) -> str:
        """The digest that `tag` names, or nothing."""
        try:
            link = self._store.read(f"{REPOSITORIES}/{repository}/_manifests/tags/{tag}/current/link", LARGEST_LINK)
        except FileNotFoundError:
            return ""
        return link.decode(errors="replace").strip()


def blob_folder(digest: str) -> str:
    kind, _, value = digest.partition(":")
    return f"{BLOBS}/{kind}/{value[:2]}/{value}"


def unkept(contents: Contents, keep: Mapping[str, Collection[str]], before: float) -> list[Image]:
    """Images pushed before that time that are neither kept nor part of a kept image for several machines."""
    found = []
    for name in contents.apps:
        wanted = set(keep.get(name, ()))
        wanted |= {contents.current(name, tag) for tag in CACHES if wanted and tag in contents.repositories[name].tags}
        for digest in tuple(wanted):
            wanted.update(parts(contents, digest))
        for digest, pushed in sorted(contents.repositories[name].revisions.items()):
            if digest not in wanted and pushed < before:
                found.append(Image(name, digest, pushed, size_of(contents, digest)))
    return found


def parts(contents: Contents, digest: str) -> list[str]:
    """The manifests that an index names."""
    try:
        return [str(one.get("digest")) for one in contents.manifest(digest).get("manifests") or ()]
    except FileNotFoundError:
        return []


def size_of(contents: Contents, digest: str) -> int:
    try:
        return sum(int(layer.get("size") or 0) for layer in contents.manifest(digest).get("layers") or ())
    except FileNotFoundError:
        return 0


def blobs_of(content: dict[str, Any]) -> Iterator[str]:
    """Digests that a manifest of any form needs."""
    for described in (content.get("config"), *(content.get("layers") or ()), *(content.get("manifests") or ())):
        if described:
            yield str(described.get("digest"))
    for layer in content.get("fsLayers") or ():
        yield str(layer.get("blobSum"))


def folders_to_remove(contents: Contents, images: Collection[Image], before: float) -> list[str]:
    """What goes with `images`: their manifests, the tags that name them, repositories that are empty then, uploads that
    broke off, and blobs that no manifest needs any more. What came after `before` may belong to a push under way.

    Only while nothing is written. Raises: RegistryError; then nothing may be removed.
    """
    gone: dict[str, set[str]] = defaultdict(set)
    for image in images:
        gone[image.repository].add(image.digest)
    folders: list[str] = []
    for name, repository in contents.repositories.items():
        if is_empty(name, repository, gone[name], before):
            folders.append(f"{REPOSITORIES}/{name}")
        else:
            folders += links_of(contents, name, gone[name])
            folders += dead_uploads(name, repository, before)
    needed = needed_blobs(contents, gone, before)
    unneeded = (one for one, (stored, _) in contents.blobs.items() if one not in needed and stored < before)
    return folders + [blob_folder(digest) for digest in unneeded]


def is_empty(name: str, repository: Repository, gone: Collection[str], before: float) -> bool:
    """Whether an app's repository has no manifest left and no push under way."""
    rest = repository.revisions.keys() - set(gone)
    young = any(when >= before for when in (*repository.layers.values(), *repository.uploads.values()))
    return "/" not in name and not rest and not young


def dead_uploads(name: str, repository: Repository, before: float) -> list[str]:
    """Where uploads that broke off left what had come of them."""
    return [f"{REPOSITORIES}/{name}/_uploads/{one}" for one, when in repository.uploads.items() if when < before]


def links_of(contents: Contents, name: str, gone: Collection[str]) -> list[str]:
    """Where the manifests `gone` of a repository stand, and the tags that name them."""
    root = f"{REPOSITORIES}/{name}/_manifests"
    folders = [f"{root}/revisions/{digest.replace(':', '/')}" for digest in gone]
    for tag, digests in contents.repositories[name].tags.items():
        named = digests & set(gone)
        if not named:
            continue
        if contents.current(name, tag) in named:
            folders.append(f"{root}/tags/{tag}")
        else:
            folders += [f"{root}/tags/{tag}/index/{digest.replace(':', '/')}" for digest in named]
    return folders


def needed_blobs(contents: Contents, gone: Mapping[str, Collection[str]], before: float) -> set[str]:
    needed: set[str] = set()
    for name, repository in contents.repositories.items():
        needed.update(digest for digest, when in repository.layers.items() if when >= before)
        for digest in repository.revisions.keys() - set(gone.get(name, ())):
            needed.add(digest)
            try:
                needed.update(blobs_of(contents.manifest(digest)))
            except FileNotFoundError:
                continue  # a link without its blob can't be pulled already
    return needed
