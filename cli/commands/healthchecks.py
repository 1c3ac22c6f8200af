"""Health checks: when a process counts as alive, and as ready for traffic."""

from __future__ import annotations

import shlex
from typing import Any

from cli import output
from cli.errors import UsageError
from cli.session import Session
from cli.table import APP, JSON, WAITING, Arg, Option, command

DEFAULT_TYPE = "web/cmd"
PROBES = {"liveness": "livenessProbe", "readiness": "readinessProbe"}
TYPE = Option("--type", "a process type", value="TYPE")


@command("healthchecks:list", "List an app's health checks", "paas healthchecks", options=(TYPE, APP, JSON), bare=True)
def list_healthchecks(session: Session, type: str | None) -> None:
    checks = session.api.get(session.app_path("config", "")).get("healthcheck") or {}
    if type:
        checks = {kind: check for kind, check in checks.items() if kind == type}
    if session.shown_as_json(checks):
        return
    output.heading(f"{session.app} Healthchecks")
    if not checks:
        output.line("No health checks configured.")
    for kind, check in sorted(checks.items()):
        output.line()
        output.line(f"{kind}:")
        for number, (name, key) in enumerate(PROBES.items()):
            if number:
                output.line()
            output.line(f"--- {name.capitalize()}")
            show_probe(name, check.get(key))


def show_probe(name: str, probe: dict[str, Any] | None) -> None:
    if not probe:
        output.line(f"No {name} probe configured.")
        return
    for label, value in (
        ("Initial Delay (seconds)", probe.get("initialDelaySeconds")),
        ("Timeout (seconds)", probe.get("timeoutSeconds")),
        ("Period (seconds)", probe.get("periodSeconds")),
        ("Success Threshold", probe.get("successThreshold")),
        ("Failure Threshold", probe.get("failureThreshold")),
        ("Exec Probe", command_text(probe)),
        ("HTTP GET Probe", http_text(probe)),
        ("TCP Socket Probe", tcp_text(probe)),
    ):
        output.line(f"{label}: {'default' if value is None else value}")


def command_text(probe: dict[str, Any]) -> str:
    return f"Command={shlex.join(probe['exec']['command'])}" if probe.get("exec") else "N/A"


def http_text(probe: dict[str, Any]) -> str:
    check = probe.get("httpGet")
    if not check:
        return "N/A"
    headers = ",".join(f"{header['name']}:{header['value']}" for header in check.get("httpHeaders") or [])
    port = check.get("port", "the app's")  # HEALTHCHECK_URL says none
    return f'Path="{check.get("path", "/")}" Port={port} HTTPHeaders=[{headers}]'


def tcp_text(probe: dict[str, Any]) -> str:
    return f"Port={probe['tcpSocket']['port']}" if probe.get("tcpSocket") else "N/A"


def seconds(name: str, about: str, default: int) -> Option:
    return Option(name, about, value="N", default=default, number=True)


@command(
    "healthchecks:set",
    "Check processes by HTTP, by a command, or by a TCP connection",
    "paas healthchecks:set readiness httpGet 5000 --path=/healthz --type=web",
    args=(
        Arg("probe", "liveness (restart when it fails) or readiness (no traffic while it fails)"),
        Arg("check", "httpGet <port>, tcpSocket <port> or exec -- <command>"),
        Arg("details", "the port, or the command", many=True),
    ),
    options=(
        TYPE,
        Option("--path", "of httpGet", short="-p", value="PATH", default="/"),
        Option("--headers", "of httpGet, as Name:value,Name:value", value="LIST"),
        seconds("--initial-delay-timeout", "seconds before the first check", 50),
        seconds("--timeout-seconds", "seconds a check may take", 50),
        seconds("--period-seconds", "seconds between checks", 10),
        seconds("--success-threshold", "successes in a row that count as good", 1),
        seconds("--failure-threshold", "failures in a row that count as bad", 3),
        APP,
        JSON,
        *WAITING,
    ),
)
def set_healthcheck(session: Session, probe: str, type: str | None, **values: Any) -> None:
    kind = type or DEFAULT_TYPE
    body = {"healthcheck": {kind: {probe_key(probe): render_probe(**values)}}}
    with output.progress(f"Applying {probe_key(probe)} healthcheck...", quiet=session.json):
        session.deploy(session.app_path("config", ""), body)
    if not session.json:
        output.line()
    list_healthchecks(session, kind)


def probe_key(name: str) -> str:
    if name not in PROBES:
        raise UsageError(f"'{name}' is no probe; it is liveness or readiness.")
    return PROBES[name]


def render_probe(
    check: str,
    details: list[str],
    path: str,
    headers: str | None,
    initial_delay_timeout: int,
    timeout_seconds: int,
    period_seconds: int,
    success_threshold: int,
    failure_threshold: int,
) -> dict[str, Any]:
    """The probe as the API takes it.

    Raises: UsageError when the check or its port is none.
    """
    body: dict[str, Any] = {
        "initialDelaySeconds": initial_delay_timeout,
        "timeoutSeconds": timeout_seconds,
        "periodSeconds": period_seconds,
        "successThreshold": success_threshold,
        "failureThreshold": failure_threshold,
    }
    if check == "exec":
        return body | {"exec": {"command": details}}
    if check not in ("httpGet", "tcpSocket"):
        raise UsageError(f"'{check}' is no check; it is httpGet, tcpSocket or exec.")
    if len(details) != 1 or not details[0].isdigit() or not 1 <= int(details[0]) <= 65535:
        raise UsageError(f"{check} takes one port, 1 to 65535, not '{' '.join(details)}'.")
    port = int(details[0])
    if check == "tcpSocket":
        return body | {"tcpSocket": {"port": port}}
    action: dict[str, Any] = {"path": path, "port": port}
    if headers:
        action["httpHeaders"] = [parse_header(text) for text in headers.split(",")]
    return body | {"httpGet": action}


def parse_header(text: str) -> dict[str, str]:
    name, colon, value = text.partition(":")
    if not (name.strip() and colon):
        raise UsageError(f"'{text}' is no header; write Name:value.")
    return {"name": name.strip(), "value": value.strip()}


@command(
    "healthchecks:unset",
    "Remove health checks",
    "paas healthchecks:unset liveness --type=web",
    args=(Arg("probe", "liveness, readiness, or both", many=True),),
    options=(TYPE, APP, JSON, *WAITING),
)
def unset_healthcheck(session: Session, probe: list[str], type: str | None) -> None:
    kind = type or DEFAULT_TYPE
    body = {"healthcheck": {kind: {probe_key(name): None for name in probe}}}
    with output.progress("Removing healthchecks...", quiet=session.json):
        session.deploy(session.app_path("config", ""), body)
    if not session.json:
        output.line()
    list_healthchecks(session, kind)
