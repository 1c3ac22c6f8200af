"""What nobody asks for and everybody wants to know: crashes, failed schedules, certificates about to expire."""

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from controller.actions.notices import emit
from controller.cluster.client import cluster
from controller.cluster.cron_runs import run_of, runs_of
from controller.cluster.deploy import OURS
from controller.cluster.diagnose import parse_time
from controller.cluster.observe import is_process
from controller.cron import type_of
from controller.errors import ClusterTrouble
from controller.models import App, Certificate, CrashMark, MailSubscription, Webhook

log = logging.getLogger(__name__)

QUIET = timedelta(minutes=10)  # between two notices of crashes of the same app
NEWS = timedelta(minutes=10)  # a run that failed before that was there before anybody wanted to hear of it
TYPE_PREFIX = type_of("")
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


def look_for_failed_runs() -> None:
    """A notice for each run of a schedule that failed since the last look."""
    if not (Webhook.objects.exists() or MailSubscription.objects.exists()):
        return
    try:
        jobs, _ = cluster().list("Job", None, OURS)
        failed: dict[str, list[tuple[str, str]]] = {}
        for job in jobs:
            kind = (job["metadata"].get("labels") or {}).get("type", "")
            if kind.startswith(TYPE_PREFIX) and run_of(kind, job, None).state == "failed":
                name = (kind.removeprefix(TYPE_PREFIX), job["metadata"]["name"])
                failed.setdefault(job["metadata"]["namespace"], []).append(name)
        marked = CrashMark.objects.exclude(failed_runs=[]).values("app__name")
        for app in App.objects.filter(Q(name__in=failed) | Q(name__in=marked)):
            tell_of_failed_runs(app, failed.get(app.name, []))
    except ClusterTrouble as exc:
        log.info("no look at schedules", extra={"error": str(exc)})


def tell_of_failed_runs(app: App, failed: list[tuple[str, str]]) -> None:
    """`failed` are names of schedules and their Jobs. Raises: ClusterTrouble."""
    with transaction.atomic():
        CrashMark.objects.get_or_create(app=app)
        mark = CrashMark.objects.select_for_update().get(app=app)
        for name, job in sorted(failed):
            if job in mark.failed_runs:
                continue
            run = next((run for run in runs_of(cluster(), app.name, name) if run.name == job), None)
            if run is None or (run.ended and timezone.now() - parse_time(run.ended) > NEWS):
                continue
            how = run.reason or (f"exit code {run.exit_code}" if run.exit_code is not None else "for no known reason")
            text = f"cron {name} failed: {how}; `paas logs -a {app.name}` has what it wrote"
            emit(app, "cron.failed", text, release=app.current_release())
        if mark.failed_runs != [job for _, job in failed]:
            mark.failed_runs = [job for _, job in failed]
            mark.save(update_fields=["failed_runs"])


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
