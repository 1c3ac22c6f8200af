"""Logging in by the browser: the controller's page hands this program a one-time code, which the verifier redeems."""

from __future__ import annotations

import base64
import hashlib
import secrets
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from cli import output, prompts
from cli.client import Client
from cli.errors import CliError, OutOfTime

PATIENCE = 300.0  # seconds for the person to sign in
PAGE = b"<!doctype html><title>paas</title><p>You are logged in. Close this page and go back to the terminal."


def log_in_by_browser(api: Client, open_it: bool) -> dict[str, str]:
    """Name and token of whoever signs in. Raises: CliError."""
    verifier, state = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
    digest = hashlib.sha256(verifier.encode()).digest()
    query = {"challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode()}
    code = by_address(api, query, state) if open_it else by_hand(api, query)
    signed_in: dict[str, str] = api.post("/v2/auth/cli/", {"code": code, "verifier": verifier})
    return signed_in


def by_hand(api: Client, query: dict[str, str]) -> str:
    """The code that the person copies from a browser anywhere."""
    output.line(f"Open this, sign in, and paste the code it shows:\n  {api.controller}/login/cli/?{urlencode(query)}")
    return prompts.ask("code: ")


def by_address(api: Client, query: dict[str, str], state: str) -> str:
    """The code that the browser of this machine brings to a port of ours."""
    import webbrowser

    answers: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers.append(parse_qs(urlsplit(self.path).query))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE)

        def log_message(self, format: str, *args: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        query |= {"port": str(server.server_address[1]), "state": state}
        url = f"{api.controller}/login/cli/?{urlencode(query)}"
        output.line(f"Sign in in your browser:\n  {url}")
        output.note("No browser here? `paas login --no-browser` takes a code instead.")
        webbrowser.open(url)
        return awaited_code(server, answers, state)


def awaited_code(server: HTTPServer, answers: list[dict[str, list[str]]], state: str) -> str:
    import time

    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        server.timeout = max(0.1, deadline - time.monotonic())
        server.handle_request()
        for answer in answers:
            if answer.get("state") == [state] and answer.get("code"):
                return answer["code"][0]
        if any("code" in answer for answer in answers):
            raise CliError("The browser brought a code of another login; run `paas login` again.")
    raise OutOfTime(f"Nobody signed in within {PATIENCE:.0f} s; run `paas login` again.")
