"""Whether an app's domains lead to it, with a certificate that browsers accept."""

import ipaddress
import itertools
import re
import socket
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from controller.cluster.problems import ERROR, WARNING, Problem
from controller.models import App, Certificate, Domain

PATIENCE = 3.0  # seconds for all names together
MOST_NAMES = 50  # looked up at once
SOON = timedelta(days=14)
LONGEST_STEM = 190  # characters of a certificate's name that are taken from a domain's

Addresses = set[str] | None  # None: the name has none


def problems_of_domains(app: App) -> list[Problem]:
    """Certificates of every domain, and where the names point that aren't the platform's own."""
    domains = list(app.domains.select_related("certificate"))
    problems = []
    for domain in domains:
        problems += problems_of_certificate(app, domain, timezone.now())
    foreign = [d.domain for d in domains if "." in d.domain and not d.domain.startswith("*.")]
    foreign = [name for name in foreign if not name.endswith(f".{settings.PLATFORM_DOMAIN}")][:MOST_NAMES]
    if foreign:
        found = look_up([settings.PLATFORM_DOMAIN, *foreign])
        home = found.get(settings.PLATFORM_DOMAIN)
        for name in foreign:
            if name in found:
                problems += problems_of_name(app, name, found[name], home)
    return problems


def problems_of_certificate(app: App, domain: Domain, at: datetime) -> list[Problem]:
    certificate = domain.certificate
    if certificate is None:
        if not (app.tls.https_enforced and "." in domain.domain):
            return []
        text = f"{domain.domain} redirects to https but has no certificate: browsers warn"
        fix = f"{replacement(domain)}, or `paas tls:disable -a {app.name}`"
        return [Problem(ERROR, "no_certificate", text, (), fix)]
    complaints = complaints_of_certificate(certificate, domain.domain, at)
    if not complaints:
        return []
    lifetime = f"{certificate.starts:%Y-%m-%d} to {certificate.expires:%Y-%m-%d}"
    evidence, fix = (f"certificate {certificate.name}, valid {lifetime}",), replacement(domain)
    return [Problem(level, code, text, evidence, fix) for level, code, text in complaints]


def complaints_of_certificate(certificate: Certificate, name: str, at: datetime) -> list[tuple[str, str, str]]:
    """Level, code and words of what is wrong with a domain's certificate."""
    if certificate.expires <= at:
        text = f"the certificate of {name} expired on {certificate.expires:%Y-%m-%d}: browsers refuse it"
        return [(ERROR, "certificate_expired", text)]
    if certificate.starts > at:
        text = f"the certificate of {name} isn't valid before {certificate.starts:%Y-%m-%d}"
        return [(ERROR, "certificate_early", text)]
    found = []
    if not covers(certificate, name):
        named = ", ".join(names_of(certificate)) or "no name"
        text = f"the certificate of {name} is for {named}: browsers refuse it"
        found.append((ERROR, "certificate_name", text))
    if certificate.expires - at < SOON:
        text = f"the certificate of {name} expires on {certificate.expires:%Y-%m-%d}"
        found.append((WARNING, "certificate_expiring", text))
    return found


def replacement(domain: Domain) -> str:
    """The commands that give a domain another certificate, under a name that is free; the files are the owner's."""
    stem = re.sub(r"[^a-z0-9]+", "-", domain.domain.lower()).strip("-")[:LONGEST_STEM]
    taken = set(Certificate.objects.filter(name__startswith=stem).values_list("name", flat=True))
    fresh = next(name for n in itertools.count(1) if (name := stem if n == 1 else f"{stem}-{n}") not in taken)
    steps = [f"`paas certs:add {fresh} CERT-FILE KEY-FILE`"]
    if domain.certificate is not None:
        steps.append(f"`paas certs:detach {domain.certificate.name} {domain.domain}`")
    return ", then ".join([*steps, f"`paas certs:attach {fresh} {domain.domain}`"])


def names_of(certificate: Certificate) -> list[str]:
    return list(certificate.san) or ([certificate.common_name] if certificate.common_name else [])


def covers(certificate: Certificate, name: str) -> bool:
    """Whether browsers accept the certificate for `name`; a wildcard stands for one label."""
    full = name if "." in name else f"{name}.{settings.PLATFORM_DOMAIN}"
    parent = full.partition(".")[2]
    return any(own.lower() in (full.lower(), f"*.{parent}".lower()) for own in names_of(certificate))


def problems_of_name(app: App, name: str, found: Addresses, home: Addresses) -> list[Problem]:
    """Whether `name` points at the platform, as far as that can be told from here."""
    target = f"{app.name}.{settings.PLATFORM_DOMAIN}"
    fix = f"at your DNS provider: {name} CNAME {target}"
    if not found:
        return [Problem(ERROR, "dns_missing", f"{name} has no address in the DNS", (), fix)]
    if not home or all(ipaddress.ip_address(address).is_loopback for address in home) or found & home:
        return []
    evidence = (f"{name} is {', '.join(sorted(found))}", f"{settings.PLATFORM_DOMAIN} is {', '.join(sorted(home))}")
    text = f"{name} points elsewhere than this platform"
    fix = f"{fix} (it is right as it is behind a proxy or load balancer)"
    return [Problem(WARNING, "dns_elsewhere", text, evidence, fix)]


def look_up(names: Iterable[str]) -> dict[str, Addresses]:
    """The addresses of the names that were answered for in time."""
    pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="dns")
    try:
        futures = {name: pool.submit(addresses_of, name) for name in names}
        deadline = timezone.now() + timedelta(seconds=PATIENCE)
        found = {}
        for name, future in futures.items():
            try:
                found[name] = future.result(max((deadline - timezone.now()).total_seconds(), 0))
            except TooLate:
                continue
        return found
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def addresses_of(name: str) -> Addresses:
    try:
        return {info[4][0] for info in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return None
