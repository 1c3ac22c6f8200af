"""What the pages need to know, read from database and cluster at once: never a query per row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import OuterRef, Subquery

from controller.cluster.client import cluster
from controller.cluster.deploy import OURS
from controller.cluster.diagnose import Pod, explain, now, observe_delay, parse_time
from controller.cluster.observe import is_process
from controller.cluster.pods import Process, describe
from controller.errors import ClusterTrouble
from controller.models import App, AppSettings, Domain, Operation, Release

BEGINNING = 15.0  # seconds in which a process that isn't up yet is nothing to speak of
NOT_RUNNING = ("down", "destroyed")
NO_NEWS = "The orchestrator doesn't answer right now: apps run on, but what their processes do can't be shown."


@dataclass
class Observed:
    """Apps, and by each one's key what belongs to it."""

    apps: list[App]
    current: dict = field(default_factory=dict)
    newest: dict = field(default_factory=dict)
    operations: dict = field(default_factory=dict)
    domains: dict = field(default_factory=dict)
    maintenance: set = field(default_factory=set)
    processes: dict[str, list[Process]] | None = None  # by app's name; None when the cluster doesn't answer
    causes: dict[str, str] = field(default_factory=dict)  # by process: why it isn't up

    @property
    def trouble(self) -> str:
        return NO_NEWS if self.processes is None else ""

    def processes_of(self, app: App) -> list[Process] | None:
        """The app's processes of its current release and the leaving ones; None when nobody knows."""
        return None if self.processes is None else self.processes.get(app.name, [])


def observe(apps: list[App]) -> Observed:
    """Everything about `apps`, in a number of queries that doesn't grow with them."""
    observed = Observed(apps)
    keys = [app.pk for app in apps]
    releases = Release.objects.filter(app=OuterRef("pk")).order_by("-version").values("pk")
    picked = App.objects.filter(pk__in=keys).values_list(
        "pk", Subquery(releases.filter(failed=False)[:1]), Subquery(releases[:1])
    )
    ids = list(picked)
    found = Release.objects.select_related("build").in_bulk({pk for _, *pair in ids for pk in pair if pk})
    observed.current = {app: found[current] for app, current, _ in ids if current}
    observed.newest = {app: found[newest] for app, _, newest in ids if newest}
    unfinished = Operation.objects.filter(app__in=keys, state__in=Operation.UNFINISHED).select_related("release")
    observed.operations = {operation.app_id: operation for operation in unfinished}
    for key, domain in Domain.objects.filter(app__in=keys).order_by("domain").values_list("app_id", "domain"):
        observed.domains.setdefault(key, []).append(domain)
    observed.maintenance = set(
        AppSettings.objects.filter(app__in=keys, maintenance=True).values_list("app_id", flat=True)
    )
    if apps:
        read_processes(observed, apps[0].name if len(apps) == 1 else None)
    return observed


def read_processes(observed: Observed, app: str | None) -> None:
    """The processes of the observed apps; those that ended on purpose and one-off commands left out."""
    try:
        pods, _ = cluster().list("Pod", app, OURS)
    except ClusterTrouble:
        return
    found: dict[str, list[Process]] = {}
    names = {app.name for app in observed.apps}
    for pod in pods:
        if pod["metadata"]["namespace"] not in names:
            continue
        process = describe(pod)
        if not is_process(pod) or process.state in NOT_RUNNING:
            continue
        found.setdefault(pod["metadata"]["namespace"], []).append(process)
        if app is not None and (cause := cause_of(pod, process, now())):
            observed.causes[process.name] = cause
    observed.processes = found


def cause_of(pod: Pod, process: Process, at: datetime) -> str:
    """Why a process isn't up, in a sentence; empty for one that is, is leaving, or has only begun."""
    if process.state in ("up", "terminating"):
        return ""
    young = (at - parse_time(pod["metadata"]["creationTimestamp"])).total_seconds() < BEGINNING
    finding = observe_delay([pod])
    if finding is None or (young and process.state not in ("crashed", "error")):
        return ""
    return explain(finding, pod["spec"]["containers"][0].get("image", ""))
