"""Personal tokens: limited keys to your account, for machines."""

from __future__ import annotations

from cli import output
from cli.client import path
from cli.session import Session
from cli.table import JSON, LIMIT, Arg, Option, command

SCOPES = (
    "Scopes: read (see apps, processes, releases, logs; every token may), deploy (push, roll back, scale, restart), "
    "config (read and change it), operate (run commands; domains, certificates, settings), admin (all that you may)."
)


@command("tokens:list", "List your tokens", "paas tokens", options=(LIMIT, JSON), bare=True)
def list_tokens(session: Session, limit: int | None) -> None:
    tokens, total = session.page("/v2/tokens/", limit)
    if session.shown_as_json(tokens):
        return
    output.heading("Tokens", len(tokens), total)
    if not tokens:
        output.note("None yet; `paas tokens:create NAME --scope=deploy` makes one.")
        return
    rows = [
        (
            token["name"],
            ",".join(token["scopes"]),
            token["app"] or "all",
            token["expires"] or "never",
            f"{token['last_used']} from {token['last_address']}" if token["last_used"] else "never",
        )
        for token in tokens
    ]
    output.table(("NAME", "SCOPES", "APP", "EXPIRES", "LAST USED"), rows)


@command(
    "tokens:create",
    "Make a token for a machine; it is shown this once",
    "paas tokens:create ci --scope=deploy --days=30 -a shop",
    args=(Arg("name", "what you will know it by"),),
    options=(
        Option("--scope", "what it may do; several with commas", value="SCOPES", default="read"),
        Option("--days", "days until it expires", value="N", number=True, default=90),
        Option("--never", "it never expires"),
        Option("--app", "the only app it is for; default: all of yours", short="-a", value="APP"),
        JSON,
    ),
    details=SCOPES,
)
def create(session: Session, name: str, scope: str, days: int, never: bool | None) -> None:
    body: dict[str, object] = {"name": name, "scopes": [word.strip() for word in scope.split(",") if word.strip()]}
    body["days"] = None if never else days
    if session.app_was_named:
        body["app"] = session.app
    made = session.api.post("/v2/tokens/", body)
    if session.shown_as_json(made):
        return
    output.line(made["token"])
    output.note(f"Token {name} for {made['app'] or 'all your apps'} expires {made['expires'] or 'never'}.")
    output.note("Keep it now: it is not shown again. PAAS_TOKEN=… paas …, or `Authorization: token …`.")


@command("tokens:revoke", "End a token", "paas tokens:revoke ci", args=(Arg("name"),))
def revoke(session: Session, name: str) -> None:
    with output.progress(f"Revoking token {name}..."):
        session.api.delete(path("tokens", name))
