"""Versions of client and controller."""

from __future__ import annotations

from cli import VERSION, output
from cli.client import API_VERSION
from cli.session import Session
from cli.table import JSON, Option, command


@command(
    "version:show",
    "Show the client's version",
    "paas version --all",
    options=(Option("--all", "the API versions too", short="-a"), JSON),
    bare=True,
)
def show(session: Session, all: bool | None) -> None:
    versions = {"client": VERSION}
    if all:
        answer = session.api.raw("GET", "/healthz")
        versions["client_api"] = API_VERSION
        versions["controller_api"] = answer.headers.get("DEIS_API_VERSION") or "unknown"
    if session.shown_as_json(versions):
        return
    if not all:
        output.line(VERSION)
        return
    titles = ("Workflow CLI Version:", "Workflow CLI API Version:", "Workflow Controller API Version:")
    output.pairs(list(zip(titles, versions.values(), strict=True)))
