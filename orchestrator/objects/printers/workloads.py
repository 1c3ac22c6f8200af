"""Rows of what makes and scales pods."""

from __future__ import annotations

from typing import Any

from orchestrator.objects.meta import Obj, controller_of, is_deleting
from orchestrator.objects.printers.cells import (
    NONE,
    UNKNOWN,
    Printer,
    age_cell,
    condition,
    containers_cells,
    duration,
    epoch,
    labels_text,
    name_of,
    selector_text,
    since,
    spec_of,
    status_of,
)  # fmt: skip

_WIDE = ("Containers*", "Images*", "Selector*")


def _wide(obj: Obj) -> list[str]:
    spec = spec_of(obj)
    selector = spec.get("selector")
    text = labels_text(selector) if obj.get("kind") == "ReplicationController" else selector_text(selector)
    return [*containers_cells(spec.get("template") or {}), text]


def _deployment(obj: Obj, now: float) -> list[Any]:
    status = status_of(obj)
    ready = f"{status.get('readyReplicas', 0)}/{spec_of(obj).get('replicas', 0)}"
    updated, available = status.get("updatedReplicas", 0), status.get("availableReplicas", 0)
    return [name_of(obj), ready, updated, available, age_cell(obj, now), *_wide(obj)]


DEPLOYMENT = Printer(("Name:name", "Ready", "Up-to-date:integer", "Available:integer", "Age", *_WIDE), _deployment)


def _replica_set(obj: Obj, now: float) -> list[Any]:
    status = status_of(obj)
    counts = [spec_of(obj).get("replicas", 0), status.get("replicas", 0), status.get("readyReplicas", 0)]
    return [name_of(obj), *counts, age_cell(obj, now), *_wide(obj)]


REPLICA_SET = Printer(("Name:name", "Desired:integer", "Current:integer", "Ready:integer", "Age", *_WIDE), _replica_set)


def _pod_template(obj: Obj, now: float) -> list[Any]:
    template = obj.get("template") or {}
    labels = labels_text((template.get("metadata") or {}).get("labels"))
    return [name_of(obj), *containers_cells(template), labels]


POD_TEMPLATE = Printer(("Name:name", "Containers", "Images", "Pod Labels"), _pod_template)


def _stateful_set(obj: Obj, now: float) -> list[Any]:
    ready = f"{status_of(obj).get('readyReplicas', 0)}/{spec_of(obj).get('replicas', 0)}"
    return [name_of(obj), ready, age_cell(obj, now), *containers_cells(spec_of(obj).get("template") or {})]


STATEFUL_SET = Printer(("Name:name", "Ready", "Age", "Containers*", "Images*"), _stateful_set)


def _daemon_set(obj: Obj, now: float) -> list[Any]:
    status = status_of(obj)
    fields = (
        "desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable",
    )  # fmt: skip
    template = spec_of(obj).get("template") or {}
    nodes = labels_text((template.get("spec") or {}).get("nodeSelector"))
    counts = [status.get(field, 0) for field in fields]
    return [name_of(obj), *counts, nodes, age_cell(obj, now), *_wide(obj)]


DAEMON_SET = Printer(
    (
        "Name:name", "Desired:integer", "Current:integer", "Ready:integer", "Up-to-date:integer", "Available:integer",
        "Node Selector", "Age", *_WIDE,
    ),
    _daemon_set,
)  # fmt: skip


def _controller_revision(obj: Obj, now: float) -> list[Any]:
    owner = controller_of(obj)
    text = NONE
    if owner is not None:
        group = owner.get("apiVersion", "").rpartition("/")[0]
        text = f"{owner.get('kind', '').lower()}{'.' + group if group else ''}/{owner.get('name', '')}"
    return [name_of(obj), text, obj.get("revision", 0), age_cell(obj, now)]


CONTROLLER_REVISION = Printer(("Name:name", "Controller", "Revision", "Age"), _controller_revision)


def job_state(obj: Obj) -> str:
    def holds(type_: str) -> bool:
        return (condition(obj, type_) or {}).get("status") == "True"

    for type_ in ("Complete", "Failed"):
        if holds(type_):
            return type_
    if is_deleting(obj):
        return "Terminating"
    for type_ in ("Suspended", "FailureTarget", "SuccessCriteriaMet"):
        if holds(type_):
            return type_
    return "Running"


def _job(obj: Obj, now: float) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    succeeded = status.get("succeeded", 0)
    if spec.get("completions") is not None:
        completions = f"{succeeded}/{spec['completions']}"
    elif (spec.get("parallelism") or 0) > 1:
        completions = f"{succeeded}/1 of {spec['parallelism']}"
    else:
        completions = f"{succeeded}/1"
    took = ""
    if started := status.get("startTime"):
        ended = status.get("completionTime")
        took = duration((epoch(ended) if ended else now) - epoch(started))
    return [name_of(obj), job_state(obj), completions, took, age_cell(obj, now), *_wide(obj)]


JOB = Printer(("Name:name", "Status", "Completions", "Duration", "Age", *_WIDE), _job)


def _cron_job(obj: Obj, now: float) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    last = since(status["lastScheduleTime"], now) if status.get("lastScheduleTime") else NONE
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    return [
        name_of(obj),
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        "True" if spec.get("suspend") else "False",
        len(status.get("active") or ()),
        last,
        age_cell(obj, now),
        *containers_cells(job.get("template") or {}),
        selector_text(job.get("selector")),
    ]


CRON_JOB = Printer(
    ("Name:name", "Schedule", "Timezone", "Suspend", "Active:integer", "Last Schedule", "Age", *_WIDE), _cron_job
)


def _autoscaler(obj: Obj, now: float) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    target = spec.get("scaleTargetRef") or {}
    metrics = _metrics_v1(obj) if "metrics" not in spec else _metrics(spec, status)
    least = spec.get("minReplicas")
    return [
        name_of(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        metrics,
        NONE if least is None else str(least),
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age_cell(obj, now),
    ]


def _metrics_v1(obj: Obj) -> str:
    wanted = spec_of(obj).get("targetCPUUtilizationPercentage")
    if wanted is None:
        return NONE
    current = status_of(obj).get("currentCPUUtilizationPercentage")
    return f"cpu: {UNKNOWN if current is None else f'{current}%'}/{wanted}%"


def _metrics(spec: dict[str, Any], status: dict[str, Any]) -> str:
    if not spec.get("metrics"):
        return NONE
    found = status.get("currentMetrics") or []
    texts = [
        _metric(metric, found[at] if at < len(found) and found[at] else {}) for at, metric in enumerate(spec["metrics"])
    ]
    return ", ".join(texts) if len(texts) <= 2 else f"{', '.join(texts[:2])} + {len(texts) - 2} more..."


_SOURCES = {
    "Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods", "Object": "object",
    "External": "external",
}  # fmt: skip


def _metric(metric: dict[str, Any], current: dict[str, Any]) -> str:
    source = _SOURCES.get(metric.get("type", ""), "")
    wanted = metric.get(source) or {}
    have = (current.get(source) or {}).get("current") or {}
    target = wanted.get("target") or {}
    prefix = f"{wanted.get('name', '')}: " if "esource" in source else ""
    if target.get("averageUtilization") is not None:
        value = have.get("averageUtilization")
        return f"{prefix}{UNKNOWN if value is None else f'{value}%'}/{target['averageUtilization']}%"
    if target.get("averageValue") is not None:
        suffix = " (avg)" if source in ("object", "external") else ""
        return f"{prefix}{have.get('averageValue') or UNKNOWN}/{target['averageValue']}{suffix}"
    return f"{prefix}{have.get('value') or UNKNOWN}/{target.get('value') or UNKNOWN}"


AUTOSCALER = Printer(
    ("Name:name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas:integer", "Age"), _autoscaler
)


def _disruption_budget(obj: Obj, now: float) -> list[Any]:
    spec = spec_of(obj)
    bounds = [str(spec[field]) if field in spec else "N/A" for field in ("minAvailable", "maxUnavailable")]
    return [name_of(obj), *bounds, status_of(obj).get("disruptionsAllowed", 0), age_cell(obj, now)]


DISRUPTION_BUDGET = Printer(
    ("Name:name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"), _disruption_budget
)
