"""The operator's addresses hear of every release."""

import hashlib
import hmac
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest


@pytest.fixture
def heard(settings):
    """Requests that a hook's address got; the controller knows it."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append((self.path, self.headers.get("Authorization")))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.DEPLOY_HOOK_URLS = [f"http://127.0.0.1:{server.server_port}/hook"]
    settings.DEPLOY_HOOK_SECRET = "shared"
    yield requests, settings.DEPLOY_HOOK_URLS[0]
    server.shutdown()
    server.server_close()


def test_each_release_is_announced_and_signed(heard, live):
    requests, url = heard
    paths = [path for path, _ in requests]
    assert paths == [
        "/hook?app=blue&release=v1&release_summary=bob+created+initial+release&sha=&user=bob",
        "/hook?app=blue&release=v2&release_summary=bob+deployed+a1b2c3d&sha=a1b2c3d4&user=bob",
    ]
    full = url.removesuffix("/hook") + paths[1]
    assert requests[1][1] == hmac.new(b"shared", full.encode(), hashlib.sha1).hexdigest()
    logged = live.get("/v2/apps/blue/logs").content.decode()
    assert f"Deploy hook sent to {url.removeprefix('http://').removesuffix('/hook')}\n" in logged
    assert "/hook" not in logged  # an address can be a secret, and a viewer reads the log


def test_a_deaf_address_harms_nothing_but_the_log(live, push, settings):
    settings.DEPLOY_HOOK_URLS = ["http://127.0.0.1:1/hook"]
    assert push(sha="bbbbbbbb").status_code == 200
    logged = live.get("/v2/apps/blue/logs").content.decode()
    assert "ERROR An error occurred while sending the deploy hook to 127.0.0.1:1: connection refused\n" in logged
