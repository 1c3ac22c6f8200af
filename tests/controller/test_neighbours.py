"""The log store and the registry's door over the network, as between pods: the key comes along."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from controller import log_store, neighbours
from controller.actions.collection import collect
from controller.registry_api import read_json


@pytest.fixture
def elsewhere():
    """(`tcp://` place of a program that answers everything with JSON, the requests it got: path and key)."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("X-Deis-Builder-Auth")))
            body = b'{"drains": [], "images": [], "freed": null, "name": "x"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *args):
            """Nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_the_log_store_is_asked_with_the_key(elsewhere, settings):
    settings.LOGGER_SOCKET, asked = elsewhere
    assert log_store.status()["drains"] == [] and "drains" in log_store.read("blue", {})
    assert asked == [("/status", settings.BUILDER_KEY), ("/apps/blue?", settings.BUILDER_KEY)]


def test_a_nudge_carries_the_key_as_a_datagram(settings):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        settings.LOGGER_SOCKET = f"tcp://localhost:{receiver.getsockname()[1]}"
        log_store.nudge()
        assert receiver.recv(1000) == b'{"nudge": true, "key": "%s"}' % settings.BUILDER_KEY.encode()
    settings.LOGGER_SOCKET = "tcp://no-such-host.invalid:1"
    log_store.nudge()


def test_images_are_collected_over_the_network(elsewhere, settings, db):
    settings.REGISTRY_ADMIN_SOCKET, asked = elsewhere
    assert collect(dry_run=True).items == [] and asked == [("/collect", settings.BUILDER_KEY)]


def test_the_registry_is_read_where_it_is_not_where_nodes_know_it(elsewhere, settings):
    place, asked = elsewhere
    settings.REGISTRY_URL, settings.REGISTRY_HOST = place.replace("tcp", "http"), "127.0.0.1:1"
    assert read_json("blue/tags/list")["name"] == "x" and asked[0][0] == "/v2/blue/tags/list"


def test_a_place_says_what_is_wrong_with_it():
    assert neighbours.tcp_address("/run/logger.sock") is None
    with pytest.raises(ValueError, match="tcp://host:port"):
        neighbours.tcp_address("tcp://host")
