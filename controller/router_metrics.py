"""What the router counts of each app, read from its Prometheus page (`ROUTER_METRICS_URL`).

The counters only grow, and begin again at 0 when the router's proxy is started afresh: compare two readings, and
start over when a figure has fallen.
"""

import http.client
import logging
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit
from urllib.request import urlopen

from django.conf import settings

log = logging.getLogger(__name__)

TIMEOUT = 2.0  # seconds; the router is near
MOST = 32 * 1024 * 1024  # bytes of a page: some kilobytes for each app
SAMPLE = re.compile(
    r'^router_(requests_total|request_seconds_bucket|request_seconds_sum)\{app="([^"]*)"(?:,\w+="([^"]*)")?\} (\S+)$'
)


@dataclass
class Traffic:
    """An app's requests since the router's proxy began."""

    classes: dict[str, int] = field(default_factory=dict)  # `2xx` -> how many
    buckets: dict[float, int] = field(default_factory=dict)  # seconds -> how many took at most that; cumulative
    seconds: float = 0.0  # of all requests together

    @property
    def requests(self) -> int:
        return sum(self.classes.values())

    @property
    def errors(self) -> int:
        """Answers that say the app failed: 5xx, those that the router gave in its place included."""
        return self.classes.get("5xx", 0)


def read_traffic() -> dict[str, Traffic] | None:
    """Every app's traffic by name; None where no router can be asked."""
    if not settings.ROUTER_METRICS_URL:
        return None
    total: dict[str, Traffic] = {}
    try:
        for url in each_router(settings.ROUTER_METRICS_URL):
            with urlopen(url, timeout=TIMEOUT) as answer:
                parse_traffic(answer.read(MOST).decode("utf-8", "replace"), total)
    except (OSError, http.client.HTTPException, ValueError) as exc:
        log.info("the router's metrics can't be read", extra={"error": str(exc)})
        return None
    return total


def each_router(url: str) -> list[str]:
    """`url` with each address of its name in its place: several routers, each of which counts its own requests.

    Raises: OSError when the name is unknown.
    """
    parts = urlsplit(url)
    found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
    families = {family for family, *_ in found}
    family = socket.AF_INET if socket.AF_INET in families else socket.AF_INET6  # of both: the same routers
    addresses = sorted({str(entry[4][0]) for entry in found if entry[0] == family})
    hosts = [f"[{address}]" if ":" in address else address for address in addresses]
    return [urlunsplit(parts._replace(netloc=f"{host}:{parts.port or 80}")) for host in hosts]


def parse_traffic(page: str, found: dict[str, Traffic] | None = None) -> dict[str, Traffic]:
    """The figures of each app, added to what was `found`; the platform's own requests (app "") are left out."""
    found = {} if found is None else found
    for line in page.splitlines():
        match = SAMPLE.match(line)
        if match is None or not match[2]:
            continue
        traffic = found.setdefault(match[2], Traffic())
        match match[1]:
            case "requests_total":
                traffic.classes[match[3]] = traffic.classes.get(match[3], 0) + int(float(match[4]))
            case "request_seconds_bucket":
                bound = float(match[3])
                traffic.buckets[bound] = traffic.buckets.get(bound, 0) + int(float(match[4]))
            case _:
                traffic.seconds += float(match[4])
    return found
