"""`app.json`: what an app says of itself beside its code, as Heroku defines it and Dokku extends it. Pure.

The builder passes the file's object on as it is; here it is checked and read. What is unknown or of no meaning on
this platform (logo, addons, environments, …) is let through unread, because the same file serves other platforms.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from controller.cron import check_schedule
from controller.errors import Invalid

TYPE = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
MOST = 200  # entries of one section
LONGEST = 16 * 1024  # characters of one text
MOST_PROCESSES = 10_000
PROBES = ("startup", "readiness", "liveness")
POLICIES = ("allow", "forbid", "replace")


@dataclass(frozen=True)
class Variable:
    """An environment variable the app wants: `value` is its default, `generated` a secret made up for it."""

    description: str = ""
    value: str | None = None
    required: bool = True
    generated: bool = False


@dataclass(frozen=True)
class Scripts:
    """Commands around a deploy; empty where there is none."""

    postdeploy: str = ""  # once, after the app's first deploy
    predeploy: str = ""  # `dokku.predeploy`: before every release goes live
    after_each: str = ""  # `dokku.postdeploy`: after every release went live


@dataclass(frozen=True)
class Cron:
    """A command on a schedule; `policy` says what happens when the last run isn't over: allow, forbid or replace."""

    command: str
    schedule: str
    policy: str = "allow"


@dataclass(frozen=True)
class Check:
    """A healthcheck; times in seconds. One of `command`, `path`, `listening` and `uptime` says what is tried."""

    type: str
    path: str = ""
    port: int | None = None
    command: tuple[str, ...] = ()
    listening: bool = False
    uptime: int | None = None
    attempts: int = 3
    wait: int = 5
    timeout: int = 5
    initial_delay: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    scheme: str = ""


@dataclass(frozen=True)
class AppJson:
    env: dict[str, Variable] = field(default_factory=dict)
    formation: dict[str, int] = field(default_factory=dict)
    scripts: Scripts = field(default_factory=Scripts)
    cron: tuple[Cron, ...] = ()
    healthchecks: dict[str, tuple[Check, ...]] = field(default_factory=dict)
    buildpacks: tuple[str, ...] = ()


def read(document: Any) -> AppJson:
    """The parts of an `app.json` that mean something here; None is an app without one.

    Raises: Invalid, its field `app_json`, saying where in the file what is wrong.
    """
    if document is None:
        return AppJson()
    if "\\u0000" in json.dumps(document):
        _refuse("", "it may hold no NUL character")
    whole = _object(document, "")
    return AppJson(
        env={name: _variable(name, value) for name, value in _object(whole.get("env"), "env").items()},
        formation=_formation(whole.get("formation")),
        scripts=_scripts(whole.get("scripts")),
        cron=tuple(_cron(entry, f"cron[{n}]") for n, entry in enumerate(_list(whole.get("cron"), "cron"))),
        healthchecks={
            _type(kind, f"healthchecks.{kind}"): tuple(
                _check(entry, f"healthchecks.{kind}[{n}]")
                for n, entry in enumerate(_list(entries, f"healthchecks.{kind}"))
            )
            for kind, entries in _object(whole.get("healthchecks"), "healthchecks").items()
        },
        buildpacks=tuple(
            _text(_object(entry, f"buildpacks[{n}]").get("url"), f"buildpacks[{n}].url")
            for n, entry in enumerate(_list(whole.get("buildpacks"), "buildpacks"))
        ),
    )


def _variable(name: str, value: Any) -> Variable:
    where = f"env.{name}"
    if not VARIABLE.fullmatch(name):
        _refuse(where, "a variable's name consists of letters, digits and _")
    if isinstance(value, str):
        return Variable(value=_text(value, where, empty=True))
    entry = _object(value, where)
    generator = entry.get("generator")
    if generator not in (None, "secret"):
        _refuse(f"{where}.generator", "the only generator is secret")
    return Variable(
        description=_text(entry.get("description", ""), f"{where}.description", empty=True),
        value=None if entry.get("value") is None else _text(entry["value"], f"{where}.value", empty=True),
        required=_flag(entry.get("required", True), f"{where}.required"),
        generated=generator == "secret",
    )


def _formation(value: Any) -> dict[str, int]:
    counts = {}
    for kind, entry in _object(value, "formation").items():
        where = f"formation.{kind}"
        _type(kind, where)
        quantity = _object(entry, where).get("quantity")
        if quantity is not None:
            counts[kind] = _number(quantity, f"{where}.quantity", 0, MOST_PROCESSES)
    return counts


def _scripts(value: Any) -> Scripts:
    own = _object(value, "scripts")
    dokku = _object(own.get("dokku"), "scripts.dokku")
    return Scripts(
        postdeploy=_script(own.get("postdeploy"), "scripts.postdeploy"),
        predeploy=_script(dokku.get("predeploy"), "scripts.dokku.predeploy"),
        after_each=_script(dokku.get("postdeploy"), "scripts.dokku.postdeploy"),
    )


def _script(value: Any, where: str) -> str:
    """A command, written plainly or as Heroku's `{"command": …}`."""
    if isinstance(value, dict):
        value = value.get("command")
    return "" if value is None else _text(value, where, empty=True).strip()


def _cron(value: Any, where: str) -> Cron:
    entry = _object(value, where)
    policy = entry.get("concurrency_policy", "allow")
    if not isinstance(policy, str) or policy.lower() not in POLICIES:
        _refuse(f"{where}.concurrency_policy", f"it is one of {', '.join(POLICIES)}")
    command = _text(entry.get("command"), f"{where}.command").strip()
    try:
        schedule = check_schedule(_text(entry.get("schedule"), f"{where}.schedule").strip())
    except ValueError as exc:
        _refuse(f"{where}.schedule", str(exc))
    return Cron(command, schedule, policy.lower())


def _check(value: Any, where: str) -> Check:
    entry = _object(value, where)
    kind = entry.get("type")
    if kind not in PROBES:
        _refuse(f"{where}.type", f"it is one of {', '.join(PROBES)}")
    check = Check(
        type=kind,
        path=_text(entry.get("path", ""), f"{where}.path", empty=True),
        port=None if entry.get("port") is None else _number(entry["port"], f"{where}.port", 1, 65535),
        command=tuple(
            _text(word, f"{where}.command[{n}]", empty=True)
            for n, word in enumerate(_list(entry.get("command"), f"{where}.command"))
        ),
        listening=_flag(entry.get("listening", False), f"{where}.listening"),
        uptime=None if entry.get("uptime") is None else _number(entry["uptime"], f"{where}.uptime", 1, 3600),
        attempts=_number(entry.get("attempts", 3), f"{where}.attempts", 1, 1000),
        wait=_number(entry.get("wait", 5), f"{where}.wait", 1, 3600),
        timeout=_number(entry.get("timeout", 5), f"{where}.timeout", 1, 3600),
        initial_delay=_number(entry.get("initialDelay", 0), f"{where}.initialDelay", 0, 3600),
        headers=tuple(
            (
                _text(pair.get("name"), f"{where}.httpHeaders[{n}].name"),
                _text(pair.get("value"), f"{where}.httpHeaders[{n}].value"),
            )
            for n, raw in enumerate(_list(entry.get("httpHeaders"), f"{where}.httpHeaders"))
            for pair in (_object(raw, f"{where}.httpHeaders[{n}]"),)
        ),
        scheme=_text(entry.get("scheme", ""), f"{where}.scheme", empty=True).upper(),
    )
    if check.scheme not in ("", "HTTP", "HTTPS"):
        _refuse(f"{where}.scheme", "it is http or https")
    tried = [bool(check.command), bool(check.path), check.listening, check.uptime is not None]
    if sum(tried) != 1:
        _refuse(where, "a check needs exactly one of command, path, listening and uptime")
    return check


def _refuse(where: str, what: str) -> None:
    raise Invalid(app_json=f"app.json: {where or 'the file'}: {what}")


def _object(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        _refuse(where, "an object is expected")
    if len(value) > MOST:
        _refuse(where, f"at most {MOST} entries fit")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        _refuse(where, "a list is expected")
    if len(value) > MOST:
        _refuse(where, f"at most {MOST} entries fit")
    return value


def _text(value: Any, where: str, *, empty: bool = False) -> str:
    if not isinstance(value, str) or "\0" in value or len(value) > LONGEST or not (empty or value.strip()):
        _refuse(where, "a text is expected" if empty else "a text is expected, and it can't be empty")
    return value


def _type(value: str, where: str) -> str:
    if not TYPE.fullmatch(value) or len(value) > 40:
        _refuse(where, "a process type consists of a-z, 0-9 and single hyphens")
    return value


def _flag(value: Any, where: str) -> bool:
    if not isinstance(value, bool):
        _refuse(where, "true or false is expected")
    return value


def _number(value: Any, where: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        _refuse(where, f"a whole number from {least} to {most} is expected")
    return value
