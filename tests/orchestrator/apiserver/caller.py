"""HTTP to a server in the test's own process."""

from __future__ import annotations

import json
import shutil
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from orchestrator.apiserver.main import Server
from orchestrator.settings import ServerSettings


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


@asynccontextmanager
async def serving(folder, pki) -> AsyncIterator[Server]:
    """A server without controllers on a free port, its data in `folder`; it may be stopped before the end."""
    shutil.copytree(pki.folder, folder / "pki")
    server = Server(ServerSettings(data=folder, port=0, node_name="node-a", drain_timeout=2), controllers=False)
    await server.start()
    try:
        yield server
    finally:
        if not server.store.closed:
            await server.stop()


@asynccontextmanager
async def calling(folder, pki) -> AsyncIterator[Caller]:
    """Requests to a server of their own."""
    async with serving(folder, pki) as server:
        caller = Caller(server, folder)
        try:
            yield caller
        finally:
            await caller.session.close()
