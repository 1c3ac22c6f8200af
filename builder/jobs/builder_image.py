"""What a Cloud Native Buildpacks builder image says of itself, read in its registry: no engine is at hand.

Anybody may name an image. Of the platform's own registry it can be one of the platform's images, which have a slash in
their names, and no app's; elsewhere it is one that everybody may pull, on a public host or one the operator allows.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from builder.cnb_layout import split_name
from builder.egress import proxy_of, refuse_literal, resolve
from builder.errors import BuildFailed
from builder.registry_api import MANIFEST, OCI_MANIFEST, RegistryClient
from builder.settings import Settings

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
ACCEPTED = ", ".join((*INDEXES, OCI_MANIFEST, MANIFEST))
PARAMETER = re.compile(r'(\w+)="([^"]*)"')
HUB = {"index.docker.io": "registry-1.docker.io", "docker.io": "registry-1.docker.io"}
LARGEST = 4 << 20  # bytes of a manifest or config
TIMEOUT = 30.0  # seconds a call


@dataclass(frozen=True)
class Place:
    """Where an image is."""

    host: str
    repository: str
    reference: str  # tag or digest


def place_of(image: str) -> Place:
    registry, repository, reference = split_name(image)
    return Place(HUB.get(registry, registry), repository, reference)


class BuilderImages:
    def __init__(self, registry: RegistryClient, settings: Settings, scheme: str = "https") -> None:
        self._registry, self._settings, self._scheme = registry, settings, scheme

    async def inspect(self, image: str) -> Mapping[str, Any]:
        """As an engine would describe it: `{"Config": …}`. Raises: BuildFailed, RegistryError."""
        place = place_of(image)
        if place.host == self._settings.registry.host:
            config = await self._ours(image, place)
        else:
            config = await self._theirs(image, place)
        return {"Config": config.get("config") or {}}

    async def _ours(self, image: str, place: Place) -> dict[str, Any]:
        if "/" not in place.repository:
            raise BuildFailed(f"{image} (CNB_BUILDER) is an app's image, which is no builder for others.")
        manifest = await self._registry.manifest(place.repository, place.reference)
        if manifest is None or "config" not in manifest.content:
            raise BuildFailed(f"The registry has no {image} (CNB_BUILDER) for one platform.")
        blob = await self._registry.blob(place.repository, manifest.content["config"]["digest"])
        return dict(json.loads(blob))

    async def _theirs(self, image: str, place: Place) -> dict[str, Any]:
        connector = aiohttp.TCPConnector(resolver=Checked(self._settings))
        limit = aiohttp.ClientTimeout(total=TIMEOUT)
        try:
            async with aiohttp.ClientSession(connector=connector, timeout=limit) as session:
                reader = Reader(session, place, self._settings, self._scheme)
                manifest = await reader.json(f"manifests/{place.reference}")
                if "manifests" in manifest:
                    manifest = await reader.json(f"manifests/{for_this_machine(manifest)}")
                return await reader.json(f"blobs/{manifest['config']['digest']}")
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise BuildFailed(f"{image} (CNB_BUILDER) can't be read: {exc or 'its registry is silent'}.") from exc
        except (ValueError, KeyError, TypeError) as exc:
            raise BuildFailed(f"{image} (CNB_BUILDER) can't be read: its registry has no such image for us.") from exc
        except BuildFailed as exc:
            raise BuildFailed(str(exc).replace("The git host", "The registry")) from exc


def for_this_machine(index: Mapping[str, Any]) -> str:
    """The digest of the image for Linux on x86-64. Raises: KeyError."""
    for one in index["manifests"]:
        wanted = one.get("platform") or {}
        if (wanted.get("os"), wanted.get("architecture")) == ("linux", "amd64"):
            return str(one["digest"])
    raise KeyError("linux/amd64")


class Reader:
    """Reads one repository, with the token that its registry gives to everybody."""

    def __init__(self, session: aiohttp.ClientSession, place: Place, settings: Settings, scheme: str) -> None:
        self._session, self._settings = session, settings
        self._base = f"{scheme}://{place.host}/v2/{place.repository}/"
        self._scope, self._token = f"repository:{place.repository}:pull", ""

    async def json(self, path: str) -> dict[str, Any]:
        """Raises: aiohttp.ClientError, ValueError, BuildFailed."""
        for first in (True, False):
            headers = {"Accept": ACCEPTED, **({"Authorization": f"Bearer {self._token}"} if self._token else {})}
            status, asked, content = await self._get(self._base + path, headers)
            if status == 401 and first and asked.lower().startswith("bearer "):
                await self._ask_for_token(dict(PARAMETER.findall(asked)))
                continue
            break
        if status != 200 or len(content) > LARGEST:
            raise ValueError(f"status {status}")
        return dict(json.loads(content))

    async def _ask_for_token(self, told: Mapping[str, str]) -> None:
        query = {"service": told.get("service", ""), "scope": self._scope}
        _, _, content = await self._get(told.get("realm", ""), {}, query)
        answer = json.loads(content)
        self._token = str(answer.get("token") or answer["access_token"])

    async def _get(
        self, url: str, headers: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> tuple[int, str, bytes]:
        """Status, what it asks for, and at most as much as is read. Blobs may lie elsewhere: redirects are followed."""
        for _ in range(4):
            refuse_literal(urlsplit(url), self._settings.fetch_allow)
            proxy = proxy_of(urlsplit(url), self._settings.host) or None
            async with self._session.get(
                url, headers=headers, params=query, proxy=proxy, allow_redirects=False
            ) as answer:
                if answer.status not in (301, 302, 303, 307, 308):
                    content = await answer.content.read(LARGEST + 1)
                    while len(content) <= LARGEST and (more := await answer.content.read(LARGEST)):
                        content += more
                    return answer.status, answer.headers.get("WWW-Authenticate", ""), content
                url, headers, query = str(answer.url.join(URL(answer.headers["Location"]))), {}, None
        raise ValueError("too many redirects")


class Checked(AbstractResolver):
    """Resolves names to addresses that the builder may reach; the connection goes to the one that was checked."""

    def __init__(self, settings: Settings) -> None:
        proxies = (urlsplit(value).hostname for name, value in settings.host.items() if name.lower().endswith("_proxy"))
        self._allowed, self._proxies = settings.fetch_allow, set(proxies)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host in self._proxies:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            address = str(found[0][4][0])
        else:
            address = await resolve(urlsplit(f"https://{host}:{port or 443}"), self._allowed)
        version = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=version, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is held."""
