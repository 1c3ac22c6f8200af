"""Webhooks: addresses that hear of what happens to an app, by a signed POST."""

from __future__ import annotations

from typing import Any

from cli import output
from cli.session import Session
from cli.table import APP, JSON, LIMIT, Arg, Option, command

ID = Arg("id", "as `paas webhooks` shows it")
EVENTS = (
    "Events: deploy.succeeded, deploy.failed, release.failing, release.rolled_back, process.crashed, cron.failed, "
    "certificate.expiring; of the platform itself platform_certificate.expiring, disk.low and disk.recovered, to "
    "webhooks that administrators added. X-Paas-Signature is sha256=HMAC-SHA256(secret, X-Paas-Timestamp + '.' + body)."
)


@command("webhooks:list", "List an app's webhooks", "paas webhooks", options=(LIMIT, APP, JSON), bare=True)
def list_webhooks(session: Session, limit: int | None) -> None:
    hooks, total = session.page(session.app_path("webhooks", ""), limit)
    if session.shown_as_json(hooks):
        return
    output.heading(f"{session.app} Webhooks", len(hooks), total)
    if hooks:
        rows = [(hook["id"], hook["url"], ", ".join(hook["events"]) or "all") for hook in hooks]
        output.table(("ID", "URL", "EVENTS"), rows)
    else:
        output.note("None yet; `paas webhooks:add URL` adds one.")


@command(
    "webhooks:add",
    "Have an address told what happens to an app",
    "paas webhooks:add https://ci.example.com/paas --events=deploy.failed,process.crashed",
    args=(Arg("url"),),
    options=(
        Option("--events", "only these, with commas; default: all", value="EVENTS"),
        Option("--secret", "what signs the requests, 16 characters or more; default: a random one", value="SECRET"),
        APP,
        JSON,
    ),
    details=EVENTS,
)
def add(session: Session, url: str, events: str | None, secret: str | None) -> None:
    body: dict[str, Any] = {"url": url, "events": [word for word in (events or "").split(",") if word]}
    body |= {"secret": secret} if secret else {}
    made = session.api.post(session.app_path("webhooks", ""), body)
    if session.shown_as_json(made):
        return
    output.line(f"Webhook {made['id']} of {session.app} is added.")
    if not secret:
        output.line(f"Its secret, which is not shown again: {made['secret']}")
    output.note(f"Try it: `paas webhooks:test {made['id']} -a {session.app}`.")


@command("webhooks:remove", "Tell an address nothing more", "paas webhooks:remove 3", args=(ID,), options=(APP,))
def remove(session: Session, id: str) -> None:
    with output.progress(f"Removing webhook {id} of {session.app}..."):
        session.api.delete(session.app_path("webhooks", id))


@command("webhooks:test", "Send an address a ping", "paas webhooks:test 3", args=(ID,), options=(APP, JSON))
def test(session: Session, id: str) -> None:
    show_delivery(session, session.api.post(session.app_path("webhooks", id, "test", "")), id)


@command(
    "webhooks:deliveries",
    "Show what an address was sent, and how it went",
    "paas webhooks:deliveries 3",
    args=(ID,),
    options=(LIMIT, APP, JSON),
)
def deliveries(session: Session, id: str, limit: int | None) -> None:
    rows, total = session.page(session.app_path("webhooks", id, "deliveries", ""), limit)
    if session.shown_as_json(rows):
        return
    output.heading(f"Deliveries of webhook {id}", len(rows), total)
    if rows:
        cells = [(row["id"], row["time"], row["event"], row["attempts"], state_of(row)) for row in rows]
        output.table(("ID", "TIME", "EVENT", "TRIES", "STATE"), cells)


@command(
    "webhooks:redeliver",
    "Send a notice to an address once more",
    "paas webhooks:redeliver 3 17",
    args=(ID, Arg("delivery", "as `paas webhooks:deliveries` shows it")),
    options=(APP, JSON),
)
def redeliver(session: Session, id: str, delivery: str) -> None:
    where = session.app_path("webhooks", id, "deliveries", delivery, "redeliver", "")
    show_delivery(session, session.api.post(where), id)


def show_delivery(session: Session, row: dict[str, Any], hook: str) -> None:
    if session.shown_as_json(row):
        return
    output.line(f"Delivery {row['id']} is on its way; `paas webhooks:deliveries {hook}` tells how it went.")


def state_of(row: dict[str, Any]) -> str:
    """`sent (204)`, `failed: answered with status 500`, `again at …: could not be reached …`."""
    if row["state"] == "sent":
        return f"sent ({row['status']})" if row["status"] else "sent"
    if row["state"] == "failed":
        return f"failed: {row['error']}"
    return f"again at {row['next_try']}: {row['error']}" if row["error"] else "on its way"
