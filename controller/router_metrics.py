"""What the router counts of each app, read from its Prometheus page (`ROUTER_METRICS_URL`).

The counters only grow, and begin again at 0 when the router's proxy is started afresh: compare two readings, and
start over when a figure has fallen.
"""

import http.client
import logging
import re
from dataclasses import dataclass, field
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
    try:
        with urlopen(settings.ROUTER_METRICS_URL, timeout=TIMEOUT) as answer:  # noqa: S310 - the operator's own address
            return parse_traffic(answer.read(MOST).decode("utf-8", "replace"))
    except (OSError, http.client.HTTPException, ValueError) as exc:
        log.info("the router's metrics can't be read", extra={"error": str(exc)})
        return None


def parse_traffic(page: str) -> dict[str, Traffic]:
    """The figures of each app; the platform's own requests (app "") are left out."""
    found: dict[str, Traffic] = {}
    for line in page.splitlines():
        match = SAMPLE.match(line)
        if match is None or not match[2]:
            continue
        traffic = found.setdefault(match[2], Traffic())
        match match[1]:
            case "requests_total":
                traffic.classes[match[3]] = int(float(match[4]))
            case "request_seconds_bucket":
                traffic.buckets[float(match[3])] = int(float(match[4]))
            case _:
                traffic.seconds = float(match[4])
    return found
