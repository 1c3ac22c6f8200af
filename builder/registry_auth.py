"""How the builder proves itself to a registry: whatever the registry asks for, a password or a token fetched with it.

The token way is the Distribution project's: a 401 names where tokens are (`realm`) and for what (`service`).
"""

from __future__ import annotations

import base64
import hmac
import re
import time
from collections.abc import Mapping

import aiohttp

from builder.errors import RegistryError

PARAMETER = re.compile(r'(\w+)="([^"]*)"')
TOKEN_TIMEOUT = 10.0  # seconds
LIFE = 60.0  # seconds a token lives when its answer doesn't say
MARGIN = 15.0  # seconds before its end in which a token is no longer used


class RefusedLogin(RegistryError):
    """No token for that name and password."""


class RegistryAuth:
    def __init__(self, username: str, password: str) -> None:
        self._basic = aiohttp.encode_basic_auth(username, password) if username else ""
        self._use_basic = False
        self._realm, self._service = "", ""
        self._tokens: dict[str, tuple[str, float]] = {}  # scope → token, when it ends (monotonic)

    @property
    def takes_passwords(self) -> bool:
        """Whether the registry has asked for name and password themselves."""
        return self._use_basic

    def learn(self, headers: Mapping[str, str], repository: str, source: str) -> bool:
        """Read a 401; whether asking again may help. A token that was refused is forgotten."""
        if not self._basic:
            return False
        known = self._tokens.pop(scope_of(repository, source), None)
        scheme, _, rest = headers.get("WWW-Authenticate", "").partition(" ")
        if scheme.lower() == "bearer":
            told = dict(PARAMETER.findall(rest))
            before, (self._realm, self._service) = self._realm, (told.get("realm", ""), told.get("service", ""))
            return bool(self._realm) and (known is not None or before != self._realm)
        already, self._use_basic = self._use_basic, scheme.lower() == "basic"
        return self._use_basic and not already

    async def header(self, session: aiohttp.ClientSession, repository: str, source: str) -> dict[str, str]:
        """The Authorization header for pulling from and pushing to `repository`, reading `source`; none at first.

        Raises: RegistryError, aiohttp.ClientError.
        """
        if not self._basic or not (self._use_basic or self._realm):
            return {}
        if self._use_basic:
            return {"Authorization": self._basic}
        scope = scope_of(repository, source)
        token, ends = self._tokens.get(scope, ("", 0.0))
        if time.monotonic() >= ends:
            token, life = await self._fetch(session, scope)
            now = time.monotonic()
            self._tokens = {known: held for known, held in self._tokens.items() if held[1] > now}
            self._tokens[scope] = token, now + life - MARGIN
        return {"Authorization": f"Bearer {token}"}

    async def token(self, session: aiohttp.ClientSession, scope: str, seconds: float) -> str:
        """A new token for `scope` and nothing else, good for so long where the registry is the platform's; empty when
        no registry has asked for one.

        Raises: RegistryError, aiohttp.ClientError.
        """
        return (await self._fetch(session, scope, life=seconds))[0] if self._realm else ""

    async def takes(self, session: aiohttp.ClientSession, username: str, password: str, scope: str) -> bool:
        """Whether a token is to be had with another login. Raises: RegistryError, aiohttp.ClientError."""
        if not self._realm:
            return False
        try:
            await self._fetch(session, scope, aiohttp.encode_basic_auth(username, password))
        except RefusedLogin:
            return False
        return True

    async def _fetch(
        self, session: aiohttp.ClientSession, scope: str, login: str = "", life: float = 0
    ) -> tuple[str, float]:
        params = [("service", self._service), *(("scope", part) for part in scope.split())]
        if life:
            params.append(("life", f"{life:.0f}"))
        limit = aiohttp.ClientTimeout(total=TOKEN_TIMEOUT)
        headers = {"Authorization": login or self._basic}
        async with session.get(self._realm, params=params, headers=headers, timeout=limit) as response:
            if response.status in (401, 403):
                raise RefusedLogin("The image registry refused the builder's credentials.")
            if response.status != 200:
                raise RegistryError(f"No token for the image registry: {self._realm} answered {response.status}.")
            answer = await response.json(content_type=None)
        return answer.get("token") or answer["access_token"], float(answer.get("expires_in") or LIFE)


def builds_login(builder_key: str, until: int) -> tuple[str, str]:
    """Name and password with which nodes that build pull the platform's own images from its registry, and nothing
    else, until that time (seconds since the epoch). The controller computes the same."""
    digest = hmac.digest(builder_key.encode(), f"registry-builds:{until}".encode(), "sha256")
    return f"builds/{until}", base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def scope_of(repository: str, source: str) -> str:
    """What a token is asked for, as the registry words it."""
    scope = f"repository:{repository}:pull,push,delete"
    return f"{scope} repository:{source}:pull" if source and source != repository else scope
