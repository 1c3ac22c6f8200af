"""What the pages show, as dictionaries made from records and processes. Pure: no request, no query, no clock."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from controller.access import CONFIGURE, OPERATE, READ
from controller.cluster.pods import Process
from controller.models import App, AuditEntry, Config, Domain, Operation, Release

GOOD, BUSY, BAD, IDLE = "good", "busy", "bad", "idle"
UNITS = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))
POD_TONES = {"up": GOOD, "crashed": BAD, "error": BAD, "terminating": IDLE, "down": IDLE, "destroyed": IDLE}
LOG_LINE = re.compile(r"^(\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\S*) (\S+?)(?:\[(\S*?)\])?: (.*)$", re.DOTALL)
LOG_COLOURS = 5
ROLLED_BACK_TO = 2  # the lowest version with something to go back to: v1 is the empty start
TABS = (
    ("app", "Processes", READ),
    ("metrics", "Metrics", READ),
    ("builds", "Builds", READ),
    ("releases", "Releases", READ),
    ("config", "Config", CONFIGURE),
    ("domains", "Domains", READ),
    ("logs", "Logs", READ),
    ("schedule", "Schedule", READ),
    ("autoscale", "Autoscale", READ),
    ("webhooks", "Webhooks", OPERATE),
    ("access", "Access", READ),
    ("activity", "Activity", OPERATE),
    ("settings", "Settings", READ),
)

State = dict[str, str]


def ago(moment: datetime, now: datetime) -> str:
    """`3 minutes ago`; anything under a minute is `just now`."""
    seconds = (now - moment).total_seconds()
    for size, name in UNITS:
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return "just now"


BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
SYSTEMS = (("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows"),
           ("Mac OS", "macOS"), ("Linux", "Linux"))  # fmt: skip


def browser_of(agent: str) -> str:
    """`Firefox on Linux`, as far as a browser's name for itself tells."""
    browser = next((name for word, name in BROWSERS if word in agent), "")
    system = next((name for word, name in SYSTEMS if word in agent), "")
    return " on ".join(filter(None, (browser or "A browser", system)))


def observe_state(
    structure: Mapping[str, int],
    current: Release | None,
    processes: Sequence[Process] | None,
    operation: Operation | None,
    maintenance: bool = False,
) -> State:
    """An app's state in two or three words, and the tone to show it in."""
    if operation is not None:
        verb = "Scaling" if operation.kind == Operation.SCALE else f"Deploying v{operation.release.version}"
        return {"tone": BUSY, "text": verb}
    if current is None or current.build_id is None:
        return {"tone": IDLE, "text": "No build yet"}
    wanted = sum(structure.values())
    if not wanted:
        return {"tone": IDLE, "text": "Scaled to 0"}
    if processes is None:
        return {"tone": IDLE, "text": "State unknown"}
    up = sum(process.state == "up" for process in processes)
    if any(POD_TONES.get(process.state) == BAD for process in processes):
        return {"tone": BAD, "text": f"Failing, {up} of {wanted} up"}
    if up < wanted:
        return {"tone": BUSY, "text": f"Starting, {up} of {wanted} up"}
    if maintenance:
        return {"tone": IDLE, "text": "Maintenance"}
    return {"tone": GOOD, "text": f"Running {wanted} process{'es' if wanted > 1 else ''}"}


def app_row(
    app: App,
    current: Release | None,
    processes: Sequence[Process] | None,
    operation: Operation | None,
    domains: Sequence[str],
    maintenance: bool,
    url_template: str,
    now: datetime,
) -> dict[str, Any]:
    """What the list of apps and the head of an app's page say about it."""
    url = address_of(app.name, domains, url_template)
    return {
        "name": app.name,
        "owner": app.owner.username,
        "url": url,
        "address": urlsplit(url).netloc if url else "",
        "state": observe_state(app.structure, current, processes, operation, maintenance),
        "release": f"v{current.version}" if current else "none",
        "changed": current.created if current else None,
        "ago": ago(current.created, now) if current else "",
        "busy": operation is not None,
        "progress": describe_operation(operation) if operation else "",
    }


def describe_operation(operation: Operation) -> str:
    """What the operation under way has come to, in a line."""
    what = "Changing the number of processes"
    if operation.kind == Operation.DEPLOY:
        what = f"Bringing v{operation.release.version} live"
    return f"{what}: {operation.said}" if operation.said else f"{what} …"


def observe_failure(newest: Release | None, current: Release | None) -> dict[str, str] | None:
    """What the head of the page says when the newest release failed."""
    if newest is None or not newest.failed:
        return None
    serving = f"v{current.version} is still live." if current and current.build_id else "Nothing is live."
    return {"title": f"v{newest.version} failed; {serving}", "reason": reason_of(newest)}


def reason_of(release: Release) -> str:
    return (release.exception or "").removeprefix("error: ")


def address_of(app: str, domains: Sequence[str], url_template: str) -> str:
    """The app's own name on the platform if it has it, else its first domain; empty without any."""
    if not domains:
        return ""
    return domain_url(app if app in domains else domains[0], url_template)


def domain_url(domain: str, url_template: str) -> str:
    """Where a domain is reached: a name without a dot is one of the platform's own."""
    if "." not in domain:
        return url_template.replace("{app}", domain)
    parts = urlsplit(url_template.replace("{app}", "app"))
    host = domain.replace("*.", "any-name.", 1)
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def domain_rows(domains: Iterable[Domain], url_template: str) -> list[dict[str, Any]]:
    rows = []
    for domain in domains:
        url = domain_url(domain.domain, url_template)
        own = "." not in domain.domain
        certificate = f"Certificate {domain.certificate.name}" if domain.certificate else ""
        rows.append(
            {
                "stored": domain.domain,
                "name": urlsplit(url).hostname if own else domain.domain,
                "url": url,
                "note": certificate or ("On this platform" if own else "No certificate of its own"),
                "ends": domain.certificate.expires if domain.certificate else None,
            }
        )
    return rows


def type_rows(
    structure: Mapping[str, int],
    procfile: Mapping[str, str],
    processes: Sequence[Process],
    causes: Mapping[str, str],
    now: datetime,
) -> list[dict[str, Any]]:
    """A row for each process type, web first; the types that the build declares and those that run."""
    names = {*structure, *procfile, *(process.type for process in processes)} - {"release"}
    if "cmd" in names and not structure.get("cmd") and "cmd" not in procfile:
        names.discard("cmd")
    rows = []
    for name in sorted(names, key=lambda kind: (kind not in ("web", "cmd"), kind)):
        count = structure.get(name, 0)
        pods = sorted((p for p in processes if p.type == name), key=lambda p: (p.started, p.name))
        rows.append(
            {
                "name": name,
                "command": procfile.get(name, ""),
                "count": count,
                "less": max(count - 1, 0),
                "more": count + 1,
                "pods": [pod_row(process, causes.get(process.name, ""), now) for process in pods],
            }
        )
    return rows


def pod_row(process: Process, cause: str, now: datetime) -> dict[str, Any]:
    started = datetime.fromisoformat(process.started) if process.started else None
    return {
        "name": process.name,
        "state": {"tone": POD_TONES.get(process.state, BUSY), "text": process.state},
        "release": process.release,
        "cause": cause,
        "started": process.started,
        "since": ago(started, now) if started else "",
    }


def release_rows(releases: Iterable[Release], current: Release | None, now: datetime) -> list[dict[str, Any]]:
    rows = []
    for release in releases:
        is_current = current is not None and release.pk == current.pk
        rows.append(
            {
                "version": release.version,
                "summary": release.summary,
                "by": release.owner.username,
                "failed": release.failed,
                "reason": reason_of(release) if release.failed else "",
                "current": is_current,
                "created": release.created,
                "ago": ago(release.created, now),
                "code": code_of(release),
                "can_roll_back": can_roll_back(release, current),
            }
        )
    return rows


def can_roll_back(release: Release, current: Release | None) -> bool:
    """Whether `release` is one that a rollback may go to."""
    if release.failed or release.version < ROLLED_BACK_TO or current is None or release.pk == current.pk:
        return False
    return release.build_id is not None or current.build_id is None


def code_of(release: Release) -> str:
    """The commit that a release runs, or its image's tag."""
    if release.build is None:
        return ""
    return release.build.sha[:8] or release.build.image.rpartition("/")[2][:40]


def variable_rows(values: Mapping[str, str], hidden: set[str], reveal: str | None = None) -> list[dict[str, Any]]:
    """The names of the variables; only the one that is revealed has its value, and a write-only one never."""
    return [
        {"key": key, "secret": key in hidden, "value": values[key] if key == reveal and key not in hidden else None}
        for key in sorted(values)
    ]


def shared_rows(config: Config | None) -> list[dict[str, Any]]:
    """The variables that come from groups and other apps."""
    found = config.resolved if config else {}
    return [{"key": key, "from": found[key]["from"]} for key in sorted(found)]


def log_row(line: str) -> dict[str, Any]:
    """A line of the log, taken apart for its columns."""
    match = LOG_LINE.match(line)
    if match is None:
        return {"time": "", "clock": "", "source": "", "colour": 0, "text": line, "error": False}
    time, clock, name, process, text = match.groups()
    platform = name == "deis"
    source = ("platform" if process == "controller" else process) if platform else process or name
    kind = source.partition(".")[0]
    colour = 0 if platform else zlib.crc32(kind.encode()) % LOG_COLOURS + 1
    error = platform and text.startswith(("ERROR ", "at=error "))
    text = text.removeprefix("INFO ") if platform else text
    return {"time": time, "clock": clock, "source": source, "colour": colour, "text": text, "error": error}


def audit_rows(entries: Iterable[AuditEntry], now: datetime) -> list[dict[str, Any]]:
    rows = []
    for entry in entries:
        outcome = getattr(entry, "outcome", None)
        status = outcome.status if outcome else None
        rows.append(
            {
                "actor": entry.actor,
                "origin": " · ".join(part for part in (entry.via, entry.address) if part),
                "action": entry.action,
                "detail": ", ".join(f"{name} {told(value)}" for name, value in entry.detail.items()),
                "tone": IDLE if status is None else BAD if status >= 400 else GOOD,
                "outcome": "cut off" if status is None else f"refused ({status})" if status >= 400 else "done",
                "time": entry.time,
                "ago": ago(entry.time, now),
            }
        )
    return rows


def told(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def tab_rows(app: str, current: str, level: int, url_of: Any) -> list[dict[str, Any]]:
    return [
        {"title": title, "url": url_of(f"dashboard:{name}", app), "current": name == current}
        for name, title, right in TABS
        if level >= right.level
    ]
