"""Where an app's log also goes, how much of it is kept, and what the log store is told of both."""

import hashlib
import json
import re
import socket
from urllib.parse import urlsplit

from django.db import transaction

from controller import log_store
from controller.actions.events import events_after, record
from controller.errors import Conflict, Invalid, Missing
from controller.models import App, Event, LogDrain, LogRetention, User
from controller.outgoing import meant

SCHEMES = ("syslog", "syslog+tls", "syslog+udp", "http", "https")
MOST_DRAINS = 10  # of one app
LONGEST_URL = 2000  # characters
HOST = re.compile(r"^[A-Za-z0-9.:_-]{1,253}$")


def add_drain(*, app: App, url: str, by: User) -> LogDrain:
    """Raises: Invalid, Conflict."""
    local = checked_url(url, by)
    with transaction.atomic():
        drains = list(App.objects.select_for_update().get(pk=app.pk).log_drains.all())
        if any(drain.url == url for drain in drains):
            raise Conflict("The app's log goes there already")
        if len(drains) >= MOST_DRAINS:
            raise Invalid(url=f"An app has at most {MOST_DRAINS} log drains")
        drain = LogDrain.objects.create(app=app, url=url, local=local, by=by)
        record(app, f"{by.username} added log drain {drain.uuid} to {masked(url)}")
    return drain


def remove_drain(*, app: App, wished: str, by: User) -> None:
    """By its id or its address. Raises: Missing."""
    drain = next((d for d in app.log_drains.all() if wished in (str(d.uuid), d.url, masked(d.url))), None)
    if drain is None:
        raise Missing("LogDrain")
    with transaction.atomic():
        drain.delete()
        record(app, f"{by.username} removed log drain {drain.uuid} to {masked(drain.url)}")


def checked_url(url: str, by: User) -> bool:
    """Whether the address leads to this host or its link, which only administrators may want. Raises: Invalid."""
    form = "write syslog://host:514, syslog+tls://host:6514, syslog+udp://host:514, http://… or https://…"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise Invalid(url=f"That is no address ({exc}); {form}") from exc
    host = parts.hostname or ""
    if parts.scheme not in SCHEMES or not HOST.fullmatch(host) or len(url) > LONGEST_URL or not url.isprintable():
        raise Invalid(url=f"That is no address that a log can go to; {form}")
    if " " in url or not url.isascii():
        raise Invalid(url="An address has no blanks and no letters beyond ASCII; write them %-encoded")
    if parts.scheme == "syslog" and port is None:
        raise Invalid(url="Name the port: syslog://host:514 (TCP), syslog+udp://host:514 or syslog+tls://host:6514")
    if not leads_home(host):
        return False
    if not by.is_superuser:
        raise Invalid(url=f"{host} is the platform's own host or network; only an administrator may send logs there")
    return True


def leads_home(host: str) -> bool:
    """Whether a name means this host or its link; names that don't resolve yet are asked again by the store."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    addresses = [meant(str(entry[4][0]).partition("%")[0]) for entry in found]
    return any(a.is_loopback or a.is_link_local or a.is_unspecified or a.is_multicast for a in addresses)


def masked(url: str) -> str:
    """The address without its password or query."""
    parts = urlsplit(url)
    login, at, host = parts.netloc.rpartition("@")
    name = login.partition(":")[0]
    query = "?…" if parts.query else ""
    return f"{parts.scheme}://{name + ':…' if ':' in login else name}{at}{host}{parts.path}{query}"


def states_of(app: App) -> dict[str, dict]:
    """What the store says of the app's drains, by id; nothing while it is away."""
    if not log_store.is_configured():
        return {}
    try:
        return {entry["id"]: entry for entry in log_store.status()["drains"] if entry["app"] == app.name}
    except (log_store.StoreAway, ValueError, KeyError):
        return {}


def keep(*, app: App, days: int | None, megabytes: int | None, by: User) -> LogRetention:
    """What the app keeps of its log; None is the platform's limit."""
    with transaction.atomic():
        retention, _ = LogRetention.objects.update_or_create(app=app, defaults={"days": days, "megabytes": megabytes})
        words = f"{days or 'unlimited'} days, {megabytes or 'unlimited'} MB"
        record(app, f"{by.username} changed the log's retention to {words}")
    return retention


def told_to_store(after: int, digest: str) -> dict:
    """What is new since event `after`, and the apps with their drains when they changed since `digest`."""
    events = events_after(after)
    apps: dict[str, dict] = {
        name: {"uuid": str(uuid), "drains": []} for name, uuid in App.objects.values_list("name", "uuid")
    }
    for drain in LogDrain.objects.select_related("app"):
        apps[drain.app.name]["drains"].append({"id": str(drain.uuid), "url": drain.url, "local": drain.local})
    for kept in LogRetention.objects.select_related("app"):
        apps[kept.app.name] |= {"days": kept.days, "megabytes": kept.megabytes}
    current = hashlib.sha256(json.dumps(apps, sort_keys=True).encode()).hexdigest()
    return {
        "events": [described(event) for event in events],
        "last": events[-1].pk if events else after,
        "more": bool(events),
        "apps": apps if current != digest else None,
        "digest": current,
    }


def described(event: Event) -> dict[str, str]:
    time = event.time.isoformat(timespec="microseconds")
    return {"app": event.app.name, "time": time, "level": event.level, "message": event.message}
