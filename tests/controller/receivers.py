"""Who hears of notices in tests: a web server that keeps what it is sent."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from controller.actions import upkeep

SECRET = "a secret of some length"


class Ear:
    """A web server that keeps what it is sent, and answers with `status`."""

    def __init__(self):
        ear, self.requests, self.status = self, [], 204

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                ear.requests.append((self.path, dict(self.headers), body))
                self.send_response(ear.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *args):
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?t=1"

    def events(self):
        return [json.loads(body)["event"] for _, _, body in self.requests]


def log_of(api, hook):
    return api.get(f"{hook}/deliveries").json()["results"]


@pytest.fixture
def ear(settings):
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    made = Ear()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def hook(ear, blue):
    """A webhook of blue's; the path of its routes."""

    def added(**body):
        answer = blue.post("/v2/apps/blue/webhooks/", {"url": ear.url, "secret": SECRET, **body})
        assert answer.status_code == 201, answer.content
        return f"/v2/apps/blue/webhooks/{answer.json()['id']}"

    return added


@pytest.fixture
def pods(monkeypatch):
    """The pods that a look at the cluster finds."""
    found = []

    class Nodes:
        def list(self, *args):
            return found, "1"

    monkeypatch.setattr(upkeep, "cluster", Nodes)
    return found
