"""A real nginx under our launcher, small real backends, and the objects that routes come from."""

import contextlib
import http.client
import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from router.proxy import Proxy, call
from router.settings import load_settings
from router.table import Memo, build_table

ROOT = Path(__file__).parents[2]
DOMAIN = "paas.localhost"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    raise AssertionError(f"not so within {seconds} s: {condition}")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        backend = self.server.backend
        backend.seen.append(f"{self.command} {self.path}")
        if self.headers.get("Upgrade") == "websocket":
            return self.echo()
        length = 0
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                length += len(self.rfile.read(size))
                self.rfile.readline()
        left = int(self.headers.get("Content-Length") or 0)
        while left:
            piece = self.rfile.read(min(left, 65536))
            left, length = left - len(piece), length + len(piece)
        if self.path == "/vanish":
            self.close_connection = True
            return None
        if self.path == "/wait":
            backend.entered.set()
            backend.release.wait(60)
        body = json.dumps({"by": backend.name, "headers": dict(self.headers), "length": length}).encode()
        self.send_response(401 if backend.challenge else 200)
        if backend.challenge:
            self.send_header("WWW-Authenticate", backend.challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        return None

    do_GET = do_POST = do_PUT = do_HEAD = answer

    def echo(self):
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.end_headers()
        self.close_connection = True
        while data := self.connection.recv(4096):
            self.connection.sendall(data)

    def log_message(self, *_):
        """Quiet: the test's own output matters."""


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that went away is part of the tests."""


class Backend:
    def __init__(self, name):
        self.name, self.seen = name, []
        self.challenge = ""  # what it wants of whoever asks
        self.entered, self.release = threading.Event(), threading.Event()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.backend = self
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self):
        self.release.set()
        self._server.shutdown()
        self._server.server_close()


class Router:
    """nginx as the supervisor would run it, its routes given by `serve`."""

    def __init__(self, data):
        self.http, self.https = free_port(), free_port()
        self.environment = {
            "ROUTER_DATA": str(data),
            "ROUTER_HTTP_LISTEN": f"127.0.0.1:{self.http}",
            "ROUTER_HTTPS_LISTEN": f"127.0.0.1:{self.https}",
            "PLATFORM_DOMAIN": DOMAIN,
            "ROUTER_WORKERS": "2",
        }
        self.settings = load_settings(self.environment)
        self.proxy = Proxy(self.settings.admin_socket, self.settings.snapshot_file)
        self.memo = Memo()
        self.launcher = None

    def start(self):
        self.launcher = subprocess.Popen(
            [sys.executable, "-m", "router", "proxy"],
            env={**os.environ, **self.environment, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        wait_for(self.answers)

    def answers(self):
        with contextlib.suppress(Exception):
            return call(self.settings.admin_socket, "GET", "/version", timeout=10)[0] == 200
        return False

    @property
    def master(self):
        return int(self.settings.pid_file.read_text())

    def workers(self):
        shown = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.master)], capture_output=True, text=True)
        return {int(pid) for pid in shown.stdout.split()}

    def stop(self):
        with contextlib.suppress(ProcessLookupError, OSError, ValueError):
            os.kill(self.master, signal.SIGTERM)
        if self.launcher:
            self.launcher.communicate(timeout=40)

    def serve(self, services=(), slices=(), secrets=(), static=None):
        table = build_table(services, slices, secrets, domain=DOMAIN, static=static or {}, memo=self.memo)
        return self.proxy.sync(table.entries)

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.http, timeout=60)

    def request(self, host="hello", path="/", method="GET", body=None, headers=None):
        """(status, headers, body); `host` without a dot is one of the platform's domain."""
        connection = self.connect()
        try:
            full = host if "." in host else f"{host}.{DOMAIN}"
            connection.request(method, path, body=body, headers={"Host": full, **(headers or {})})
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def ask(self, *args, **options):
        """What the backend said that answered."""
        status, _, body = self.request(*args, **options)
        assert status == 200, body
        return json.loads(body)


def service(name="hello", domains="hello", **annotations):
    annotations = {"domains": domains, **annotations}
    return {
        "metadata": {
            "namespace": name,
            "name": name,
            "labels": {"app": name},
            "annotations": {f"router.deis.io/{key.replace('_', '.')}": value for key, value in annotations.items()},
        }
    }


def pods(*backends, namespace="hello", service=None, terminating=()):
    """The EndpointSlices that make `backends` (or bare ports) ready; those of `terminating` are on their way out."""
    made = []
    for backend in (*backends, *terminating):
        port = backend if isinstance(backend, int) else backend.port
        ending = backend in terminating
        made.append(
            {
                "metadata": {
                    "namespace": namespace,
                    "name": f"{service or namespace}-{port}",
                    "labels": {"kubernetes.io/service-name": service or namespace},
                },
                "addressType": "IPv4",
                "ports": [{"port": port}],
                "endpoints": [
                    {
                        "addresses": ["127.0.0.1"],
                        "conditions": {"ready": not ending, "serving": True, "terminating": ending},
                    }
                ],
            }
        )
    return made
