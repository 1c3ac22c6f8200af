"""The registry's HTTP API: blobs are sent only when it lacks them, manifests are told by digest."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urljoin

import aiohttp

from builder.disk import NEXT
from builder.errors import RegistryError
from builder.registry_auth import RegistryAuth, builds_login
from builder.settings import Registry

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
CALL_TIMEOUT = 30.0  # seconds
UPLOAD_TIMEOUT = 600.0
CHUNK = 1 << 18
RESTART_PATIENCE, COLLECTION_PATIENCE = 10.0, 120.0  # seconds
RETRY_EVERY = 0.3  # seconds
DISK_FULL = re.compile(rb'"Err": ?28\b|no space left on device')  # in the server's words


class PartsMissing(RegistryError):
    """A manifest names blobs that the registry doesn't have."""


@dataclass(frozen=True)
class Manifest:
    digest: str
    content: dict[str, Any]


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class RegistryClient:
    def __init__(self, registry: Registry) -> None:
        self._base = f"{registry.base}/v2/"
        self._session: aiohttp.ClientSession | None = None
        self._auth = RegistryAuth(registry.username, registry.password)

    async def __aenter__(self) -> RegistryClient:
        self._session = aiohttp.ClientSession(trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def manifest(self, repository: str, reference: str) -> Manifest | None:
        """A manifest by tag or digest, or None."""
        headers = {"Accept": f"{MANIFEST}, {OCI_MANIFEST}"}
        status, body, answered = await self._call("GET", repository, f"manifests/{reference}", headers=headers)
        if status == 404:
            return None
        self._expect(status, body, 200)
        return Manifest(answered.get("Docker-Content-Digest") or digest_of(body), json.loads(body))

    async def blob(self, repository: str, digest: str) -> bytes:
        status, body, _ = await self._call("GET", repository, f"blobs/{digest}")
        self._expect(status, body, 200)
        return body

    async def has_blob(self, repository: str, digest: str) -> bool:
        status, body, _ = await self._call("HEAD", repository, f"blobs/{digest}")
        if status not in (200, 404):
            self._expect(status, body, 200)
        return status == 200

    async def mount(self, repository: str, digest: str, source: str) -> None:
        """Make a blob of another repository part of this one, without sending it."""
        if await self.has_blob(repository, digest):
            return
        params = {"mount": digest, "from": source}
        status, body, answered = await self._call("POST", repository, "blobs/uploads/", params=params, source=source)
        if status == 202:
            await self._call("DELETE", repository, answered["Location"])
            raise RegistryError(
                f"The registry has lost a layer of {source}; `python -m builder stack` and a restart bring it back."
            )
        self._expect(status, body, 201)

    async def upload(
        self, repository: str, digest: str, content: bytes | IO[bytes], size: int, is_new: bool = False
    ) -> bool:
        """Send a blob unless the registry has it; whether it was sent. Of a new one it is only asked in trouble."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        for attempt in range(3):
            if (attempt or not is_new) and await self.has_blob(repository, digest):
                return False
            status, body, answered = await self._call("POST", repository, "blobs/uploads/")
            self._expect(status, body, 202)
            status, body, _ = await self._call(
                "PUT",
                repository,
                answered["Location"],
                params={"digest": digest},
                body=content,
                headers=headers,
                seconds=UPLOAD_TIMEOUT,
            )
            if status == 404 and attempt < 2:
                continue  # a restart of the registry ended the upload, or took the answer of one that was complete
            self._expect(status, body, 201)
            return True
        raise AssertionError("the last try returned")

    async def push_token(self, repository: str, source: str, seconds: float) -> str:
        """What lets somebody else push to `repository` and pull from `source` for so long, and no more; empty if none
        is needed.

        Raises: RegistryError when the registry knows only passwords, which open everything.
        """
        await self._call("GET", repository, "tags/list")  # asks for a token, should one be needed
        if self._auth.takes_passwords:
            raise RegistryError(
                "The image registry gives no tokens for one repository, which a Dockerfile's build needs."
            )
        assert self._session is not None
        try:
            scope = f"repository:{repository}:pull,push repository:{source}:pull"
            return await self._auth.token(self._session, scope, seconds)
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise RegistryError(f"No token for the image registry ({exc or 'timed out'}).") from exc

    async def node_login(self, registry: Registry, repository: str, builder_key: str, seconds: float) -> Registry:
        """A login for `registry` with which nodes can pull `repository` and the platform's other own images, and do
        nothing else, for so long. A registry that isn't the platform's gives none: there it is the builder's own.

        Raises: RegistryError.
        """
        await self._call("GET", repository, "tags/list")  # asks for a token, should one be needed
        name, password = builds_login(builder_key, int(time.time() + seconds))
        assert self._session is not None
        try:
            limited = await self._auth.takes(self._session, name, password, f"repository:{repository}:pull")
        except (aiohttp.ClientError, TimeoutError) as exc:
            raise RegistryError(f"No token for the image registry ({exc or 'timed out'}).") from exc
        return Registry(registry.host, name, password) if limited else registry

    async def put_manifest(self, repository: str, tag: str, manifest: dict[str, Any]) -> str:
        """Its digest. Raises: PartsMissing, RegistryError."""
        content = json.dumps(manifest, separators=(",", ":"), sort_keys=True).encode()
        headers = {"Content-Type": manifest["mediaType"]}
        status, body, _ = await self._call("PUT", repository, f"manifests/{tag}", body=content, headers=headers)
        if b"MANIFEST_BLOB_UNKNOWN" in body:
            raise PartsMissing("The image registry lost a part of the image while it collected; push again.")
        self._expect(status, body, 201)
        return digest_of(content)

    async def _call(self, method: str, repository: str, path: str, **more: Any) -> tuple[int, bytes, Any]:
        """As `_ask`; waits while the registry restarts, and while it takes no writes because it collects."""
        gone, collecting = (time.monotonic() + patience for patience in (RESTART_PATIENCE, COLLECTION_PATIENCE))
        while True:
            try:
                status, body, answered = await self._ask(method, repository, path, **more)
                if status != 405 or time.monotonic() > collecting:
                    return status, body, answered
            except aiohttp.ClientConnectionError as exc:
                if time.monotonic() > gone:
                    raise RegistryError(f"The image registry doesn't answer ({exc}).") from exc
            except (aiohttp.ClientError, TimeoutError, OSError) as exc:
                raise RegistryError(f"The image registry doesn't answer ({exc or 'timed out'}).") from exc
            await asyncio.sleep(RETRY_EVERY)

    async def _ask(
        self,
        method: str,
        repository: str,
        path: str,
        *,
        source: str = "",
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        seconds: float = CALL_TIMEOUT,
    ) -> tuple[int, bytes, Any]:
        """`path` is relative to the repository, or a URL that the registry gave; `source` is mounted from.

        Asks a second time when the registry says who must ask.
        """
        assert self._session is not None
        url = urljoin(f"{self._base}{repository}/", path)
        limit = aiohttp.ClientTimeout(total=seconds, sock_connect=5)
        for first in (True, False):
            permit = await self._auth.header(self._session, repository, source)
            data = body if body is None or isinstance(body, bytes) else pieces(body)
            async with self._session.request(
                method, url, params=params, data=data, headers={**(headers or {}), **permit}, timeout=limit
            ) as response:
                if first and response.status == 401 and self._auth.learn(response.headers, repository, source):
                    continue
                return response.status, await response.read(), response.headers
        raise AssertionError("the second answer was returned")

    @staticmethod
    def _expect(status: int, body: bytes, wanted: int) -> None:
        if status == wanted:
            return
        if status == 401:
            raise RegistryError("The image registry refused the builder's credentials.")
        if status == 405:
            raise RegistryError("The image registry takes no images while it collects unused ones; push again later.")
        if status == 507 or DISK_FULL.search(body):
            raise RegistryError(f"The image registry's disk is full: the image wasn't stored. {NEXT}")
        try:
            told = json.loads(body)["errors"][0]["message"]
        except (ValueError, KeyError, IndexError, TypeError):
            told = f"status {status}"
        raise RegistryError(f"The image registry refused the image: {told}.")


async def pieces(content: IO[bytes]) -> AsyncIterator[bytes]:
    content.seek(0)
    while chunk := await asyncio.to_thread(content.read, CHUNK):
        yield chunk
