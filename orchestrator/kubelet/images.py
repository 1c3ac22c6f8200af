"""Image references, pull policies and pull credentials: pure decisions about images."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_HOST = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?::[a-zA-Z0-9_][a-zA-Z0-9_.-]{{0,127}})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{{32,}})?"
)
HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")


def is_reference(reference: str) -> bool:
    """Whether it reads as an image's name, by tag, digest or the engine's own id.

    Source: github.com/distribution/reference, regexp.go.
    """
    return bool(_REFERENCE.fullmatch(reference.removeprefix("sha256:") or "-"))


def names_registry(reference: str) -> bool:
    """True of `host.example/app`, `127.0.0.1:5000/app` and `localhost/app`; false of a bare `app` or `team/app`."""
    first, slash, _ = reference.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def split_reference(reference: str) -> tuple[str, str]:
    """(name, tag or digest); the tag is `latest` when none is given."""
    if "@" in reference:
        name, _, digest = reference.partition("@")
        return name, digest
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "latest")


def registry_of(reference: str) -> str:
    return reference.partition("/")[0] if names_registry(reference) else ""


def must_pull(policy: str, reference: str, *, present: bool) -> bool:
    """Whether to pull before a start. A reference without a registry names an image of this node: never pulled again.

    Source: kubernetes pkg/kubelet/images/image_manager.go, shouldPullImage.
    """
    if policy == "Never":
        return False
    if policy == "Always":
        return names_registry(reference) or not present
    return not present


def credentials_for(reference: str, secrets: Iterable[Mapping[str, Any]]) -> dict[str, str] | None:
    """What the first pull secret that knows the image's registry says, in the engine's form.

    Source: kubernetes pkg/credentialprovider: the longest matching registry path wins; here hosts, then paths.
    """
    registry, best = registry_of(reference), ("", None)
    for secret in secrets:
        for server, entry in docker_config(secret).items():
            host = server.removeprefix("https://").removeprefix("http://").rstrip("/")
            bare = host.partition("/")[0]
            matches = bare == registry or (registry in HUB_NAMES and bare in HUB_NAMES)
            path = host.partition("/")[2]
            if path in ("v1", "v2"):
                path = ""
            if matches and reference.startswith(f"{registry}/{path}") and len(host) > len(best[0]):
                best = (host, entry)
    return None if best[1] is None else engine_credentials(best[1], registry)


def docker_config(secret: Mapping[str, Any]) -> dict[str, Any]:
    """registry → entry of a pull secret; empty when it holds none or is broken."""
    data = secret.get("data") or {}
    try:
        if ".dockerconfigjson" in data:
            return dict(orjson.loads(base64.b64decode(data[".dockerconfigjson"])).get("auths") or {})
        if ".dockercfg" in data:
            return dict(orjson.loads(base64.b64decode(data[".dockercfg"])))
    except (ValueError, AttributeError):
        return {}
    return {}


def engine_credentials(entry: Mapping[str, Any], registry: str) -> dict[str, str]:
    username, password = entry.get("username") or "", entry.get("password") or ""
    if not username and entry.get("auth"):
        try:
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except ValueError:
            username = password = ""
    return {"username": username, "password": password, "serveraddress": registry}
