"""Which TCP ports an image of the platform's registry exposes."""

import base64
import json
import logging
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from django.conf import settings

from controller.registry_tokens import Signer, Wanted

log = logging.getLogger(__name__)
TIMEOUT = 10  # seconds a call
TOKEN_LIFE = 60  # seconds
LARGEST = 4 << 20  # bytes of a manifest or config
ACCEPTED = ", ".join(
    f"application/vnd.{kind}+json"
    for kind in (
        "docker.distribution.manifest.v2",
        "docker.distribution.manifest.list.v2",
        "oci.image.manifest.v1",
        "oci.image.index.v1",
    )
)
PLATFORM = ("linux", "amd64")


def exposed_ports(repository: str, digest: str) -> list[int] | None:
    """Ascending; None when the registry doesn't tell."""
    try:
        manifest = _read(f"{repository}/manifests/{digest}")
        if "manifests" in manifest:
            manifest = _read(f"{repository}/manifests/{_of_platform(manifest['manifests'])}")
        config = _read(f"{repository}/blobs/{manifest['config']['digest']}").get("config") or {}
        ports = [port.partition("/") for port in config.get("ExposedPorts") or {}]
        return sorted(int(port) for port, _, protocol in ports if protocol in ("", "tcp"))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as exc:
        log.warning("an image's ports could not be read", extra={"image": f"{repository}@{digest}", "error": str(exc)})
        return None


def permit(repository: str) -> dict[str, str]:
    """The header to read `repository` with: a token that we sign, or the platform's password at another registry."""
    if settings.REGISTRY_TOKEN_KEY:
        signer = Signer(settings.REGISTRY_TOKEN_KEY, settings.REGISTRY_TOKEN_CERT)
        token = signer.token("controller", [Wanted(repository, ("pull",))], TOKEN_LIFE)
        return {"Authorization": f"Bearer {token}"}
    login = settings.REGISTRY_CREDENTIALS
    if not login:
        return {}
    joined = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
    return {"Authorization": f"Basic {joined}"}


def _of_platform(manifests: list[dict[str, Any]]) -> str:
    """The digest of this platform's image in a list of several, else of the first."""
    fitting = [
        one
        for one in manifests
        if ((one.get("platform") or {}).get("os"), (one.get("platform") or {}).get("architecture")) == PLATFORM
    ]
    return (fitting or manifests)[0]["digest"]


def _read(path: str) -> dict[str, Any]:
    headers = {"Accept": ACCEPTED, **permit(path.split("/")[0])}
    request = Request(f"http://{settings.REGISTRY_HOST}/v2/{path}", headers=headers)  # noqa: S310 - our own registry
    with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT) as answer:
        return json.loads(answer.read(LARGEST))
