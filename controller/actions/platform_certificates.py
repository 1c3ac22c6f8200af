"""The certificates of the platform itself: found, and told of before they end, to administrators alone."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from controller.actions.notices import emit
from controller.cluster import pki
from controller.cluster.client import cluster
from controller.cluster.pki import Certificate
from controller.errors import ClusterTrouble
from controller.models import CertificateAlarm

log = logging.getLogger(__name__)

EVENT = "platform_certificate.expiring"
SOON = 60  # days: made anew when their programs start, so by then these weren't started for long
WARNED_BEFORE = (SOON, 30, 14, 7, 3, 1, 0)  # days; 0: it has ended
ROUTER = "the router's"


def found() -> list[Certificate]:
    """Those the platform's programs know each other by, the first to end first, and the one its own address shows.

    None where the cluster isn't entered by a kubeconfig and the address isn't HTTPS. Raises: OSError, ClusterTrouble.
    """
    rows = list(pki.certificates(Path(settings.KUBECONFIG), cluster())) if settings.KUBECONFIG else []
    url = urlsplit(settings.PLATFORM_URL)
    if url.scheme == "https" and (ends := pki.shown_by(url.hostname or "", url.port or 443)):
        rows.append(Certificate(ROUTER, ends))
    return sorted(rows, key=lambda each: each.ends)


def renewal(name: str) -> str:
    """What makes a new one."""
    if "authority" in name:
        own = "make a new one: `make down`, move $PAAS_HOME/orchestrator/pki away, `make up`; apps stop meanwhile"
        return f"{own}. On a Kubernetes of yours, renew it there"
    if name == ROUTER:
        return "renew it where HTTPS ends: at the proxy in front, or $PAAS_HOME/router/default.crt and default.key"
    return "`make down && make up` makes a new one; apps stop meanwhile. On a Kubernetes of yours, renew it there"


def look() -> None:
    """A notice at each threshold that a certificate has come to since the last look."""
    try:
        rows = found()
    except (OSError, ClusterTrouble, ValueError, LookupError) as exc:  # a kubeconfig that isn't one is the doctor's
        log.info("no look at the platform's certificates", extra={"error": str(exc)})
        return
    for each in rows:
        tell(each, timezone.now())


def tell(each: Certificate, now: datetime) -> None:
    left = each.ends - now
    if left >= timedelta(days=SOON + 1):
        CertificateAlarm.objects.filter(name=each.name).delete()
        return
    over = left <= timedelta(0)
    step = 0 if over else min(limit for limit in WARNED_BEFORE[:-1] if left.days <= limit)
    with transaction.atomic():
        CertificateAlarm.objects.get_or_create(name=each.name, defaults={"ends": each.ends})
        rows = CertificateAlarm.objects.filter(name=each.name)
        if not rows.exclude(ends=each.ends, told__lte=step).update(ends=each.ends, told=step):
            return
        date = each.ends.strftime("%Y-%m-%d")
        when = f"ended on {date}" if over else f"ends on {date}, {in_days(left.days)}"
        emit(None, EVENT, f"of the platform's certificates, {each.name} {when}; {renewal(each.name)}")


def in_days(days: int) -> str:
    return f"in {days} day{'s' if days != 1 else ''}" if days else "within a day"
