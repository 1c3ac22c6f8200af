"""The platform's registry over HTTP: what the controller reads there, and images copied between repositories."""

import base64
import http.client
import json
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from django.conf import settings

from controller.errors import ClusterTrouble, cause_of
from controller.registry_tokens import Signer, Wanted

TIMEOUT = 10  # seconds a call
TOKEN_LIFE = 60  # seconds
LARGEST = 4 << 20  # bytes of a manifest or config
INDEXES = ("application/vnd.docker.distribution.manifest.list.v2+json", "application/vnd.oci.image.index.v1+json")
MANIFESTS = ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json")
ACCEPTED = ", ".join((*MANIFESTS, *INDEXES))


class RegistryTrouble(ClusterTrouble):
    """The registry refused, lacks the image or can't be reached."""


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def read_json(path: str) -> dict[str, Any]:
    """The document at `/v2/PATH`. Raises: OSError, ValueError."""
    _, _, body = _call("GET", path, [Wanted(path.split("/")[0], ("pull",))])
    return json.loads(body)


def split_reference(image: str) -> tuple[str, str] | None:
    """(repository, digest or tag) of an image in the platform's registry; None for any other."""
    prefix = f"{settings.REGISTRY_HOST}/"
    if not image.startswith(prefix):
        return None
    rest = image.removeprefix(prefix)
    name, at, digest = rest.partition("@")
    if at:
        return name.partition(":")[0], digest
    name, _, tag = rest.partition(":")
    return name, tag or "latest"


def copy_image(reference: str, source: str, target: str, tag: str = "") -> str:
    """Puts the image `reference` of the repository `source` into `target` too, and returns its digest.

    No layer travels: the registry mounts them. With a tag the image is found by it, too.
    Raises: RegistryTrouble.
    """
    wanted = [Wanted(source, ("pull",)), Wanted(target, ("pull", "push"))]
    try:
        return _copy_manifest(reference, source, target, tag, wanted)
    except HTTPError as exc:
        raise RegistryTrouble(
            f"the registry refused to copy {source}@{reference} to {target} (status {exc.code}); "
            "is the image still there? push or promote again"
        ) from exc
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as exc:
        raise RegistryTrouble(f"the registry can't be reached to copy {source}@{reference}: {cause_of(exc)}") from exc


def _copy_manifest(reference: str, source: str, target: str, tag: str, wanted: list[Wanted]) -> str:
    _, headers, body = _call("GET", f"{source}/manifests/{reference}", wanted)
    kind, document = headers.get("Content-Type", "").partition(";")[0], json.loads(body)
    if kind in INDEXES:
        for part in document["manifests"]:
            _copy_manifest(part["digest"], source, target, "", wanted)
    else:
        for blob in (document["config"], *document["layers"]):
            if not blob.get("urls"):
                _mount(blob["digest"], source, target, wanted)
    digest = headers.get("Docker-Content-Digest") or reference
    _call("PUT", f"{target}/manifests/{tag or digest}", wanted, body, {"Content-Type": kind})
    return digest


def _mount(digest: str, source: str, target: str, wanted: list[Wanted]) -> None:
    """Has the registry take a blob of `source` into `target`. Raises: HTTPError, OSError."""
    query = f"mount={quote(digest)}&from={quote(source)}"
    status, _, _ = _call("POST", f"{target}/blobs/uploads/?{query}", wanted, b"")
    if status != 201:
        raise OSError(f"blob {digest[:19]} can't be mounted from {source} (status {status})")


def permit(wanted: list[Wanted]) -> dict[str, str]:
    """The header to do what is `wanted`: a token that we sign, or the platform's password at another registry."""
    if settings.REGISTRY_TOKEN_KEY:
        signer = Signer(settings.REGISTRY_TOKEN_KEY, settings.REGISTRY_TOKEN_CERT)
        return {"Authorization": f"Bearer {signer.token('controller', wanted, TOKEN_LIFE)}"}
    login = settings.REGISTRY_CREDENTIALS
    if not login:
        return {}
    joined = base64.b64encode(f"{login['username']}:{login['password']}".encode()).decode()
    return {"Authorization": f"Basic {joined}"}


def _call(
    method: str, path: str, wanted: list[Wanted], body: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any, bytes]:
    sent = {"Accept": ACCEPTED, **(headers or {}), **permit(wanted)}
    url = f"{settings.REGISTRY_URL}/v2/{path}"
    request = Request(url, data=body, headers=sent, method=method)
    with build_opener(ProxyHandler({}), _Stay).open(request, timeout=TIMEOUT) as answer:
        return answer.status, answer.headers, answer.read(LARGEST)
