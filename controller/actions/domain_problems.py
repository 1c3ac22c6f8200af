"""Whether an app's domains lead to it, with a certificate that browsers accept."""

import ipaddress
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
    certificate, name = domain.certificate, domain.domain
    renew = f"`paas certs:add NAME CERT KEY`, then `paas certs:attach NAME {name}`"
    if certificate is None:
        if app.tls.https_enforced and "." in name:
            text = f"{name} redirects to https but has no certificate: browsers warn"
            return [Problem(ERROR, "no_certificate", text, (), f"{renew}, or `paas tls:disable -a {app.name}`")]
        return []
    lifetime = f"{certificate.starts:%Y-%m-%d} to {certificate.expires:%Y-%m-%d}"
    evidence = (f"certificate {certificate.name}, valid {lifetime}",)
    if certificate.expires <= at:
        text = f"the certificate of {name} expired on {certificate.expires:%Y-%m-%d}: browsers refuse it"
        return [Problem(ERROR, "certificate_expired", text, evidence, renew)]
    if certificate.starts > at:
        text = f"the certificate of {name} isn't valid before {certificate.starts:%Y-%m-%d}"
        return [Problem(ERROR, "certificate_early", text, evidence, renew)]
    problems = []
    if not covers(certificate, name):
        named = ", ".join(names_of(certificate)) or "no name"
        text = f"the certificate of {name} is for {named}: browsers refuse it"
        problems.append(Problem(ERROR, "certificate_name", text, evidence, renew))
    if certificate.expires - at < SOON:
        text = f"the certificate of {name} expires on {certificate.expires:%Y-%m-%d}"
        problems.append(Problem(WARNING, "certificate_expiring", text, evidence, renew))
    return problems


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
