"""Which TCP ports an image of the platform's registry exposes."""

import logging
from typing import Any

from controller.registry_api import read_json

log = logging.getLogger(__name__)
PLATFORM = ("linux", "amd64")


def exposed_ports(repository: str, digest: str) -> list[int] | None:
    """Ascending; None when the registry doesn't tell."""
    try:
        manifest = read_json(f"{repository}/manifests/{digest}")
        if "manifests" in manifest:
            manifest = read_json(f"{repository}/manifests/{_of_platform(manifest['manifests'])}")
        config = read_json(f"{repository}/blobs/{manifest['config']['digest']}").get("config") or {}
        ports = [port.partition("/") for port in config.get("ExposedPorts") or {}]
        return sorted(int(port) for port, _, protocol in ports if protocol in ("", "tcp"))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as exc:
        log.warning("an image's ports could not be read", extra={"image": f"{repository}@{digest}", "error": str(exc)})
        return None


def _of_platform(manifests: list[dict[str, Any]]) -> str:
    """The digest of this platform's image in a list of several, else of the first."""
    fitting = [
        one
        for one in manifests
        if ((one.get("platform") or {}).get("os"), (one.get("platform") or {}).get("architecture")) == PLATFORM
    ]
    return (fitting or manifests)[0]["digest"]
