"""The Deis client's side of the wire: its requests byte for byte, and what its structures can be read from.

Source: deis/controller-sdk-go (http.go, api/*.go): Go's HTTP client without keep-alive, Go's JSON encoder and decoder;
bytes as a recording proxy saw them from the client compiled with Go 1.19.
"""

from __future__ import annotations

import json
import re
import socket
from typing import Any

AGENT = "Deis Client v2.18.0"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d|UTC)?")

Anything = object()  # Go's interface{}


class Time:
    """The SDK's own time type: null doesn't decode."""


class Optional:
    """A pointer, or a field that may be null for Go: the zero value then."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape


CONFIG = {
    "owner": str, "app": str, "values": {str: Anything}, "memory": {str: Anything}, "cpu": {str: str},
    "tags": {str: Anything}, "registry": {str: Anything}, "created": str, "updated": str, "uuid": str,
    "healthcheck": {str: {str: {"initialDelaySeconds": int, "timeoutSeconds": int, "periodSeconds": int}}},
}  # fmt: skip
APP = {"created": str, "id": str, "owner": str, "updated": str, "uuid": str, "structure": {str: int}}
BUILD = {"app": str, "created": str, "dockerfile": str, "image": str, "owner": str, "procfile": {str: str}, "sha": str,
         "updated": str, "uuid": str}  # fmt: skip
RELEASE = {"app": str, "build": Optional(str), "config": str, "created": str, "owner": str, "summary": str,
           "updated": str, "uuid": str, "version": int}  # fmt: skip
POD = {"release": str, "type": str, "name": str, "state": str, "started": Time}
DOMAIN = {"app": str, "created": str, "domain": str, "owner": str, "updated": str}
CERT = {"updated": Time, "created": Time, "name": str, "common_name": str, "expires": Time, "starts": Time,
        "fingerprint": str, "issuer": str, "subject": str, "san": [str], "domains": [str], "owner": str,
        "id": int}  # fmt: skip
KEY = {"created": str, "id": str, "owner": str, "public": str, "updated": str, "uuid": str}
USER = {"last_login": Optional(str), "is_superuser": bool, "username": str, "first_name": str, "last_name": str,
        "email": str, "is_staff": bool, "is_active": bool, "date_joined": str}  # fmt: skip
SETTINGS = {"owner": str, "app": str, "created": str, "updated": str, "uuid": str, "maintenance": bool,
            "routable": bool, "whitelist": [str], "label": {str: Anything},
            "autoscale": {str: {"min": int, "max": int, "cpu_percent": int}}}  # fmt: skip
TLS = {"uuid": str, "owner": str, "app": str, "created": str, "updated": str, "https_enforced": Optional(bool)}


def misfits(value: Any, shape: Any, where: str = "") -> list[str]:
    """What Go couldn't put into `shape`; fields it doesn't know are no matter."""
    if shape is Anything:
        return []
    if isinstance(shape, Optional):
        return [] if value is None else misfits(value, shape.shape, where)
    if shape is Time:
        return [] if isinstance(value, str) and TIME.fullmatch(value) else [f"{where}: {value!r} is no time"]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return [f"{where}: {value!r} is no list"]
        return [each for index, item in enumerate(value) for each in misfits(item, shape[0], f"{where}[{index}]")]
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{where}: {value!r} is no object"]
        if str in shape:
            return [each for key, item in value.items() for each in misfits(item, shape[str], f"{where}.{key}")]
        missing = [f"{where}.{key} is missing" for key in shape if key not in value]
        known = {key: item for key, item in value.items() if key in shape}
        return missing + [each for key, item in known.items() for each in misfits(item, shape[key], f"{where}.{key}")]
    well = isinstance(value, shape) and not (shape is int and isinstance(value, bool))
    return [] if well else [f"{where}: {value!r} is no {shape.__name__}"]


def marshal(value: Any) -> bytes:
    """What Go's encoder writes: UTF-8, with the characters escaped that HTML or JavaScript would take amiss."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def exchange(
    port: int,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    token: str = "",
    probe: bool = False,
    host: str = "",
    early: bool = False,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (their names as they came) and body of the answer to what Go writes.

    `probe` is the connection test, which has neither login nor content type; `early` is the order of headers of the
    Go of 2018. Raises: AssertionError for an answer that Go's client couldn't read to its end.
    """
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host or f'127.0.0.1:{port}'}", f"User-Agent: {AGENT}"]
    lines += ["Connection: close"] * early
    if body or method == "POST":
        lines.append(f"Content-Length: {len(body)}")
    if not probe:
        lines += [f"Authorization: token {token}"] * bool(token) + ["Content-Type: application/json"]
    lines += ["Accept-Encoding: gzip"] + ["Connection: close"] * (not early)
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, content = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in rest)}
    lowered = {name.lower(): value for name, value in headers.items()}
    assert "content-encoding" not in lowered, "the client would have to unpack it"
    if "chunked" in lowered.get("transfer-encoding", ""):
        content = unchunked(content)
    elif "content-length" in lowered and method != "HEAD":
        assert int(lowered["content-length"]) == len(content)
    return int(first.split()[1]), headers, content


def unchunked(content: bytes) -> bytes:
    whole = b""
    while content:
        size, _, content = content.partition(b"\r\n")
        whole, content = whole + content[: int(size, 16)], content[int(size, 16) + 2 :]
    return whole


def is_compatible(server: str, client: str = "2.3") -> bool:
    """The SDK's check: majors equal, and the server's minor not smaller, as text."""
    server_major, _, server_minor = server.partition(".")
    client_major, _, client_minor = client.partition(".")
    return bool(server_minor) and server_major == client_major and server_minor >= client_minor
