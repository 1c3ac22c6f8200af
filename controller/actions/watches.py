"""Releases that are live and still looked after: a look every few seconds, until one fails or its time is over.

Nothing is kept in a process: a look reads the row, the pods and the router's figures, and writes the row. Whichever
worker comes first has the next look, so the watch goes on when a worker is killed.
"""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from controller.actions import operations
from controller.actions.announce import announce
from controller.actions.events import record
from controller.actions.failure import good_before, mark_failed
from controller.cluster import health
from controller.cluster.client import Cluster, cluster
from controller.cluster.deploy import OURS, explain
from controller.cluster.observe import is_process, of_release
from controller.cluster.rules import DeployRules
from controller.errors import ClusterTrouble
from controller.models import App, Operation, OutputLine, Release, Watch
from controller.router_metrics import Traffic, read_traffic

log = logging.getLogger(__name__)


def begin_watch(operation: Operation, restarts: dict[str, int]) -> None:
    """Has the release that `operation` brought live watched, for as long as the app's rules say.

    `restarts` are those its pods have behind them.
    """
    rules = DeployRules(**operation.app.settings.deploy)
    if rules.watch:
        now = timezone.now()
        Watch.objects.get_or_create(
            release=operation.release,
            defaults={
                "since": now,
                "until": now + timedelta(seconds=rules.watch),
                "structure_before": operation.structure_before,
                "restarts": restarts,
            },
        )


def look_at_releases() -> None:
    """One look at every watched release whose turn it is."""
    now = timezone.now()
    due = Watch.objects.filter(state=Watch.WATCHING, looked__lt=now - timedelta(seconds=settings.WATCH_PERIOD * 0.75))
    due = list(due.select_related("release__app__settings", "release__build", "release__config", "release__owner"))
    if not due:
        return
    traffic, api = read_traffic(), cluster()
    for watch in due:
        claimed = Watch.objects.filter(pk=watch.pk, state=Watch.WATCHING, looked=watch.looked).update(looked=now)
        if not claimed:
            continue
        try:
            look(api, watch, traffic, now)
        except ClusterTrouble as exc:
            log.info("a watched release can't be looked at", extra={"watch": watch.pk, "error": str(exc)})


def look(api: Cluster, watch: Watch, traffic: dict[str, Traffic] | None, now: datetime) -> None:
    """Ends the watch when the release failed, was replaced, or has done well long enough. Raises: ClusterTrouble."""
    release = watch.release
    app = release.app
    current = app.current_release()
    if current is None or current.pk != release.pk:
        if not operations.unfinished(app):
            end(watch, Watch.ENDED)
        return
    if operations.unfinished(app):
        return  # whatever is under way may come back to this release
    rules = DeployRules(**app.settings.deploy)
    if reason := sickness(api, watch, rules, traffic, now):
        take_back(watch, reason)
    elif now >= watch.until:
        if end(watch, Watch.PASSED):
            seconds = (watch.until - watch.since).total_seconds()
            tell(release, f"v{release.version} has run for {seconds:.0f} s without trouble")
    else:
        Watch.objects.filter(pk=watch.pk).update(samples=watch.samples)


def sickness(api: Cluster, watch: Watch, rules: DeployRules, traffic: dict[str, Traffic] | None, now: datetime) -> str:
    """Why the release counts as failed; empty while it does well. Keeps what was seen in `watch`, unsaved."""
    release = watch.release
    app = release.app
    pods = processes_of(api, release)
    if finding := health.observe_sickness(pods, watch.restarts, nodes_away(api, pods), now):
        return explain(api, app.name, finding, pods)
    if traffic is None or app.settings.maintenance:
        watch.samples = []
        return ""
    mine = traffic.get(app.name, Traffic())
    sample = ((now - watch.since).total_seconds(), mine.requests, mine.errors)
    watch.samples = health.keep_samples(watch.samples, sample)
    share = health.error_share(watch.samples)
    if share is not None and share * 100 >= rules.errors:
        asked = watch.samples[-1][1] - watch.samples[0][1]
        return f"{share:.0%} of {asked} requests in the last {health.WINDOW:.0f} s were answered with 5xx"
    return ""


def processes_of(api: Cluster, release: Release) -> list[dict]:
    pods = of_release(api.list("Pod", release.app.name, OURS)[0], release.version)
    return [pod for pod in pods if is_process(pod)]


def nodes_away(api: Cluster, pods: list[dict]) -> set[str]:
    """The nodes that don't answer, or only just do again; asked for only when some pod isn't ready."""
    if all(map(health.is_ready, pods)):
        return set()
    nodes, at = api.list("Node", None)[0], timezone.now()
    return {node["metadata"]["name"] for node in nodes if not health.is_settled(node, at)}


def end(watch: Watch, state: str, reason: str = "") -> bool:
    """False when another worker ended it."""
    rows = Watch.objects.filter(pk=watch.pk, state=Watch.WATCHING)
    return bool(rows.update(state=state, reason=reason, samples=[], restarts={}))


def take_back(watch: Watch, reason: str) -> None:
    """Marks the release failed and has the one before it take over, if the app's rules and history allow it."""
    release = watch.release
    with transaction.atomic():
        app = operations.lock(release.app)
        if operations.unfinished(app) or not end(watch, Watch.FAILED, reason):
            return
        target = good_before(release)
        if why := why_not(app, release, target):
            text = f"v{release.version} is live but failing: {reason}. It stays, because {why}"
            event = "release.failing"
        else:
            text = f"v{release.version} was rolled back to v{target.version}: {reason}"
            event = "release.rolled_back"
            restore(app, release, target, watch.structure_before, reason)
        record(app, text, "ERROR")
        tell(release, text)
        announce(app, event, release=release, text=text)
    log.info("watched release failed", extra={"app": app.name, "release": release.version, "outcome": event})


def why_not(app: App, release: Release, target: Release | None) -> str:
    """Why a failing release isn't taken back; empty when it is."""
    if not DeployRules(**app.settings.deploy).rollback:
        return "automatic rollback is off (`paas deploys:set rollback=on`)"
    if release.cause == Release.ROLLBACK:
        return "it is a rollback already; `paas releases` shows what else there is to go back to"
    if target is None:
        return "there is no earlier release to go back to"
    return ""


def restore(app: App, release: Release, target: Release, structure_before: dict[str, int], reason: str) -> None:
    """Begins the way back to `target`. Needs `operations.lock(app)` and nothing under way."""
    mark_failed(release, f"rolled back to v{target.version} after it went live: {reason}")
    if app.structure == release.structure and structure_before:
        app.structure = structure_before  # nobody scaled meanwhile
        app.save(update_fields=["structure", "updated"])
    tell(target, f"v{target.version} takes over from v{release.version} again")
    operations.begin(app=app, release=target, by=None, kind=Operation.RESTORE, structure_before=app.structure)


def tell(release: Release, text: str) -> None:
    """Keeps a line with the release's output."""
    OutputLine.objects.create(release=release, text=text)
