"""What apps answer and use, kept for graphs: the router's counters and the cluster's figures, once a minute.

A minute's row is kept for some hours; each ten of them become one, kept for days. Apps without processes and
requests get no row: a gap in a graph is nothing at all.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone

from controller.actions.autoscale import FEWEST, QUANTILE, quantile
from controller.cluster.client import Manifest, cluster
from controller.cluster.deploy import OURS
from controller.errors import ClusterTrouble
from controller.models import App, TrafficReading, Usage
from controller.router_metrics import Traffic, read_traffic

PERIOD = 60.0  # seconds between looks
LONG = 10  # minutes in a row that is kept for days
KEPT = {1: timedelta(hours=3), LONG: timedelta(days=3)}
TOO_OLD = timedelta(minutes=5)  # counters from before a pause say nothing of this minute
ONE_OFF = ("run", "release")
UNITS = {
    "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip

Types = dict[str, list[float]]


def amount(quantity: str) -> float:
    """A Kubernetes quantity as a number: `250m` is 0.25."""
    number = quantity.rstrip("numkKMGTi")
    return float(number) * UNITS.get(quantity[len(number) :], 1)


def measure() -> None:
    """A row for this minute of each app that runs or answers; nothing when another worker was there already."""
    now = timezone.now().replace(second=0, microsecond=0)
    readings = {reading.app_id: reading for reading in TrafficReading.objects.all()}
    apps = list(App.objects.only("pk", "name"))
    used, traffic = read_usage(), read_traffic() or {}
    rows, read = [], []
    for app in apps:
        before, figures = readings.get(app.pk), traffic.get(app.name)
        if before and before.time >= now:
            continue
        row = Usage(app=app, time=now, minutes=1, types=used.get(app.name, {}))
        if figures is not None:
            read.append(reading_of(app, figures, now))
            count_requests(row, before, figures)
        if row.types or row.requests:
            rows.append(row)
    Usage.objects.bulk_create(rows, ignore_conflicts=True)
    TrafficReading.objects.bulk_create(
        read, update_conflicts=True, unique_fields=["app"], update_fields=["time", "requests", "errors", "buckets"]
    )
    if now.minute % LONG == 0:
        roll_up(now)


def reading_of(app: App, traffic: Traffic, now: datetime) -> TrafficReading:
    buckets = {str(limit): count for limit, count in traffic.buckets.items()}
    return TrafficReading(app=app, time=now, requests=traffic.requests, errors=traffic.errors, buckets=buckets)


def count_requests(row: Usage, before: TrafficReading | None, traffic: Traffic) -> None:
    """Fills in what came since `before`; nothing is known when that is old, or the counters began anew since."""
    if before is None or row.time - before.time > TOO_OLD or traffic.requests < before.requests:
        return
    row.requests = traffic.requests - before.requests
    row.errors = max(traffic.errors - before.errors, 0)
    if row.requests >= FEWEST:
        earlier = {float(limit): count for limit, count in before.buckets.items()}
        row.latency = quantile(
            {limit: count - earlier.get(limit, 0) for limit, count in traffic.buckets.items()}, QUANTILE
        )


def read_usage() -> dict[str, Types]:
    """By app what its processes use; empty where the cluster doesn't measure, or doesn't answer."""
    try:
        pods, _ = cluster().list("PodMetrics", None, OURS)
    except ClusterTrouble:
        return {}
    found: dict[str, Types] = defaultdict(dict)
    for pod in pods:
        kind = (pod["metadata"].get("labels") or {}).get("type", "")
        if kind and kind not in ONE_OFF and not kind.startswith("cron-"):
            cores, size = use_of(pod)
            count, all_cores, largest = found[pod["metadata"]["namespace"]].get(kind, [0, 0.0, 0.0])
            found[pod["metadata"]["namespace"]][kind] = [count + 1, all_cores + cores, max(largest, size)]
    return found


def use_of(pod: Manifest) -> tuple[float, float]:
    """Cores and bytes of all the pod's containers together."""
    used = [container["usage"] for container in pod.get("containers") or ()]
    return sum(amount(each.get("cpu", "0")) for each in used), sum(amount(each.get("memory", "0")) for each in used)


def roll_up(now: datetime) -> None:
    """The last ten minutes of each app as one row."""
    spans: dict[object, list[Usage]] = defaultdict(list)
    for row in Usage.objects.filter(minutes=1, time__gt=now - timedelta(minutes=LONG), time__lte=now):
        spans[row.app_id].append(row)
    rows = [summary_of(span, now) for span in spans.values()]
    Usage.objects.bulk_create(rows, ignore_conflicts=True)


def summary_of(span: Iterable[Usage], now: datetime) -> Usage:
    """Sums of requests, the worst latency, the mean of cores, the most of processes and memory."""
    rows = list(span)
    types: Types = {}
    for kind in {kind for row in rows for kind in row.types}:
        seen = [row.types[kind] for row in rows if kind in row.types]
        counts, cores, sizes = zip(*seen, strict=True)
        types[kind] = [max(counts), sum(cores) / len(seen), max(sizes)]
    return Usage(
        app_id=rows[0].app_id,
        time=now,
        minutes=LONG,
        requests=sum(row.requests for row in rows),
        errors=sum(row.errors for row in rows),
        latency=max((row.latency for row in rows if row.latency is not None), default=None),
        types=types,
    )


def usage_of(app: App, since: timedelta) -> list[Usage]:
    """The app's rows of the time `since`, as fine as they are kept for that long; oldest first."""
    minutes = 1 if since <= KEPT[1] else LONG
    return list(app.usage.filter(minutes=minutes, time__gt=timezone.now() - since).order_by("time"))


def forget_old_usage() -> None:
    for minutes, kept in KEPT.items():
        Usage.objects.filter(minutes=minutes, time__lt=timezone.now() - kept).delete()
