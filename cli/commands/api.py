"""Any route of the controller, for scripts."""

from __future__ import annotations

import json
import sys

from cli import output
from cli.client import DEPLOY
from cli.errors import UsageError
from cli.session import Session
from cli.table import Arg, Option, command

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@command(
    "api:call",
    "Call a route of the controller with your login, and print the answer",
    "paas api GET /v2/apps/",
    args=(Arg("method", "GET, POST or DELETE"), Arg("route", "beginning with /v2/")),
    options=(Option("--data", "JSON body; - reads standard input", short="-d", value="JSON"),),
    bare=True,
)
def call(session: Session, method: str, route: str, data: str | None) -> None:
    if method.upper() not in METHODS or not route.startswith("/"):
        raise UsageError("api takes a method and a route, for example: paas api GET /v2/apps/")
    body = None
    if data is not None:
        try:
            body = json.loads(sys.stdin.read() if data == "-" else data)
        except ValueError as exc:
            raise UsageError(f"--data is no JSON ({exc}).") from exc
    answer = session.api.request(method.upper(), route, body, timeout=DEPLOY)
    if isinstance(answer.data, str):
        output.line(answer.text.rstrip("\n"))
    elif answer.body:
        output.as_json(answer.data)
