"""The controller's builder hooks: who a key is, what an app's config is, make a release."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

from builder.errors import ControllerError, DeployFailed

CALL_TIMEOUT = 20.0  # seconds
RETRY_FOR = 6.0  # seconds a restarting controller is waited for
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class Identity:
    username: str
    apps: frozenset[str]
    uuids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GitSource:
    """The git host that an app is connected to."""

    uuid: str
    url: str
    branch: str
    private_key: str = field(repr=False)

    @classmethod
    def read(cls, answer: Mapping[str, Any] | None) -> GitSource | None:
        return cls(*(str(answer[name]) for name in ("uuid", "url", "branch", "private_key"))) if answer else None


@dataclass(frozen=True)
class Run:
    """A build as the controller records it, and how the app's source is built."""

    uuid: str
    number: int
    app: str
    app_uuid: str
    root: str = ""
    paths: tuple[str, ...] = ()
    submodules: bool = False
    git: GitSource | None = None
    user: str = ""
    wish: Mapping[str, str] = field(default_factory=dict)  # of a queued one

    @classmethod
    def read(cls, answer: Mapping[str, Any], git: Mapping[str, Any] | None) -> Run:
        settings = answer.get("settings") or {}
        return cls(
            str(answer["uuid"]), int(answer["number"]), str(answer["app"]), str(answer.get("app_uuid") or ""),
            settings.get("root") or "", tuple(settings.get("paths") or ()), bool(settings.get("submodules")),
            GitSource.read(git), str(answer.get("by") or ""), answer.get("wish") or {},
        )  # fmt: skip


@dataclass(frozen=True)
class Release:
    version: int
    url: str = ""


class Controller:
    def __init__(self, url: str, key: str, deploy_timeout: float = 900.0) -> None:
        self._url, self._headers, self._deploy_timeout = url, {"X-Deis-Builder-Auth": key}, deploy_timeout
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Controller:
        self._session = aiohttp.ClientSession(trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def identify(self, fingerprint: str) -> Identity | None:
        """Whose key this is, or None. Raises: ControllerError when there is no telling."""
        try:
            answer = await self._call("GET", f"/v2/hooks/key/{quote(fingerprint, safe=':')}")
        except ControllerError as exc:
            if exc.status == 404:
                return None
            raise
        return Identity(str(answer["username"]), frozenset(answer.get("apps") or ()), answer.get("uuids") or {})

    async def may_use(self, app: str, username: str) -> bool:
        try:
            await self._call("GET", f"/v2/hooks/keys/{app}/{quote(username, safe='')}")
        except ControllerError as exc:
            if exc.status in (403, 404):
                return False
            raise
        return True

    async def authorize(self, app: str, token: str) -> tuple[str, str]:
        """(user, the app's uuid) of who may deploy to `app` with `token`.

        Raises: ControllerError with status 401, 403 or 404 when nobody may, or there is no telling.
        """
        answer = await self._call("GET", f"/v2/hooks/push/{app}", headers={"Authorization": f"token {token}"})
        return str(answer["username"]), str(answer["uuid"])

    async def begin_run(self, app: str, username: str, **fields: str) -> Run:
        """The record of a build that begins; `fields`: source, origin, ref, sha."""
        answer = await self._call(
            "POST", "/v2/hooks/build-runs/", {"receive_user": username, "receive_repo": app, **fields}
        )
        return Run.read(answer, answer.get("git"))

    async def start_run(self, uuid: str) -> bool:
        """Whether a claimed build may begin; False when it was cancelled."""
        try:
            await self._call("POST", f"/v2/hooks/build-runs/{uuid}/", {"state": "building"})
        except ControllerError as exc:
            if exc.status in (404, 409):
                return False
            raise
        return True

    async def end_run(self, uuid: str, end: Mapping[str, str]) -> None:
        """`end`: state, cause, hint, sha. A run of an app that is gone needs no end."""
        try:
            await self._call("POST", f"/v2/hooks/build-runs/{uuid}/", dict(end))
        except ControllerError as exc:
            if exc.status not in (400, 404):
                raise

    async def claim_run(self) -> Run | None:
        """The next build that waits for a builder."""
        answer = await self._call("POST", "/v2/hooks/build-runs/claim", {})
        return Run.read(answer["run"], answer.get("git")) if answer.get("run") else None

    async def abandon_runs(self, age: float) -> None:
        """Nobody builds what was being built before this builder began, `age` seconds ago."""
        await self._call("POST", "/v2/hooks/build-runs/abandoned", {"age": age})

    async def deliver(self, app: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """Pass on a git host's delivery: (status, answer). Raises: ControllerError when the controller is away."""
        timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT, sock_connect=5)
        try:
            async with self._http.post(
                f"{self._url}/v2/hooks/webhook/{app}", data=body, headers={**headers, **self._headers}, timeout=timeout
            ) as response:
                text = await response.text()
                answer = json.loads(text) if response.status < 500 else None
                if not isinstance(answer, dict):
                    answer = {"detail": reason(text, response.status)}
                return response.status, answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise ControllerError("The platform's controller doesn't answer. Deliver again in a minute.") from exc

    async def config(self, app: str, username: str) -> dict[str, str]:
        """The app's config values."""
        body = {"receive_user": username, "receive_repo": app}
        answer = await self._call("POST", "/v2/hooks/config/", body)
        return {str(key): str(value) for key, value in (answer.get("values") or {}).items()}

    async def release(self, build: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> Release:
        """Make the build live; `tell` gets the progress objects of a controller that streams them.

        Raises: DeployFailed with the controller's reason.
        """
        headers = {**self._headers, "Accept": f"{NDJSON}, application/json;q=0.9"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self._deploy_timeout)
        try:
            async with self._http.post(
                self._url + "/v2/hooks/build/", json=build, headers=headers, timeout=timeout
            ) as response:
                if response.status == 200 and response.content_type == NDJSON:
                    return await _last_of_stream(response, tell)
                text = await response.text()
                if response.status != 200:
                    raise DeployFailed(reason(text, response.status))
                return parse_release(json.loads(text))
        except TimeoutError as exc:
            seconds = f"{self._deploy_timeout:.0f} s"
            text = f"The controller said nothing for {seconds}; `paas releases` tells what became of it."
            raise DeployFailed(text) from exc
        except (aiohttp.ClientError, OSError, ValueError, KeyError, TypeError) as exc:
            raise DeployFailed(
                "The controller went away while it made the release; `paas releases` tells whether it did. Push again."
            ) from exc

    @property
    def _http(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    async def _call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON answer; a controller that is starting again is waited for, a while."""
        deadline = asyncio.get_running_loop().time() + RETRY_FOR
        while True:
            try:
                timeout = aiohttp.ClientTimeout(total=CALL_TIMEOUT, sock_connect=5)
                async with self._http.request(
                    method, self._url + path, json=body, headers={**self._headers, **(headers or {})}, timeout=timeout
                ) as response:
                    text = await response.text()
                    if response.status < 400:
                        return json.loads(text)
                    if response.status not in (502, 503, 504):
                        raise ControllerError(reason(text, response.status), response.status)
                    failure = f"status {response.status}"
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
                failure = str(exc) or "timed out"
            if asyncio.get_running_loop().time() > deadline:
                raise ControllerError(f"The platform's controller doesn't answer ({failure}). Try again in a minute.")
            await asyncio.sleep(0.25)


async def _last_of_stream(response: aiohttp.ClientResponse, tell: Callable[[dict[str, Any]], None]) -> Release:
    """The release at the end of a progress stream."""
    async for line in response.content:
        if not line.strip():
            continue
        item = json.loads(line)
        if "status" in item:
            status = int(item.pop("status"))
            raise DeployFailed(reason(json.dumps(item), status))
        if "release" in item:
            return parse_release(item)
        tell(item)
    raise DeployFailed("The controller went away while it made the release. Push again.")


def parse_release(answer: dict[str, Any]) -> Release:
    return Release(int(answer["release"]["version"]), str(answer.get("url") or answer["release"].get("url") or ""))


def reason(text: str, status: int) -> str:
    """The controller's words in an error answer of any of its shapes."""
    try:
        answer = json.loads(text)
    except ValueError:
        return f"The controller answered with status {status}."
    if isinstance(answer, dict) and "detail" in answer:
        return str(answer["detail"])
    if isinstance(answer, dict):
        return "; ".join(
            f"{key}: {' '.join(map(str, value)) if isinstance(value, list) else value}" for key, value in answer.items()
        )
    if isinstance(answer, list):
        return "; ".join(map(str, answer))
    return str(answer)
