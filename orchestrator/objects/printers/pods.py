"""A pod's row: READY, STATUS and RESTARTS exactly as Kubernetes works them out."""

from __future__ import annotations

from typing import Any, NamedTuple

from orchestrator.objects.meta import Obj, is_deleting
from orchestrator.objects.pod_status import is_sidecar
from orchestrator.objects.printers.cells import NONE, Printer, age_cell, condition, name_of, since, spec_of, status_of


class _Totals(NamedTuple):
    ready: int
    restarts: int
    last_restart: str
    reason: str
    initializing: bool


def _last_end(container: dict[str, Any], latest: str) -> str:
    ended = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
    return max(ended, latest)


def _ended_reason(terminated: dict[str, Any]) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _init_totals(obj: Obj, reason: str) -> tuple[_Totals, int, str]:
    """Of init containers; and the restarts of sidecars among them, which count on."""
    spec = spec_of(obj)
    sidecars = {item.get("name") for item in spec.get("initContainers") or () if is_sidecar(item)}
    ready = restarts = sidecar_restarts = 0
    last = sidecar_last = ""
    initializing = False
    for at, container in enumerate(status_of(obj).get("initContainerStatuses") or ()):
        restarts += container.get("restartCount", 0)
        last = _last_end(container, last)
        sidecar = container.get("name") in sidecars
        if sidecar:
            sidecar_restarts += container.get("restartCount", 0)
            sidecar_last = _last_end(container, sidecar_last)
        state = container.get("state") or {}
        terminated, waiting = state.get("terminated"), state.get("waiting") or {}
        if terminated is not None and terminated.get("exitCode", 0) == 0:
            continue
        if sidecar and container.get("started"):
            ready += 1 if container.get("ready") else 0
            continue
        initializing = True
        if terminated is not None:
            reason = f"Init:{_ended_reason(terminated)}"
        elif waiting.get("reason") and waiting["reason"] != "PodInitializing":
            reason = f"Init:{waiting['reason']}"
        else:
            reason = f"Init:{at}/{len(spec.get('initContainers') or ())}"
        break
    return _Totals(ready, restarts, last, reason, initializing), sidecar_restarts, sidecar_last


def _main_totals(obj: Obj, start: _Totals) -> _Totals:
    ready, restarts, last, reason, _ = start
    running = False
    for container in reversed(status_of(obj).get("containerStatuses") or ()):
        restarts += container.get("restartCount", 0)
        last = _last_end(container, last)
        state = container.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            reason = state["waiting"]["reason"]
        elif state.get("terminated") is not None:
            reason = _ended_reason(state["terminated"])
        elif container.get("ready") and state.get("running") is not None:
            running = True
            ready += 1
    if reason == "Completed" and running:
        is_ready = (condition(obj, "Ready") or {}).get("status") == "True"
        reason = "Running" if is_ready else "NotReady"
    return _Totals(ready, restarts, last, reason, False)


def pod_totals(obj: Obj) -> _Totals:
    status = status_of(obj)
    reason = status.get("reason") or status.get("phase") or ""
    if (condition(obj, "PodScheduled") or {}).get("reason") == "SchedulingGated":
        reason = "SchedulingGated"
    totals, sidecar_restarts, sidecar_last = _init_totals(obj, reason)
    if not totals.initializing or (condition(obj, "Initialized") or {}).get("status") == "True":
        start = _Totals(totals.ready, sidecar_restarts, sidecar_last, totals.reason, False)
        totals = _main_totals(obj, start)
    if is_deleting(obj):
        if status.get("reason") == "NodeLost":
            return totals._replace(reason="Unknown")
        if status.get("phase") not in ("Succeeded", "Failed"):
            return totals._replace(reason="Terminating")
    return totals


def _readiness_gates(obj: Obj) -> str:
    gates = spec_of(obj).get("readinessGates") or ()
    if not gates:
        return NONE
    true = sum((condition(obj, gate.get("conditionType", "")) or {}).get("status") == "True" for gate in gates)
    return f"{true}/{len(gates)}"


def _pod_cells(obj: Obj, now: float) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    totals = pod_totals(obj)
    count = len(spec.get("containers") or ()) + sum(map(is_sidecar, spec.get("initContainers") or ()))
    restarts = str(totals.restarts)
    if totals.restarts and totals.last_restart:
        restarts = f"{restarts} ({since(totals.last_restart, now)} ago)"
    addresses = status.get("podIPs") or ()
    return [
        name_of(obj),
        f"{totals.ready}/{count}",
        totals.reason,
        restarts,
        age_cell(obj, now),
        (addresses[0].get("ip") if addresses else status.get("podIP")) or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _readiness_gates(obj),
    ]


def _completed(obj: Obj) -> list[dict[str, str]]:
    phase = status_of(obj).get("phase")
    if phase not in ("Succeeded", "Failed"):
        return []
    text = "The pod has completed successfully." if phase == "Succeeded" else "The pod failed."
    return [{"type": "Completed", "status": "True", "reason": phase, "message": text}]


POD = Printer(
    (
        "Name:name", "Ready", "Status", "Restarts", "Age", "IP*", "Node*", "Nominated Node*", "Readiness Gates*",
    ),
    _pod_cells,
    _completed,
)  # fmt: skip
