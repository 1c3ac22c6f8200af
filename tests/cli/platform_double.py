"""A controller's double: answers recorded from the contract, over real HTTP, and a record of what was asked."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DEIS_HEADERS = {"DEIS_API_VERSION": "2.3", "DEIS_PLATFORM_VERSION": "2.3.0"}


@dataclass
class Asked:
    method: str
    path: str
    body: Any
    headers: dict[str, str]


class Double:
    """Routes by "METHOD /path" to (status, body); unknown ones get the HTML 404 of the real thing."""

    def __init__(self) -> None:
        self.answers: dict[str, tuple[int, Any]] = {}
        self.turns: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[Asked] = []
        self.headers = dict(DEIS_HEADERS)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def port(self) -> int:
        return self.server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://paas.localhost:{self.port}"

    def on(self, route: str, body: Any = None, status: int = 200) -> None:
        self.answers[route] = (status, body)

    def on_in_turn(self, route: str, *answers: tuple[int, Any]) -> None:
        """What each request gets, one after the other."""
        self.turns[route] = list(answers)

    def page(self, route: str, rows: list[Any], count: int | None = None) -> None:
        total = len(rows) if count is None else count
        self.on(f"GET {route}", {"count": total, "next": None, "previous": None, "results": rows})

    def bodies(self, route: str) -> list[Any]:
        """The bodies of every request to `route`, in order."""
        return [one.body for one in self.asked if f"{one.method} {one.path.partition('?')[0]}" == route]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                raw = self.rfile.read(length)
                is_json = "json" in (self.headers.get("Content-Type") or "json")
                body = (json.loads(raw) if is_json else raw) if raw else None
                double.asked.append(Asked(self.command, self.path, body, dict(self.headers)))
                route = f"{self.command} {self.path.partition('?')[0]}"
                status, reply = double.answers.get(route, (404, "<html><h1>Not Found</h1></html>"))
                if turns := double.turns.get(route):
                    status, reply = turns.pop(0)
                if route == "GET /v2/" and route not in double.answers:
                    status, reply = 401, {"detail": "Authentication credentials were not provided."}
                if isinstance(reply, bytes):
                    payload = reply
                elif reply is None:
                    payload = b""
                elif isinstance(reply, str) and reply.startswith("<html"):
                    payload = reply.encode()
                else:
                    payload = json.dumps(reply).encode()
                self.send_response(status)
                for name, value in double.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = answer

            def log_message(self, format: str, *args: Any) -> None:
                return

        return Handler
