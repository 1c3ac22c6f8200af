"""The registry's HTTP API: blobs are sent only when it lacks them, manifests are told by digest."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urljoin

import aiohttp

from builder.errors import RegistryError
from builder.settings import Registry

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
CALL_TIMEOUT = 30.0  # seconds
UPLOAD_TIMEOUT = 600.0
CHUNK = 1 << 18


@dataclass(frozen=True)
class Manifest:
    digest: str
    content: dict[str, Any]


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class RegistryClient:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._base = f"http://{registry.host}/v2/"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> RegistryClient:
        auth = aiohttp.BasicAuth(self._registry.username, self._registry.password) if self._registry.username else None
        self._session = aiohttp.ClientSession(auth=auth, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def manifest(self, repository: str, reference: str) -> Manifest | None:
        """A manifest by tag or digest, or None."""
        headers = {"Accept": f"{MANIFEST}, {OCI_MANIFEST}"}
        status, body, answered = await self._call("GET", f"{repository}/manifests/{reference}", headers=headers)
        if status == 404:
            return None
        self._expect(status, body, 200)
        return Manifest(answered.get("Docker-Content-Digest") or digest_of(body), json.loads(body))

    async def blob(self, repository: str, digest: str) -> bytes:
        status, body, _ = await self._call("GET", f"{repository}/blobs/{digest}")
        self._expect(status, body, 200)
        return body

    async def has_blob(self, repository: str, digest: str) -> bool:
        status, body, _ = await self._call("HEAD", f"{repository}/blobs/{digest}")
        if status not in (200, 404):
            self._expect(status, body, 200)
        return status == 200

    async def mount(self, repository: str, digest: str, source: str) -> None:
        """Make a blob of another repository part of this one, without sending it."""
        if await self.has_blob(repository, digest):
            return
        params = {"mount": digest, "from": source}
        status, body, answered = await self._call("POST", f"{repository}/blobs/uploads/", params=params)
        if status == 202:
            await self._call("DELETE", answered["Location"])
            raise RegistryError(
                f"The registry has lost a layer of {source}; `python -m builder stack` and a restart bring it back."
            )
        self._expect(status, body, 201)

    async def upload(self, repository: str, digest: str, content: bytes | IO[bytes], size: int) -> bool:
        """Send a blob unless the registry has it; whether it was sent."""
        if await self.has_blob(repository, digest):
            return False
        status, body, answered = await self._call("POST", f"{repository}/blobs/uploads/")
        self._expect(status, body, 202)
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        data = content if isinstance(content, bytes) else pieces(content)
        status, body, _ = await self._call(
            "PUT", answered["Location"], params={"digest": digest}, data=data, headers=headers, seconds=UPLOAD_TIMEOUT
        )
        self._expect(status, body, 201)
        return True

    async def put_manifest(self, repository: str, tag: str, manifest: dict[str, Any]) -> str:
        """Its digest."""
        content = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()
        headers = {"Content-Type": manifest["mediaType"]}
        status, body, _ = await self._call("PUT", f"{repository}/manifests/{tag}", data=content, headers=headers)
        self._expect(status, body, 201)
        return digest_of(content)

    async def _call(
        self, method: str, path: str, *, params=None, data=None, headers=None, seconds: float = CALL_TIMEOUT
    ) -> tuple[int, bytes, Any]:
        assert self._session is not None
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=5)
        try:
            async with self._session.request(
                method, urljoin(self._base, path), params=params, data=data, headers=headers, timeout=limit
            ) as response:
                return response.status, await response.read(), response.headers
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise RegistryError(f"The image registry doesn't answer ({exc or 'timed out'}).") from exc

    @staticmethod
    def _expect(status: int, body: bytes, wanted: int) -> None:
        if status == wanted:
            return
        if status == 401:
            raise RegistryError("The image registry refused the builder's credentials.")
        try:
            told = json.loads(body)["errors"][0]["message"]
        except (ValueError, KeyError, IndexError, TypeError):
            told = f"status {status}"
        raise RegistryError(f"The image registry refused the image: {told}.")


async def pieces(content: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(content.read, CHUNK):
        yield chunk
