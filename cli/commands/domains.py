"""Domains: the names an app answers under."""

from __future__ import annotations

from cli import output
from cli.client import path
from cli.session import Session
from cli.table import APP, JSON, LIMIT, Arg, command

DOMAIN = Arg("domain", "a name such as www.example.com, or *.example.com")


@command("domains:list", "List an app's domains", "paas domains", options=(LIMIT, APP, JSON), bare=True)
def list_domains(session: Session, limit: int | None) -> None:
    domains, total = session.page(session.app_path("domains", ""), limit)
    if session.shown_as_json(domains):
        return
    output.heading(f"{session.app} Domains", len(domains), total)
    for domain in domains:
        output.line(domain["domain"])


@command(
    "domains:add",
    "Let an app answer under a name",
    "paas domains:add www.example.com",
    args=(DOMAIN,),
    options=(APP,),
    details="The name's DNS must point at the platform's router; a name without a dot is one under the platform's own.",
)
def add(session: Session, domain: str) -> None:
    with output.progress(f"Adding {domain} to {session.app}..."):
        session.api.post(session.app_path("domains", ""), {"domain": domain})


@command(
    "domains:remove",
    "Stop answering under a name",
    "paas domains:remove www.example.com",
    args=(DOMAIN,),
    options=(APP,),
)
def remove(session: Session, domain: str) -> None:
    with output.progress(f"Removing {domain} from {session.app}..."):
        session.api.delete(path("apps", session.app, "domains", domain))
