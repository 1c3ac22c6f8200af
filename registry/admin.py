"""The registry's own door: `POST /collect` says what to keep, and tells what went.

It is a unix socket for root and, where the controller is elsewhere (REGISTRY_ADMIN_LISTEN), an address for who knows
the key.

Body: `{"keep": {"APP": ["sha256:…"]}, "older_than": 3600, "dry_run": false}`; answer: `{"images": [{"app", "digest",
"bytes"}], "freed": bytes}`, `freed` null when nothing was removed.
"""

from __future__ import annotations

import hmac
import json
import os
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from registry.errors import RegistryError
from registry.keeper import Keeper, Wish

LARGEST = 64 << 20  # bytes of a body
TIMEOUT = 30  # seconds for a request to arrive


class Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, keeper: Keeper) -> None:
        self.keeper = keeper
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            super().__init__(str(path), Handler)
        finally:
            os.umask(before)


class NetworkServer(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True

    def __init__(self, listen: str, key: str, keeper: Keeper) -> None:
        self.keeper, self.key = keeper, key
        host, _, port = listen.rpartition(":")
        super().__init__((host, int(port)), KeyedHandler)


class Handler(BaseHTTPRequestHandler):
    server: Server | NetworkServer
    timeout = TIMEOUT

    def do_POST(self) -> None:
        if self.path != "/collect":
            return self.answer(404, {"error": "Only POST /collect is here."})
        try:
            wish = parse(self.rfile.read(min(int(self.headers.get("Content-Length") or 0), LARGEST)))
        except ValueError as exc:
            return self.answer(400, {"error": str(exc)})
        try:
            return self.answer(200, self.server.keeper.collect(wish))
        except (RegistryError, OSError) as exc:
            return self.answer(500, {"error": str(exc)})

    def answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def address_string(self) -> str:
        return "admin"


class KeyedHandler(Handler):
    server: NetworkServer

    def do_POST(self) -> None:
        offered = self.headers.get("X-Deis-Builder-Auth") or ""
        if not hmac.compare_digest(offered.encode(), self.server.key.encode()):
            return self.answer(401, {"error": "The builder's key is needed."})
        super().do_POST()


def parse(content: bytes) -> Wish:
    """Raises: ValueError naming the field."""
    body = json.loads(content)
    keep = body.get("keep") if isinstance(body, dict) else None
    if not isinstance(keep, dict) or not all(isinstance(digests, list) for digests in keep.values()):
        raise ValueError("keep: a map of repository to a list of digests is needed; everything else is removed.")
    older_than, dry_run = body.get("older_than", 3600), body.get("dry_run", False)
    if isinstance(older_than, bool) or not isinstance(older_than, int | float) or older_than < 0:
        raise ValueError("older_than: seconds are needed.")
    if not isinstance(dry_run, bool):
        raise ValueError("dry_run: true or false is needed.")
    return Wish({name: [str(digest) for digest in digests] for name, digests in keep.items()}, older_than, dry_run)


def listen(path: Path, keeper: Keeper, address: str = "", key: str = "") -> None:
    """On the socket; on `address` (host:port) too, if one is given. Raises: OSError."""
    servers: list[socketserver.BaseServer] = [Server(path, keeper)]
    if address:
        servers.append(NetworkServer(address, key, keeper))
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True, name="admin").start()
