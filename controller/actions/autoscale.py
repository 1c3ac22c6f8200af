"""Process counts that follow what the router sees: requests a second and how long they take.

CPU and memory are the cluster's HorizontalPodAutoscaler's; the router's figures are ours. The arithmetic is the
same: the ratio of what is to what should be, a tolerance, up at once, down only to the most of the last minutes.
"""

import logging
import math
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from controller.actions import operations
from controller.actions.events import record
from controller.cluster.processes import routable_type
from controller.errors import PaasError
from controller.models import App, Operation, ScalingState
from controller.router_metrics import Traffic, read_traffic

log = logging.getLogger(__name__)

PERIOD = 15.0  # seconds between looks
TOO_SOON = timedelta(seconds=PERIOD * 0.7)  # another worker has just looked
TOO_OLD = timedelta(seconds=PERIOD * 8)  # figures from before a pause say nothing of now
TOLERANCE = 0.1  # part by which a ratio may be off
STABLE = 300.0  # seconds whose highest proposal holds when it goes down
FEWEST = 5  # requests that a latency is worth saying of
QUANTILE = 0.95
BY_ROUTER = ("requests_per_second", "latency_ms")
TARGETS = ("cpu_percent", "memory_percent", *BY_ROUTER)
LARGEST = 10_000  # of any number in a rule
DEED = "autoscale scaled"  # what lines of the log about it begin with


def is_by_router(rule: dict) -> bool:
    return any(name in rule for name in BY_ROUTER)


def problem_of(kind: str, rule: object) -> str:
    """What is wrong with a rule that `kind` is to scale by, in a sentence; empty when nothing is."""
    known = isinstance(rule, dict) and {"min", "max"} <= rule.keys() <= {"min", "max", *TARGETS}
    if not isinstance(rule, dict) or not known or len(rule) < 3:
        return f"Autoscale settings of {kind} must be min, max and cpu_percent (or {', '.join(TARGETS[1:])})"
    for name, value in rule.items():
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= LARGEST:
            return f"{name} of {kind} must be an integer from 1 to {LARGEST}"
    if is_by_router(rule) and rule.keys() & {"cpu_percent", "memory_percent"}:
        return "What the router sees and what processes use are scaled by apart: take targets of one of the two"
    if is_by_router(rule) and kind not in ("web", "cmd"):
        return "Only web (or cmd) gets requests from the router; scale others by cpu_percent or memory_percent"
    return f"min of {kind} may not be larger than its max" if rule["min"] > rule["max"] else ""


def evaluate() -> None:
    """One look at every app that scales by the router's figures."""
    apps = [
        app
        for app in App.objects.exclude(settings__autoscale={}).select_related("settings")
        if any(map(is_by_router, app.settings.autoscale.values()))
    ]
    traffic = read_traffic() if apps else None
    if traffic is None:
        return
    for app in apps:
        try:
            evaluate_app(app, traffic.get(app.name, Traffic()))
        except PaasError as exc:
            log.info("app not scaled", extra={"app": app.name, "error": str(exc)})


def evaluate_app(app: App, traffic: Traffic) -> None:
    """Scales the routed type if its rule and the figures want it. Raises: InProgress."""
    now = timezone.now()
    with transaction.atomic():
        app = operations.lock(app)
        kind = routable_type(app.structure)
        rule, current = app.settings.autoscale.get(kind) or {}, app.structure.get(kind, 0)
        state = ScalingState.objects.filter(app=app).first() or ScalingState(app=app, time=now - TOO_OLD * 2)
        if now - state.time < TOO_SOON:
            return
        figures = measured(state, traffic, (now - state.time).total_seconds()) if now - state.time < TOO_OLD else None
        state.time, state.requests = now, traffic.requests
        state.buckets = {str(limit): count for limit, count in traffic.buckets.items()}
        wanted = None
        if is_by_router(rule) and current and figures is not None:
            wanted = settle(state, propose(rule, current, *figures), now.timestamp())
            wanted = min(max(wanted, rule["min"]), rule["max"])
        state.save()
        if wanted is None or wanted == current or operations.unfinished(app):
            return
        scale(app, kind, current, wanted, *figures)


def measured(state: ScalingState, traffic: Traffic, seconds: float) -> tuple[float, float | None] | None:
    """Requests a second, and the milliseconds that 95 of 100 took at most (None: too few requests to say).

    None when the router's counters began anew.
    """
    count = traffic.requests - state.requests
    if count < 0 or seconds <= 0:
        return None
    before = {float(limit): number for limit, number in state.buckets.items()}
    buckets = {limit: number - before.get(limit, 0) for limit, number in traffic.buckets.items()}
    latency = quantile(buckets, QUANTILE) if count >= FEWEST else None
    return count / seconds, None if latency is None else latency * 1000


def quantile(buckets: dict[float, int], part: float) -> float | None:
    """Seconds within which `part` of the requests were answered, between a bucket's edges in proportion."""
    edges = sorted(buckets)
    if not edges or buckets[edges[-1]] <= 0:
        return None
    rank, low, counted = buckets[edges[-1]] * part, 0.0, 0
    for edge in edges:
        if buckets[edge] >= rank:
            if math.isinf(edge):
                return low
            inside = buckets[edge] - counted
            return low + (edge - low) * ((rank - counted) / inside if inside else 1.0)
        low, counted = edge, buckets[edge]
    return low


def propose(rule: dict, current: int, per_second: float, latency: float | None) -> int:
    """How many processes the figures ask for; of two wishes the larger."""
    wishes = []
    if target := rule.get("requests_per_second"):
        wishes.append(by_ratio(current, per_second / (current * target)))
    if target := rule.get("latency_ms"):
        wishes.append(by_ratio(current, latency / target) if latency is not None else current - 1)
    return max(1, min(max(wishes), max(current * 2, current + 4)))


def by_ratio(current: int, ratio: float) -> int:
    return current if abs(ratio - 1) <= TOLERANCE else math.ceil(current * ratio)


def settle(state: ScalingState, proposal: int, now: float) -> int:
    """The proposal, or when it goes down the highest of the last minutes; keeps it among them."""
    state.proposals = [[when, count] for when, count in state.proposals if now - when < STABLE] + [[now, proposal]]
    return max(count for _, count in state.proposals)


def scale(app: App, kind: str, current: int, wanted: int, per_second: float, latency: float | None) -> None:
    """Needs `operations.lock(app)` and nothing under way."""
    release = app.current_release()
    if release is None or release.build is None:
        return
    before, app.structure = app.structure, {**app.structure, kind: wanted}
    app.save(update_fields=["structure", "updated"])
    seen = f"{per_second:.1f} requests a second" + (f", 95% within {latency:.0f} ms" if latency is not None else "")
    record(app, f"{DEED} {kind} from {current} to {wanted}: {seen}")
    operations.begin(app=app, release=release, by=None, kind=Operation.SCALE, structure_before=before)
