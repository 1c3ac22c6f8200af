"""What nobody asks for and everybody wants to know: crashes, and certificates about to expire."""

import logging
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from controller.actions.notices import emit
from controller.cluster.client import cluster
from controller.cluster.deploy import OURS
from controller.cluster.observe import is_process
from controller.errors import ClusterTrouble
from controller.models import App, Certificate, CrashMark, MailSubscription, Webhook

log = logging.getLogger(__name__)

QUIET = timedelta(minutes=10)  # between two notices of crashes of the same app
WARNED_BEFORE = (30, 14, 7, 3, 1)  # days


def look_for_crashes() -> None:
    """A notice for each app that has a process which ended by itself since the last look."""
    if not (Webhook.objects.exists() or MailSubscription.objects.exists()):
        return
    try:
        pods, _ = cluster().list("Pod", None, OURS)
    except ClusterTrouble as exc:
        log.info("no look at crashes", extra={"error": str(exc)})
        return
    by_app: dict[str, dict[str, tuple[int, dict]]] = {}
    for pod in pods:
        if is_process(pod):
            by_app.setdefault(pod["metadata"]["namespace"], {})[pod["metadata"]["name"]] = restarts_of(pod)
    for app in App.objects.filter(name__in=by_app):
        tell_of_crashes(app, by_app[app.name])


def restarts_of(pod: dict) -> tuple[int, dict]:
    """How often the pod's container was started again, and how it ended the last time."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    ended = next((s["lastState"]["terminated"] for s in statuses if (s.get("lastState") or {}).get("terminated")), {})
    return sum(status.get("restartCount", 0) for status in statuses), ended


def tell_of_crashes(app: App, seen: dict[str, tuple[int, dict]]) -> None:
    now = timezone.now()
    restarts = {name: count for name, (count, _) in seen.items()}
    with transaction.atomic():
        mark, made = CrashMark.objects.select_for_update().get_or_create(app=app, defaults={"restarts": restarts})
        if made or restarts == mark.restarts:
            return
        crashed = sorted(name for name, count in restarts.items() if count > mark.restarts.get(name, 0))
        if crashed and mark.told is not None and now - mark.told < QUIET:
            return  # told once it has been quiet for long enough, with all that came meanwhile
        mark.restarts = restarts
        if crashed:
            mark.told = now
            emit(
                app,
                "process.crashed",
                crash_text({name: seen[name] for name in crashed}),
                release=app.current_release(),
            )
        mark.save()


def crash_text(crashed: dict[str, tuple[int, dict]]) -> str:
    """`shop-web-1 ended with exit code 1 (restarted 3 times)`, one a line."""
    lines = []
    for name, (count, ended) in crashed.items():
        how = f"ended with exit code {ended['exitCode']}" if "exitCode" in ended else "ended by itself"
        if ended.get("reason") == "OOMKilled":
            how = "ran out of memory"
        lines.append(f"{name} {how} (restarted {count} time{'s' if count != 1 else ''})")
    return "\n".join(lines)


def look_at_certificates() -> None:
    """A notice 30, 14, 7, 3 and 1 days before a certificate expires, to each app that it serves."""
    now = timezone.now()
    soon = Certificate.objects.filter(expires__lte=now + timedelta(days=WARNED_BEFORE[0]), expires__gt=now)
    for certificate in soon.select_related("owner"):
        days = max(0, (certificate.expires - now).days)
        step = min(limit for limit in WARNED_BEFORE if days <= limit)
        with transaction.atomic():
            rows = Certificate.objects.filter(pk=certificate.pk)
            if not rows.exclude(expiry_told__lte=step).update(expiry_told=step):
                continue
            date = certificate.expires.strftime("%Y-%m-%d")
            left = f"in {days} day{'s' if days != 1 else ''}" if days else "within a day"
            text = f"certificate {certificate.name} expires on {date}, {left}; replace it with `paas certs:add`"
            apps = list(App.objects.filter(domains__certificate=certificate).distinct())
            for app in apps:
                emit(app, "certificate.expiring", text)
            if not apps:
                emit(None, "certificate.expiring", text, to=certificate.owner)
