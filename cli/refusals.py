"""What the controller refuses, said to a person: statuses and error bodies become one sentence."""

from __future__ import annotations

import socket
from typing import Any

from cli.errors import CliError, Conflict, NotAllowed, NotFound, NotLoggedIn, UnknownRoute

# What the controller says, and what to do about it.
ADVICE = (
    ("No build associated with this release", "Push code first: `git push deis master`."),
    ("Unable to log in with provided credentials", "Check the name and the password."),
    (
        "Application with this id already exists",
        "Choose another name; if it is yours, `paas git:remote -a NAME` uses it here.",
    ),
    ("does not exist in application", "`paas scale` shows the process types there are."),
    ("is already in progress", "`paas ps:wait` waits for it; `paas rollback` stops it."),
    ("Cannot roll back to", "`paas releases` lists the others."),
    ("has no build that could run", "`paas rollback VERSION --config` does that, with today's code."),
    ("there is no release to go back to", "`paas releases` lists what there is."),
    ("changed nothing - release stopped", "What you gave is set already."),
    ("does not exist under values", "`paas config` lists what is set."),
    ("when using a private registry", "Set it: `paas config:set PORT=5000`."),
    ("No nodes matched the provided labels", "`paas tags` lists the app's; the operator knows the nodes'."),
    ("already has a certificate attached", "`paas certs:detach NAME DOMAIN` frees it."),
    ("still has applications assigned", "`paas apps` lists them; `paas apps:transfer` gives them away."),
    ("no basic auth credentials", "A private registry: `paas registry:set username=NAME password=SECRET`."),
    ("unauthorized", "A private registry: `paas registry:set username=NAME password=SECRET`."),
    ("Invalid token", "Log in again with `paas login`."),
)
# What the controller calls a thing it doesn't find: what people call it, and where to look.
LISTINGS = {
    "App": ("app", "`paas apps` lists yours, and -a APP names one"),
    "Build": ("build", "`paas builds --all` lists them"),
    "Certificate": ("certificate", "`paas certs` lists yours"),
    "ConfigGroup": ("config group", "`paas config:groups` lists yours"),
    "ConfigLink": ("config link", "`paas config` shows what is linked"),
    "CronEntry": ("cron entry", "`paas cron` lists them"),
    "Delivery": ("delivery", "`paas webhooks:deliveries ID` lists them"),
    "Domain": ("domain", "`paas domains` lists them"),
    "Invitation": ("invitation", "`paas invitations` lists yours"),
    "Key": ("key", "`paas keys` lists yours"),
    "LogDrain": ("log drain", "`paas logs:drains` lists them"),
    "Member": ("member", "`paas teams:info TEAM` lists them"),
    "OneOff": ("one-off command", "`paas run:list` lists them"),
    "Pipeline": ("pipeline", "`paas pipelines` lists yours"),
    "Release": ("release", "`paas releases` lists them"),
    "Service": ("service", "`paas services` lists them"),
    "Team": ("team", "`paas teams` lists yours"),
    "Token": ("token", "`paas tokens` lists yours"),
    "User": ("user", "`paas users` lists them, for an administrator"),
    "Variable": ("variable", "`paas config` lists them"),
    "Webhook": ("webhook", "`paas webhooks` lists the app's"),
}
SPEAK_FOR_THEMSELVES = (
    "detail",
    "non_field_errors",
    "id",
    "public",
    "domain",
    "code",
    "token",
)  # fields not worth naming

APPS = "/v2/apps/"


def unreachable_text(controller: str, exc: Exception) -> str:
    reason = getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
    if isinstance(exc, ConnectionRefusedError):
        return f"Nothing answers at {controller}: is the platform up, and the port right?"
    if isinstance(exc, socket.gaierror):
        return f"The name in {controller} can't be resolved ({reason}); check it for a typing mistake."
    if "CERTIFICATE_VERIFY_FAILED" in str(exc):
        return (
            f"The certificate of {controller} is not trusted ({reason}); if it is your own, "
            "log in with --ssl-verify=false."
        )
    return f"{controller} can't be reached ({reason}); check the address and your network."


def error_of(status: int, data: Any, controller: str, where: str = "", username: str = "") -> CliError:
    """The refusal in an answer to a request of `username` for the path `where`, said to a person."""
    text = refusal_text(data)
    if status == 401:
        if "password" in text:
            return NotAllowed(f"{text}.")
        return NotLoggedIn(f"Your login is not valid (any more); log in again with `paas login {controller}`.")
    if status == 403:
        known = "You do not have permission to perform this action"
        if text.rstrip(".") in ("", known):
            text = f"You have no permission to do that; {who_can(where, username)}"
        return NotAllowed(sentence(text))
    if "Release matching query does not exist" in text:
        return NotFound(not_found_text("No Release matches the given query."))
    if status == 404:
        if text.startswith("<") or not text:
            return UnknownRoute(f"{controller} does not know this command's route; it may run an older version.")
        return NotFound(not_found_text(text, where))
    if status == 409:
        return Conflict(sentence(text))
    if status == 422:
        return CliError(sentence(f"Unable to process your request: {text}"))
    if status == 429:
        return CliError(sentence(text or "Too many attempts; wait a minute and try again"))
    if status >= 500 and (not text or text == "Server Error" or "<html" in text[:200].lower()):
        return CliError(f"The controller failed ({status}); its own log has the cause, and trying again may help.")
    return CliError(sentence(text or f"The controller refused this ({status})"))


def who_can(where: str, username: str) -> str:
    """Who may do what the path `where` stands for."""
    if app := where.removeprefix(APPS).partition("/")[0] if where.startswith(APPS) else "":
        return f"the app's owner can give it with `paas perms:create {username or 'NAME'} -a {app}`"
    return "an administrator of the platform can do it"


def refusal_text(data: Any) -> str:
    """The words in an error body: a string, a list, `{"detail"}` or `{"field": ["words"]}`."""
    if data is None:
        return ""
    if isinstance(data, str):
        return data.strip()
    if isinstance(data, list):
        texts = [refusal_text(item) for item in data]
        return (" " if all(text.endswith(".") for text in texts) else "; ").join(texts)
    if isinstance(data, dict):
        parts = []
        for field, value in data.items():
            if not (words := refusal_text(value)):
                continue
            parts.append(words if says_itself(field, words) else f"{field}: {words}")
        return "; ".join(parts)
    return str(data)


def says_itself(field: str, words: str) -> bool:
    """Whether naming `field` before `words` would tell nothing: they name it, or it is a place in a list."""
    return field in SPEAK_FOR_THEMSELVES or field.isdigit() or field.lower() in words.lower()


def not_found_text(text: str, where: str = "") -> str:
    """`No App matches the given query.` to a request for `where`, as a sentence that helps."""
    kind = text.removeprefix("No ").partition(" matches")[0] if text.startswith("No ") else ""
    if kind not in LISTINGS:
        return sentence(text)
    name, listing = LISTINGS[kind]
    if kind == "App" and where.startswith(APPS):
        return f"There is no app {where.removeprefix(APPS).partition('/')[0]}; {listing}."
    return f"There is no such {name}; {listing}."


def sentence(text: str) -> str:
    """`text` as a sentence, with advice where there is some; several lines stay as they are."""
    text = text.strip()
    if "\n" in text:
        return text
    text = text if text.endswith((".", "!", "?")) else f"{text}."
    advice = next((advice for words, advice in ADVICE if words in text), "")
    return f"{text} {advice}".rstrip()
