"""TLS certificates, and the domains they are attached to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli import output
from cli.client import path
from cli.errors import NotFound, UsageError
from cli.session import Session
from cli.system import read_text
from cli.table import JSON, LIMIT, Arg, command

NAME = Arg("name", "the certificate's name")
DOMAIN = Arg("domain", "a domain of one of your apps")
COLUMNS = ("Name", "Common Name", "SubjectAltName", "Expires", "Fingerprint", "Domains", "Updated", "Created")


@command("certs:list", "List your certificates", "paas certs", options=(LIMIT, JSON), bare=True)
def list_certs(session: Session, limit: int | None) -> None:
    certs, _ = session.page("/v2/certs/", limit)
    if session.shown_as_json(certs):
        return
    if not certs:
        output.line("No certs")
        return
    output.table(COLUMNS, [row_of(cert, datetime.now(UTC)) for cert in certs])


def row_of(cert: dict[str, Any], now: datetime) -> list[str]:
    return [
        cert["name"],
        cert["common_name"] or "",
        ",".join(cert["san"] or []),
        expiry(cert["expires"], now),
        f"{cert['fingerprint'][:5]}[...]{cert['fingerprint'][-5:]}",
        ",".join(cert["domains"] or []),
        day(cert["updated"]),
        day(cert["created"]),
    ]


def parse_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def day(text: str) -> str:
    moment = parse_time(text)
    return f"{moment.day} {moment:%b %Y}"


def expiry(text: str, now: datetime) -> str:
    """`2 Jan 2026 (in 3 months)`, or `(expired)`."""
    days = (parse_time(text) - now).days
    if days < 0:
        return f"{day(text)} (expired)"
    for size, name in ((365, "year"), (30, "month"), (1, "day")):
        if days >= size:
            count = days // size
            return f"{day(text)} (in {count} {name}{'s' if count > 1 else ''})"
    return f"{day(text)} (today)"


@command(
    "certs:add",
    "Upload a certificate and its key",
    "paas certs:add www www.pem www.key",
    args=(NAME, Arg("certfile", "PEM, the chain included"), Arg("keyfile", "PEM")),
)
def add(session: Session, name: str, certfile: str, keyfile: str) -> None:
    body = {"name": name, "certificate": read(certfile), "key": read(keyfile)}
    with output.progress("Adding SSL endpoint..."):
        session.api.post("/v2/certs/", body)


def read(file: str) -> str:
    try:
        return read_text(Path(file).expanduser())
    except (OSError, UnicodeDecodeError) as exc:
        raise UsageError(f"{file} can't be read ({getattr(exc, 'strerror', None) or 'it is no text'}).") from exc


@command("certs:remove", "Remove a certificate", "paas certs:remove www", args=(NAME,))
def remove(session: Session, name: str) -> None:
    with output.progress(f"Removing {name}..."):
        session.api.delete(path("certs", name))


@command("certs:info", "Show a certificate", "paas certs:info www", args=(NAME,), options=(JSON,))
def info(session: Session, name: str) -> None:
    cert = session.api.get(path("certs", name))
    if session.shown_as_json(cert):
        return
    output.heading(f"{cert['name']} Certificate")
    rows = [
        ("Common Name(s)", cert["common_name"]),
        ("Expires At", cert["expires"]),
        ("Starts At", cert["starts"]),
        ("Fingerprint", cert["fingerprint"]),
        ("Subject Alt Name", ",".join(cert["san"] or []) or "N/A"),
        ("Issuer", cert["issuer"]),
        ("Subject", cert["subject"]),
        ("Connected Domains", ",".join(cert["domains"] or []) or "No connected domains"),
        ("Owner", cert["owner"]),
        ("Created", cert["created"]),
        ("Updated", cert["updated"]),
    ]
    output.pairs(rows, suffix=":")


@command("certs:attach", "Use a certificate for a domain", "paas certs:attach www www.example.com", args=(NAME, DOMAIN))
def attach(session: Session, name: str, domain: str) -> None:
    with output.progress(f"Attaching certificate {name} to domain {domain}..."):
        session.api.post(path("certs", name, "domain", ""), {"domain": domain})


@command(
    "certs:detach",
    "Stop using a certificate for a domain",
    "paas certs:detach www www.example.com",
    args=(NAME, DOMAIN),
)
def detach(session: Session, name: str, domain: str) -> None:
    with output.progress(f"Detaching certificate {name} from domain {domain}..."):
        try:
            session.api.delete(path("certs", name, "domain", domain))
        except NotFound as exc:
            if "certificate" in str(exc):
                raise
            raise NotFound(f"{name} is not attached to {domain}; `paas certs:info {name}` lists its domains.") from None
