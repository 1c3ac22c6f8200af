"""Is the platform well? Each check says ok, warn or fail, what it saw, and what to do; one that breaks is a finding."""

import secrets
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import requests
from django.conf import settings
from django.db import connection
from django.utils import timezone

from controller import disk, wakeups
from controller.actions import platform_certificates
from controller.actions.mail import try_server
from controller.cluster.client import cluster
from controller.errors import BadRequest, cause_of
from controller.models import Certificate, Operation

OK, WARN, FAIL = "ok", "warn", "fail"
PATIENCE = 5  # seconds for one check
LATE = 60  # seconds an operation may wait for a worker
BACKLOG = 100  # messages in the queue
SKEW = 5  # seconds between two clocks
SYNC_LATE = 30  # seconds since the router last heard of the cluster
SCARCE = 0.05  # of the memory available
SOON = 14  # days until a certificate ends
SOON_OURS = platform_certificates.SOON
QUEUE = "celery"
IN_DATABASE = ("database", "work", "certificates")  # the request's own connection serves them


@dataclass(frozen=True)
class Finding:
    name: str
    level: str
    text: str
    fix: str = ""


def examine() -> list[Finding]:
    """All checks in a fixed order; those that ask other programs run side by side, so that one silence costs once."""
    with ThreadPoolExecutor(max_workers=len(CHECKS), thread_name_prefix="doctor") as pool:
        begun = {name: pool.submit(run, name) for name in CHECKS if name not in IN_DATABASE}
        found = {name: run(name) for name in IN_DATABASE}
    found |= {name: future.result() for name, future in begun.items()}
    return [finding for name in CHECKS for finding in found[name]]


def run(name: str) -> list[Finding]:
    try:
        return list(CHECKS[name]())
    except Exception as exc:  # a check that breaks is a finding
        text = f"can't be looked at: {cause_of(exc)}"[:400]
        return [Finding(name, FAIL, text, f"see `make status` and the log of {name}")]


def look_at_dns() -> Iterator[Finding]:
    domain = settings.PLATFORM_DOMAIN
    for name, host in (("domain", domain), ("wildcard domain", f"probe-{secrets.token_hex(3)}.{domain}")):
        try:
            found = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
            yield Finding(name, OK, f"{host} is {', '.join(found)}")
        except OSError as exc:
            fix = f"add an A or AAAA record for {'' if name == 'domain' else '*.'}{domain}"
            yield Finding(name, FAIL, f"{host} has no address: {cause_of(exc)}", fix)


def look_at_ports() -> Iterator[Finding]:
    platform, git = urlsplit(settings.PLATFORM_URL), urlsplit(settings.GIT_SSH_URL)
    http = platform.port or (443 if platform.scheme == "https" else 80)
    for name, host, port in (("router", platform.hostname, http), ("git over SSH", git.hostname, git.port or 22)):
        try:
            socket.create_connection((host or "", port), timeout=PATIENCE).close()
            yield Finding(name, OK, f"{host}:{port} takes connections")
        except OSError as exc:
            fix = "`make status` says whether it runs; a firewall may be in between"
            yield Finding(name, FAIL, f"{host}:{port} can't be reached: {cause_of(exc)}", fix)


def look_at_disk() -> Iterator[Finding]:
    room = disk.room()
    level = FAIL if room.is_full else WARN if room.is_low else OK
    fix = "`paas gc` removes images nobody keeps; else enlarge the disk" if level != OK else ""
    yield Finding("disk", level, f"{room}{'; builds are refused' if room.is_full else ''}", fix)


def look_at_memory() -> Iterator[Finding]:
    lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free, total = (int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal"))
    level = WARN if free < SCARCE * total else OK
    fix = "stop or limit processes (`paas limits:set`), or add memory" if level != OK else ""
    yield Finding("memory", level, f"{free / 2**30:.1f} of {total / 2**30:.0f} GiB available", fix)


def look_at_database() -> Iterator[Finding]:
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM controller_app")
        apps = cursor.fetchone()[0]
    yield Finding(
        "database", OK, f"{connection.vendor} answers in {(time.monotonic() - began) * 1000:.0f} ms, {apps} apps"
    )


def look_at_redis() -> Iterator[Finding]:
    redis = wakeups.connection()
    seconds, micros = redis.time()
    away = abs(time.time() - seconds - micros / 1e6)
    yield Finding("redis", OK, "answers")
    fix = "" if away <= SKEW else "let every machine keep time by NTP"
    yield Finding("clock", WARN if fix else OK, f"{away:.1f} s between the controller's and Redis's", fix)
    length = redis.llen(QUEUE)
    fix = "" if length <= BACKLOG else "see the log of controller-worker; add workers"
    yield Finding("queue", WARN if fix else OK, f"{length} messages wait", fix)


def look_at_operations() -> Iterator[Finding]:
    waiting = Operation.objects.filter(state=Operation.QUEUED).order_by("created").first()
    age = (timezone.now() - waiting.created).total_seconds() if waiting else 0
    running = Operation.objects.filter(state=Operation.RUNNING).count()
    fix = "" if age <= LATE else "no worker takes it: see `make status` and the log of controller-worker"
    yield Finding(
        "work", FAIL if fix else OK, f"{running} under way, the oldest that waits does so for {age:.0f} s", fix
    )


def look_at_certificates() -> Iterator[Finding]:
    ending = [row for row in Certificate.objects.order_by("expires") if (row.expires - timezone.now()).days < SOON]
    for row in ending[:10]:
        over = row.expires <= timezone.now()
        shown = row.domains.first()
        fix = f"no domain shows it: `paas certs:remove {row.name}`"
        if shown:
            fix = f"`paas certs:add NAME CERT KEY`, then `paas certs:attach NAME {shown.domain}`"
        yield Finding("certificate", FAIL if over else WARN, f"{row.name} ends {row.expires:%Y-%m-%d}", fix)
    if not ending:
        yield Finding("certificates", OK, f"none of {Certificate.objects.count()} ends within {SOON} days")


def look_at_platform_certificates() -> Iterator[Finding]:
    """Those the platform's programs know each other by, and the one that its own address shows."""
    found = platform_certificates.found()
    for each in found:
        days = (each.ends - timezone.now()).days
        if days < SOON_OURS:
            text = f"{each.name} {'ended' if days < 0 else 'ends'} {each.ends:%Y-%m-%d}"
            fix = platform_certificates.renewal(each.name)
            yield Finding("platform certificate", FAIL if days < 0 else WARN, text, fix)
    if found and found[0].ends > timezone.now() + timedelta(days=SOON_OURS):
        text = f"{len(found)} looked at, the first to end is {found[0].name} on {found[0].ends:%Y-%m-%d}"
        yield Finding("platform certificates", OK, text)


def look_at_registry() -> Iterator[Finding]:
    answer = requests.get(f"{settings.REGISTRY_URL}/v2/", timeout=PATIENCE)
    well = answer.status_code in (200, 401)
    fix = "" if well else "see the log of registry"
    yield Finding("registry", OK if well else FAIL, f"{settings.REGISTRY_HOST} answers {answer.status_code}", fix)


def look_at_router() -> Iterator[Finding]:
    if not settings.ROUTER_METRICS_URL:
        return
    page = requests.get(settings.ROUTER_METRICS_URL, timeout=PATIENCE).text
    ages = [line.split()[-1] for line in page.splitlines() if line.startswith("router_sync_age_seconds")]
    age = float(ages[0]) if ages else float("inf")
    fix = "" if age <= SYNC_LATE else "routes are old: see the log of router-sync"
    yield Finding("router sync", FAIL if fix else OK, f"heard of the cluster {age:.0f} s ago", fix)


def look_at_nodes() -> Iterator[Finding]:
    nodes, _ = cluster().list("Node", None)
    if not nodes:
        yield Finding("nodes", FAIL, "there is none", "`make status` says whether orchestrator-agent runs")
    for node in nodes:
        yield look_at_node(node)


def look_at_node(node: dict) -> Finding:
    name = f"node {node['metadata']['name']}"
    conditions = {each["type"]: each for each in node.get("status", {}).get("conditions", [])}
    ready = conditions.get("Ready", {})
    engine = node.get("status", {}).get("nodeInfo", {}).get("containerRuntimeVersion", "unknown engine")
    if ready.get("status") != "True":
        text = f"isn't ready: {ready.get('message') or ready.get('reason') or 'it says nothing'}"
        return Finding(name, FAIL, text, "see the log of its orchestrator-agent, and whether its engine runs")
    beaten = ready.get("lastHeartbeatTime")
    if beaten and (datetime.fromisoformat(beaten) - timezone.now()).total_seconds() > SKEW:
        return Finding(name, WARN, "its clock is ahead of the controller's", "let every machine keep time by NTP")
    pressed = sorted(kind for kind, each in conditions.items() if kind != "Ready" and each.get("status") == "True")
    if pressed:
        return Finding(name, WARN, f"has {', '.join(pressed)}", "free disk, memory or processes there")
    cordoned = node.get("spec", {}).get("unschedulable")
    return Finding(name, WARN if cordoned else OK, f"{'takes no new processes' if cordoned else 'ready'}, {engine}",
                   f"kubectl uncordon {node['metadata']['name']}" if cordoned else "")  # fmt: skip


def look_at_mail() -> Iterator[Finding]:
    if not settings.MAIL_ENABLED:
        yield Finding("mail", OK, "none is sent: SMTP_URL isn't set")
        return
    try:
        try_server(PATIENCE)
    except BadRequest as exc:
        yield Finding("mail", FAIL, f"none can be sent: {exc}", "correct SMTP_URL in controller.env, then `make up`")
    else:
        server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
        login = f" and the login of {settings.EMAIL_HOST_USER}" if settings.EMAIL_HOST_USER else ""
        yield Finding("mail", OK, f"{server} takes connections{login}")


CHECKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "dns": look_at_dns,
    "ports": look_at_ports,
    "disk": look_at_disk,
    "memory": look_at_memory,
    "database": look_at_database,
    "redis": look_at_redis,
    "work": look_at_operations,
    "certificates": look_at_certificates,
    "platform certificates": look_at_platform_certificates,
    "mail": look_at_mail,
    "registry": look_at_registry,
    "router sync": look_at_router,
    "nodes": look_at_nodes,
}
