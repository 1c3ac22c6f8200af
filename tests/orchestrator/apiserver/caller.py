"""HTTP to a server in the test's own process."""

from __future__ import annotations

import json
import ssl

import aiohttp

from orchestrator.apiserver.main import Server


class Caller:
    """Requests to the server, by default as its administrator."""

    def __init__(self, server: Server, data) -> None:
        self.server, self.base = server, f"https://127.0.0.1:{server.http.port}"
        self.anonymous = ssl.create_default_context(cafile=str(data / "pki" / "ca.crt"))
        self.admin = ssl.create_default_context(cafile=str(data / "pki" / "ca.crt"))
        self.admin.load_cert_chain(data / "pki" / "admin.crt", data / "pki" / "admin.key")
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))

    async def __call__(self, method: str, path: str, *, tls=None, **options):
        async with self.session.request(method, self.base + path, ssl=tls or self.admin, **options) as response:
            text = await response.text()
            is_json = response.content_type == "application/json" and text
            return response.status, json.loads(text) if is_json else text
