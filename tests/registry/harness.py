"""A real registry with a token server that gives one account whatever it asks for, and little to nodes that build."""

import base64
import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from controller.registry_tokens import Signer, is_builds_login, of_platform, parse_scopes
from host.secret_files import signing_pair

ROOT = Path(__file__).resolve().parents[2]
USERNAME, PASSWORD, BUILDER_KEY = "paas", "secret-for-tests", "builder-key"
LOGIN = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()


def granted_to(authorization, wanted):
    """As the controller: everything to the platform's account, the platform's images to nodes that build."""
    if authorization == LOGIN:
        return wanted
    name, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    return of_platform(wanted) if is_builds_login(BUILDER_KEY, name, password) else None


class TokenHandler(BaseHTTPRequestHandler):
    signer: Signer

    def do_GET(self):
        asked = parse_qs(urlsplit(self.path).query)
        scopes, life = asked.get("scope", []), int(asked.get("life", ["300"])[0])
        granted = granted_to(self.headers.get("Authorization", ""), parse_scopes(scopes))
        known = granted is not None
        body = {"token": self.signer.token(USERNAME, granted, life), "expires_in": life} if known else {}
        content = json.dumps(body).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self):
        """As the controller: tokens are asked for by GET, which clients that try OAuth's POST first then do."""
        self.send_error(405)

    def log_message(self, *args):
        """Quiet."""


class RunningRegistry:
    """`credentials` is the file the builder reads; `admin` the registry's own socket."""

    def __init__(self, data: Path, address: str = "127.0.0.1", **more: str):
        """`address` is where it listens; `more` are further settings."""
        self.data, self.signer = data, Signer(*signing_pair())
        self.host = f"{address}:{free_port()}"
        self.credentials, self.admin = data / "credentials.json", data / "admin.sock"
        self.credentials.write_text(json.dumps({"username": USERNAME, "password": PASSWORD}))
        (data / "tokens.crt").write_text(self.signer.certificate)
        handler = type("H", (TokenHandler,), {"signer": self.signer})
        self._tokens = ThreadingHTTPServer((address, 0), handler)
        threading.Thread(target=self._tokens.serve_forever, daemon=True).start()
        environment = {
            **os.environ,
            "REGISTRY_DATA": str(data),
            "REGISTRY_LISTEN": self.host,
            "REGISTRY_TOKEN_REALM": f"http://{address}:{self._tokens.server_port}/token",
            "REGISTRY_TOKEN_CERT_FILE": str(data / "tokens.crt"),
            **more,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "registry", "serve"],
            cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for((address, int(self.host.rpartition(":")[2])), self.process)
        assert self.admin.exists()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
        self._tokens.shutdown()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(place: tuple[str, int], process: subprocess.Popen, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(place) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {place}")
