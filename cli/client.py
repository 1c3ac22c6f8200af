"""The controller's HTTP API: one request, its answer or an error in words.

`http.client` is imported when the first request is made: help and completions must not wait for it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from cli import VERSION
from cli.errors import CliError, NotUpgraded, OutOfTime, Unreachable
from cli.output import note
from cli.refusals import error_of, unreachable_text

if TYPE_CHECKING:
    from http.client import HTTPConnection, HTTPResponse

    from cli.websocket import WebSocket

API_VERSION = "2.3"
CONNECT_TIMEOUT = 10.0  # seconds
QUICK = 60.0  # seconds; for what only touches the database
DEPLOY = 3600.0  # seconds; a release may take its command and its whole roll-out
FOLLOW = 3600.0  # seconds of silence on a followed log


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def data(self) -> Any:
        """The JSON in the body, None when it is empty; text when it isn't JSON."""
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError:
            return self.text


def path(*segments: str) -> str:
    """`/v2/a/b`, each part quoted; an empty last part leaves a slash at the end."""
    return "/v2/" + "/".join(quote(segment, safe="") for segment in segments)


def is_loopback_name(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")


def is_older(served: str, wanted: str) -> bool:
    """Whether a controller of version `served` lacks something of `wanted`; another major is another API."""
    try:
        major, minor = (int(part) for part in served.split(".")[:2])
    except ValueError:
        return True
    wanted_major, wanted_minor = (int(part) for part in wanted.split("."))
    return major != wanted_major or minor < wanted_minor


class Client:
    def __init__(self, controller: str, token: str = "", ssl_verify: bool = True, username: str = "") -> None:
        if "://" not in controller:
            controller = f"http://{controller}"
        self.controller = controller.rstrip("/")
        self.url: SplitResult = urlsplit(self.controller)
        if self.url.scheme not in ("http", "https") or not self.url.hostname:
            raise CliError(f"'{controller}' is no controller address; one looks like http://paas.example.com.")
        self.token = token
        self.username = username  # whose the token is, as far as that is known
        self.ssl_verify = ssl_verify
        self._checked = False

    def get(self, where: str, *, timeout: float = QUICK, **query: Any) -> Any:
        return self.request("GET", where, query=query, timeout=timeout).data

    def post(self, where: str, body: Any = None, *, timeout: float = QUICK) -> Any:
        return self.request("POST", where, body, timeout=timeout).data

    def delete(self, where: str, body: Any = None, *, timeout: float = QUICK) -> Any:
        return self.request("DELETE", where, body, timeout=timeout).data

    def request(
        self, method: str, where: str, body: Any = None, *, query: dict[str, Any] | None = None, timeout: float = QUICK
    ) -> Answer:
        """The answer, if it is a success.

        Raises: the CliError that says in words what the status and body mean.
        """
        answer = self.raw(method, where, body, query=query, timeout=timeout)
        if answer.status >= 400:
            raise error_of(answer.status, answer.data, self.controller, where, self.username)
        return answer

    def raw(
        self, method: str, where: str, body: Any = None, *, query: dict[str, Any] | None = None, timeout: float = QUICK
    ) -> Answer:
        connection, response = self._send(method, where, body, query or {}, timeout)
        try:
            return Answer(response.status, response.headers, response.read())
        except TimeoutError as exc:
            raise OutOfTime(f"{self.controller} stopped in the middle of its answer; try again.") from exc
        except Exception as exc:
            raise Unreachable(f"The connection to {self.controller} broke ({exc}); try again.") from exc
        finally:
            connection.close()

    def stream(self, where: str, **query: Any) -> Iterator[str]:
        """Lines of a text answer as they come, until the other side ends it."""
        connection, response = self._send("GET", where, None, query, FOLLOW)
        try:
            if response.status >= 400:
                answer = Answer(response.status, response.headers, response.read())
                raise error_of(answer.status, answer.data, self.controller, where, self.username)
            for raw in response:
                yield raw.decode("utf-8", "replace").rstrip("\r\n")
        except (OSError, ValueError) as exc:
            raise Unreachable(f"The log stream of {self.controller} broke ({exc}); run the command again.") from exc
        finally:
            connection.close()

    def upload(self, where: str, content: Iterator[bytes], size: int, **query: Any) -> Iterator[dict[str, Any]]:
        """Send `size` bytes; the objects of the answer, a line each, as they come.

        Raises: the CliError that says in words why the platform doesn't take it.
        """
        from http.client import HTTPException

        connection, prefix, more = self._connected()
        target = prefix + self.url.path.rstrip("/") + where + (f"?{urlencode(query)}" if query else "")
        headers = {"User-Agent": f"paas {VERSION}", "Authorization": f"token {self.token}", "Content-Length": str(size)}
        headers |= {"Content-Type": "application/x-tar", "Connection": "close"} | more
        try:
            connection.sock.settimeout(FOLLOW)
            with suppress(BrokenPipeError, ConnectionResetError):  # a refusal comes before all is sent
                connection.request("POST", target, body=content, headers=headers)
            response = connection.getresponse()
            if response.status >= 400:
                answer = Answer(response.status, response.headers, response.read())
                raise error_of(answer.status, answer.data, self.controller, where, self.username)
            for line in response:
                if line.strip():
                    yield json.loads(line)
        except (OSError, HTTPException, ValueError) as exc:
            raise Unreachable(f"The connection to {self.controller} broke ({exc}); `paas builds:info` tells.") from exc
        finally:
            connection.close()

    def upgrade(self, where: str, protocols: tuple[str, ...], timeout: float = DEPLOY, **query: Any) -> WebSocket:
        """The route's WebSocket, open. Raises: the CliError that says in words why it isn't."""
        from cli import websocket

        connection, prefix, proxy_headers = self._connected()
        target = prefix + self.url.path.rstrip("/") + where + f"?{urlencode(query)}"
        headers = {"Host": self.url.netloc.rpartition("@")[2], "User-Agent": f"paas {VERSION}"}
        headers |= {"Authorization": f"token {self.token}"} | proxy_headers
        stream = connection.sock
        try:
            stream.settimeout(timeout)
            status, answered, rest, key = websocket.handshake(stream, target, headers, protocols)
            if status == 101 and websocket.accepts(answered, key):
                return websocket.WebSocket(stream, rest, answered.get("sec-websocket-protocol", ""))
            body = websocket.rest_of_body(stream, answered, rest)
        except (OSError, ValueError) as exc:
            stream.close()
            if isinstance(exc, TimeoutError):
                raise OutOfTime(f"{self.controller} did not answer within {timeout:.0f} s; try again later.") from exc
            raise Unreachable(f"The connection to {self.controller} broke ({exc}); try again.") from exc
        except BaseException:
            stream.close()
            raise
        stream.close()
        if status < 400:
            raise CliError(f"{self.controller}, or a proxy before it, does not let WebSockets through.")
        answer = Answer(status, answered, body)
        refused = error_of(status, answer.data, self.controller, where, self.username)
        unknown_route = status == 404 and (not body or b"<html" in body[:200].lower())
        raise NotUpgraded(str(refused)) if unknown_route or status == 501 else refused

    def _connected(self) -> tuple[HTTPConnection, str, dict[str, str]]:
        """`_connect`, its failures in words."""
        try:
            return self._connect()
        except OSError as exc:
            raise Unreachable(unreachable_text(self.controller, exc)) from exc

    def _send(
        self, method: str, where: str, body: Any, query: dict[str, Any], timeout: float
    ) -> tuple[HTTPConnection, HTTPResponse]:
        from http.client import HTTPException

        query = {key: value for key, value in query.items() if value is not None}
        target = (self.url.path.rstrip("/") + where) + (f"?{urlencode(query)}" if query else "")
        headers = {
            "User-Agent": f"paas {VERSION}",
            "Accept": "application/json, text/plain;q=0.9, */*;q=0.5",
            "Content-Type": "application/json",
            "Connection": "close",
        }
        if self.token:
            headers["Authorization"] = f"token {self.token}"
        payload = None if body is None else json.dumps(body).encode()
        connection: HTTPConnection | None = None
        try:
            connection, prefix, proxy_headers = self._connect()
            connection.sock.settimeout(timeout)
            connection.request(method, prefix + target, body=payload, headers=headers | proxy_headers)
            response = connection.getresponse()
            if where.startswith("/v2/"):  # what the builder serves carries no version
                self._check_version(response)
            return connection, response
        except (OSError, HTTPException) as exc:
            if connection is not None:
                connection.close()
            if isinstance(exc, TimeoutError):
                raise OutOfTime(f"{self.controller} did not answer within {timeout:.0f} s; try again later.") from exc
            raise Unreachable(unreachable_text(self.controller, exc)) from exc

    def _check_version(self, response: HTTPResponse) -> None:
        """Warn, once, of a controller that speaks another version than this client was written for."""
        served = response.headers.get("DEIS_API_VERSION") or ""
        if self._checked or response.status >= 400 or not is_older(served, API_VERSION):
            return
        self._checked = True
        note(f" !    {self.controller} speaks API {served or 'unknown'}, this client {API_VERSION}:")
        note(" !    some commands may not work. Ask its operator for an upgrade.")

    def _connect(self) -> tuple[HTTPConnection, str, dict[str, str]]:
        """An open connection, directly or through the environment's proxy; what to put before the path, and headers."""
        from cli.transport import open_connection

        return open_connection(self.url, self._proxy(), self.ssl_verify, CONNECT_TIMEOUT)

    def _proxy(self) -> str | None:
        host = self.url.hostname or ""
        excluded = (os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or "").split(",")
        if is_loopback_name(host) or host.startswith("127.") or host == "::1":
            return None
        if any(name and (name == "*" or host.endswith(name.strip().lstrip("."))) for name in excluded):
            return None
        variable = f"{self.url.scheme}_proxy"
        return os.environ.get(variable) or os.environ.get(variable.upper()) or None
