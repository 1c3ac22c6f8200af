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
    ("does not exist under values", "`paas config` lists what is set."),
    ("when using a private registry", "Set it: `paas config:set PORT=5000`."),
    ("No nodes matched the provided labels", "`paas tags` lists the app's; the operator knows the nodes'."),
    ("still has applications assigned", "`paas apps` lists them; `paas apps:transfer` gives them away."),
    ("no basic auth credentials", "A private registry: `paas registry:set username=NAME password=SECRET`."),
    ("unauthorized", "A private registry: `paas registry:set username=NAME password=SECRET`."),
    ("Invalid token", "Log in again with `paas login`."),
)
SPEAK_FOR_THEMSELVES = (
    "detail",
    "non_field_errors",
    "id",
    "public",
    "domain",
    "code",
    "token",
)  # fields not worth naming


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


def error_of(status: int, data: Any, controller: str) -> CliError:
    """The refusal in an answer, said to a person."""
    text = refusal_text(data)
    if status == 401:
        if "password" in text:
            return NotAllowed(f"{text}.")
        return NotLoggedIn(f"Your login is not valid (any more); log in again with `paas login {controller}`.")
    if status == 403:
        known = "You do not have permission to perform this action"
        if text.rstrip(".") in ("", known):
            text = "You have no permission to do that; the app's owner can give it with `paas perms:create YOU`"
        return NotAllowed(sentence(text))
    if status == 404:
        if "<html" in text[:200].lower() or not text:
            return UnknownRoute(f"{controller} does not know this command's route; it may run an older version.")
        return NotFound(not_found_text(text))
    if status == 409:
        return Conflict(sentence(text))
    if status == 422:
        return CliError(sentence(f"Unable to process your request: {text}"))
    if status == 429:
        return CliError(sentence(text or "Too many attempts; wait a minute and try again"))
    if status >= 500 and (not text or text == "Server Error" or "<html" in text[:200].lower()):
        return CliError(f"The controller failed ({status}); its own log has the cause, and trying again may help.")
    return CliError(sentence(text or f"The controller refused this ({status})"))


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
            words = refusal_text(value)
            parts.append(words if field in SPEAK_FOR_THEMSELVES else f"{field}: {words}")
        return "; ".join(parts)
    return str(data)


def not_found_text(text: str) -> str:
    """`No App matches the given query.` as a sentence that helps."""
    kind = text.removeprefix("No ").partition(" matches")[0] if text.startswith("No ") else ""
    listing = {
        "App": "`paas apps` lists yours, and -a APP names one",
        "Release": "`paas releases` lists them",
        "Domain": "`paas domains` lists them",
        "Key": "`paas keys` lists yours",
        "Certificate": "`paas certs` lists yours",
        "User": "`paas users` lists them, for an administrator",
        "Token": "`paas tokens` lists yours",
        "Invitation": "`paas invitations` lists yours",
        "ConfigGroup": "`paas config:groups` lists yours",
        "ConfigLink": "`paas config` shows what is linked",
        "Webhook": "`paas webhooks` lists the app's",
        "Delivery": "`paas webhooks:deliveries ID` lists them",
        "Team": "`paas teams` lists yours",
        "Member": "`paas teams:info TEAM` lists them",
    }.get(kind)
    return f"There is no such {kind.lower()}; {listing}." if listing else sentence(text)


def sentence(text: str) -> str:
    """`text` as a sentence, with advice where there is some; several lines stay as they are."""
    text = text.strip()
    if "\n" in text:
        return text
    text = text if text.endswith((".", "!", "?")) else f"{text}."
    advice = next((advice for words, advice in ADVICE if words in text), "")
    return f"{text} {advice}".rstrip()
