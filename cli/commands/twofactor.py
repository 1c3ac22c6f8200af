"""Two-factor login: a code of an authenticator app beside the password."""

from __future__ import annotations

from cli import output, prompts
from cli.session import Session
from cli.table import JSON, Option, command

ROUTE = "/v2/auth/totp/"


@command("twofactor:info", "Show whether logging in needs a code", "paas twofactor", options=(JSON,), bare=True)
def info(session: Session) -> None:
    state = session.api.get(ROUTE)
    if session.shown_as_json(state):
        return
    if state["enabled"]:
        output.line(f"Two-factor is on; {state['recovery_codes_left']} recovery codes are left.")
    else:
        output.line("Two-factor is off; `paas twofactor:on` turns it on.")


@command(
    "twofactor:on",
    "Ask for a code of your authenticator app at every login",
    "paas twofactor:on",
    options=(
        Option("--password", "your password; asked for when missing", value="PASSWORD"),
        Option("--code", "the app's code, once it knows the secret; asked for when missing", value="CODE"),
    ),
)
def turn_on(session: Session, password: str | None, code: str | None) -> None:
    password = password or prompts.ask_secret("password: ")
    secret = session.api.post(ROUTE, {"password": password})
    output.picture(secret.get("qr") or [])
    output.line("Add this to your authenticator app, by its address or by hand:")
    output.line(f"  {secret['uri']}")
    output.line(f"  secret: {secret['secret']}")
    code = code or prompts.ask("code it shows: ")
    codes = session.api.post(f"{ROUTE}confirm/", {"code": code})["recovery_codes"]
    output.line("Two-factor is on. Each of these logs you in once if you lose the device; keep them:")
    for one in codes:
        output.line(f"  {one}")


@command(
    "twofactor:off",
    "Log in with the password alone again",
    "paas twofactor:off",
    options=(
        Option("--code", "a code of the app, or a recovery code; asked for when missing", value="CODE"),
        Option("--username", "somebody who lost device and codes, for administrators", value="NAME"),
    ),
)
def turn_off(session: Session, code: str | None, username: str | None) -> None:
    body = {"username": username} if username else {"code": code or prompts.ask("code: ")}
    session.api.delete(ROUTE, body)
    output.line(f"Two-factor is off{f' for {username}' if username else ''}.")
