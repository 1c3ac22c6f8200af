"""Logging in and out, and the account itself."""

from __future__ import annotations

import sys
from typing import Any

from cli import output, prompts
from cli import profile as profiles
from cli.client import Client
from cli.errors import CliError, NotLoggedIn, UsageError
from cli.refusals import error_of
from cli.session import Session
from cli.table import JSON, Arg, Option, command

CONTROLLER = Arg("controller", "address of the platform, such as http://paas.example.com")
USERNAME = Option("--username", "your name; asked for when missing", value="NAME")
PASSWORD = Option("--password", "your password; asked for when missing", value="PASSWORD")
PASSWORD_STDIN = Option("--password-stdin", "read the password from standard input")
SSL_VERIFY = Option("--ssl-verify", "false accepts any certificate", value="BOOL", default="true")


@command(
    "auth:register",
    "Make an account on a platform, and log in",
    "paas register http://paas.example.com",
    args=(CONTROLLER,),
    options=(
        USERNAME,
        PASSWORD,
        PASSWORD_STDIN,
        Option("--email", "your mail address; asked for when missing", value="MAIL"),
        Option("--login", "false leaves you logged out", value="BOOL", default="true"),
        SSL_VERIFY,
    ),
    details="Where only administrators may register people, run it while logged in as one.",
)
def register(
    session: Session,
    controller: str,
    username: str | None,
    password: str | None,
    password_stdin: bool | None,
    email: str | None,
    login: str,
    ssl_verify: str,
) -> None:
    api = Client(controller, ssl_verify=truth(ssl_verify))
    check_is_controller(api)
    api.token = token_for_same_controller(session, api)
    username = username or prompts.ask("username: ")
    password = password or read_password(password_stdin, confirm=True)
    email = prompts.ask("email: ") if email is None else email
    body = {"username": username, "password": password, "email": email}
    try:
        try:
            api.post("/v2/auth/register/", body)
        except NotLoggedIn:
            api.token = ""  # of a login that is no longer valid: it must not keep anybody from registering
            api.post("/v2/auth/register/", body)
    except CliError as exc:
        exc.args = (f"Registration failed: {exc}",)
        raise
    output.line(f"Registered {username}")
    if truth(login):
        log_in(session, api, username, password)


@command(
    "auth:login",
    "Log in to a platform",
    "paas login http://paas.localhost:8080 --username=admin",
    args=(CONTROLLER,),
    options=(
        USERNAME,
        PASSWORD,
        PASSWORD_STDIN,
        Option("--code", "the code of your authenticator app; asked for when it is needed", value="CODE"),
        Option("--browser", "sign in in your browser, also with a single sign-on"),
        Option("--no-browser", "the same with a browser elsewhere: paste the code it shows"),
        SSL_VERIFY,
    ),
)
def login(
    session: Session,
    controller: str,
    username: str | None,
    password: str | None,
    password_stdin: bool | None,
    code: str | None,
    browser: bool | None,
    no_browser: bool | None,
    ssl_verify: str,
) -> None:
    api = Client(controller, ssl_verify=truth(ssl_verify))
    check_is_controller(api)
    if browser or no_browser:
        from cli.browser_login import log_in_by_browser

        signed_in = log_in_by_browser(api, open_it=not no_browser)
        remember(session, api, signed_in["username"], signed_in["token"])
        return
    username = username or prompts.ask("username: ")
    log_in(session, api, username, password or read_password(password_stdin), code)


@command("auth:logout", "Forget the login of this profile", "paas logout")
def logout(session: Session) -> None:
    profiles.Profile(profiles.locate(session.profile_name)).forget()
    output.line("Logged out")


@command(
    "auth:passwd",
    "Change a password",
    "paas passwd",
    options=(
        Option("--password", "the present password; asked for when missing", value="PASSWORD"),
        Option("--new-password", "the new one; asked for when missing", value="PASSWORD"),
        Option("--username", "another user, for administrators", value="NAME"),
    ),
)
def passwd(session: Session, password: str | None, new_password: str | None, username: str | None) -> None:
    body = {"new_password": "", "password": password or ""}
    if username:
        body["username"] = username
    elif not password:
        body["password"] = prompts.ask_secret("current password: ")
    body["new_password"] = new_password or read_password(False, confirm=True, what="new password")
    try:
        session.api.post("/v2/auth/passwd/", body)
    except CliError as exc:
        exc.args = (f"Password change failed: {exc}",)
        raise
    output.line("Password change succeeded.")


@command(
    "auth:whoami",
    "Show who you are logged in as",
    "paas whoami",
    options=(Option("--all", "ask the controller for everything it knows of you"), JSON),
)
def whoami(session: Session, all: bool | None) -> None:
    if not all:
        who = {"username": session.profile.username, "controller": session.profile.controller}
        if not session.shown_as_json(who):
            output.line(f"You are {who['username']} at {who['controller']}")
        return
    user = session.api.get("/v2/auth/whoami/")
    if session.shown_as_json(user):
        return
    output.pairs(
        [
            ("ID:", user.get("id", 0)),
            ("Username:", user["username"]),
            ("Email:", user["email"]),
            ("First Name:", user["first_name"]),
            ("Last Name:", user["last_name"]),
            ("Last Login:", user["last_login"]),
            ("Is Superuser:", str(user["is_superuser"]).lower()),
            ("Is Staff:", str(user["is_staff"]).lower()),
            ("Is Active:", str(user["is_active"]).lower()),
            ("Date Joined:", user["date_joined"]),
        ]
    )


@command(
    "auth:cancel",
    "Delete an account",
    "paas auth:cancel --yes",
    options=(
        Option("--username", "another user, for administrators", value="NAME"),
        Option("--password", "your password, to be sure it is you", value="PASSWORD"),
        Option("--yes", "do not ask"),
    ),
)
def cancel(session: Session, username: str | None, password: str | None, yes: bool | None) -> None:
    mine = username in (None, session.profile.username)
    if password:
        own = {"username": session.profile.username, "password": password}
        session.api.token = session.api.post("/v2/auth/login/", own)["token"]
    target = username or session.profile.username
    question = f"cancel account {target} at {session.profile.controller}? (y/N): "
    if not yes and prompts.ask(question).lower() not in ("y", "yes"):
        output.line("Account not changed")
        return
    session.api.delete("/v2/auth/cancel/", {"username": username} if username else None)
    if mine:
        session.profile.forget()
    output.line("Account cancelled")


@command(
    "auth:regenerate",
    "Make a new token; the old one stops working",
    "paas auth:regenerate",
    options=(
        Option("--username", "another user, for administrators", short="-u", value="NAME"),
        Option("--all", "every user, for administrators; everybody logs in again"),
    ),
)
def regenerate(session: Session, username: str | None, all: bool | None) -> None:
    body: dict[str, Any] = {"all": True} if all else {"username": username} if username else {}
    answer = session.api.post("/v2/auth/tokens/", body)
    if not body or username == session.profile.username:
        session.profile.token = answer["token"]
        session.profile.save()
    output.line("Token Regenerated")


def check_is_controller(api: Client) -> None:
    """Refuse an address where no controller answers.

    Raises: CliError. A controller answers 401 to a stranger at /v2/.
    """
    answer = api.raw("GET", "/v2/")
    if answer.status != 401:
        raise CliError(f"{api.controller} is not a valid controller (it answered {answer.status}); check the address.")


def log_in(session: Session, api: Client, username: str, password: str, code: str | None = None) -> None:
    api.token = ""
    body = {"username": username, "password": password} | ({"code": code} if code else {})
    answer = api.raw("POST", "/v2/auth/login/", body)
    if answer.status == 400 and isinstance(answer.data, dict) and "code" in answer.data and not code:
        body["code"] = prompts.ask("code of your authenticator app: ")
        answer = api.raw("POST", "/v2/auth/login/", body)
    if answer.status >= 400:
        raise error_of(answer.status, answer.data, api.controller)
    remember(session, api, username, answer.data["token"])


def remember(session: Session, api: Client, username: str, token: str) -> None:
    """Writes the login into the profile."""
    api.token = token
    path = profiles.locate(session.profile_name)
    kept = response_limit(session)
    profiles.Profile(path, api.controller, username, api.token, api.ssl_verify, kept).save()
    output.line(f"Logged in as {username}")
    output.line(f"Configuration file written to {path}")
    hint_at_keys(api)


def response_limit(session: Session) -> int:
    """The profile's own limit of rows, which a new login keeps; 0 for a new profile."""
    try:
        return session.profile.response_limit
    except CliError:
        return 0


def hint_at_keys(api: Client) -> None:
    """Say how to add an SSH key when there is none: the next thing a newcomer trips over."""
    try:
        count = api.get("/v2/keys/", limit=1)["count"]
    except (CliError, KeyError, TypeError):
        return
    if not count:
        output.note("You have no SSH key here yet, and `git push` needs one: `paas keys:add` uploads it.")


def token_for_same_controller(session: Session, api: Client) -> str:
    """The present token when the profile is for the same host: administrators register others with it."""
    try:
        profile = session.profile
    except CliError:
        return ""
    return profile.token if Client(profile.controller).url.netloc == api.url.netloc else ""


def read_password(from_stdin: bool | None, confirm: bool = False, what: str = "password") -> str:
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise UsageError("--password-stdin found no password on standard input.")
        return password
    password = prompts.ask_secret(f"{what}: ")
    if confirm and prompts.ask_secret(f"{what} (confirm): ") != password:
        raise UsageError("The two passwords differ; try again.")
    return password


def truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise UsageError(f"'{text}' is neither true nor false.")
    return text.lower() == "true"
