"""A pod's status, derived from what its containers do. Pure: the same observation gives the same status.

Source: kubernetes pkg/kubelet/kubelet_pods.go (convertToAPIContainerStatuses, getPhase), status/generate.go.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.kubelet.pod import (
    History,
    all_containers_of,
    containers_of,
    ephemeral_containers_of,
    failed,
    has_succeeded,
    init_containers_of,
    is_over,
    is_sidecar,
    latest,
)
from orchestrator.kubelet.runtime import ContainerStatus, Sandbox
from orchestrator.objects.meta import Obj
from orchestrator.objects.times import timestamp


@dataclass(slots=True)
class Observation:
    """What a worker knows of its pod now."""

    history: History = field(default_factory=dict)
    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # container → reason, message
    ready: Mapping[str, bool] = field(default_factory=dict)
    started: Mapping[str, bool] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)  # container id → termination message
    sandbox: Sandbox | None = None
    host_address: str = ""
    start_time: float = 0
    failure: tuple[str, str] | None = None  # the pod as a whole: reason (Evicted, DeadlineExceeded…), message
    runtime_name: str = "docker"
    stopping: bool = False
    rejected: bool = False  # the node never took it
    disrupted: bool = False  # it failed for the node's sake


def observe_pod(pod: Obj, seen: Observation, *, now: float, previous: Mapping[str, Any]) -> dict[str, Any]:
    """The status to write; `previous` is the one last written, for the times of conditions."""
    phase = observe_phase(pod, seen)
    terminal = phase in ("Succeeded", "Failed")
    status: dict[str, Any] = {
        "phase": phase,
        "startTime": timestamp(seen.start_time),
        "hostIP": seen.host_address,
        "hostIPs": [{"ip": seen.host_address}],
        "containerStatuses": [container_entry(pod, c, seen, init=False) for c in containers_of(pod)],
    }
    if inits := init_containers_of(pod):
        status["initContainerStatuses"] = [container_entry(pod, c, seen, init=True) for c in inits]
    if debuggers := ephemeral_containers_of(pod):
        told = [container_entry(pod, container, seen, init=False) for container in debuggers]
        status["ephemeralContainerStatuses"] = [{**entry, "ready": False} for entry in told]
    if seen.sandbox is not None and seen.sandbox.address:
        status |= {"podIP": seen.sandbox.address, "podIPs": [{"ip": seen.sandbox.address}]}
    if seen.failure is not None:
        status |= {"reason": seen.failure[0], "message": seen.failure[1]}
    wanted = observe_conditions(pod, seen, status, terminal=terminal, succeeded=phase == "Succeeded")
    status["conditions"] = [with_time(condition, previous, now) for condition in wanted]
    if seen.rejected:
        return {key: value for key, value in status.items() if not key.endswith("ontainerStatuses")}
    if terminal and any(c["type"] == "Initialized" and c["status"] == "True" for c in wanted):
        for entry in status["containerStatuses"]:
            end_waiting(entry)
    return status


def end_waiting(entry: dict[str, Any]) -> None:
    """A container of a pod that is over waits for nothing. Source: kubernetes status_manager.go, TerminatePod."""
    if "waiting" in entry["state"] and not entry.get("containerID"):
        why = "The container could not be located when the pod was terminated"
        entry["state"] = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown", "message": why}}


def observe_phase(pod: Obj, seen: Observation) -> str:
    history = seen.history
    current = [latest(history, container["name"]) for container in all_containers_of(pod)]
    running = any(status is not None and status.state == "running" for status in current)
    if seen.failure is not None and not running:
        return "Failed"
    if is_over(pod, history) and not running:
        return "Succeeded" if has_succeeded(pod, history) else "Failed"
    if seen.stopping and not running and all(latest(history, c["name"]) for c in containers_of(pod)):
        return "Succeeded" if has_succeeded(pod, history) else "Failed"
    if any(latest(history, container["name"]) is None for container in containers_of(pod)):
        return "Pending"
    if any(s is not None and s.state == "created" for s in current):
        return "Pending"
    return "Running"


def container_entry(pod: Obj, container: Mapping[str, Any], seen: Observation, *, init: bool) -> dict[str, Any]:
    name = container["name"]
    attempts = seen.history.get(name) or ()
    status = attempts[-1] if attempts else None
    entry: dict[str, Any] = {
        "name": name,
        "image": status.image if status else container.get("image", ""),
        "imageID": f"{seen.runtime_name}://{status.image_id}" if status and status.image_id else "",
        "ready": is_ready(container, status, seen, init=init),
        "restartCount": status.attempt if status else 0,
        "started": bool(status and status.state == "running" and seen.started.get(name)),
        "state": observe_state(pod, name, status, seen),
        "lastState": {},
    }
    if status and status.state != "created":
        entry["containerID"] = f"{seen.runtime_name}://{status.id}"
    ended = last_ended(attempts, waiting="waiting" in entry["state"])
    if ended is not None:
        entry["lastState"] = {"terminated": terminated(ended, seen)}
    return entry


def is_ready(container: Mapping[str, Any], status: ContainerStatus | None, seen: Observation, *, init: bool) -> bool:
    if init and not is_sidecar(container):
        return bool(status and status.state == "exited" and not failed(status))
    return bool(status and status.state == "running" and seen.ready.get(container["name"]))


def observe_state(pod: Obj, name: str, status: ContainerStatus | None, seen: Observation) -> dict[str, Any]:
    waits = seen.waiting.get(name)
    if status is not None and status.state == "running":
        return {"running": {"startedAt": timestamp(status.started_at)}}
    if waits is None and status is not None and status.state == "exited":
        return {"terminated": terminated(status, seen)}
    if waits is None:
        creating = "PodInitializing" if init_containers_of(pod) else "ContainerCreating"
        waits = (creating, "")
    return {"waiting": {"reason": waits[0], **({"message": waits[1]} if waits[1] else {})}}


def last_ended(attempts: Sequence[ContainerStatus], *, waiting: bool) -> ContainerStatus | None:
    """The attempt before the one shown as `state`."""
    older = attempts if waiting else attempts[:-1]
    ended = [attempt for attempt in older if attempt.state == "exited"]
    return ended[-1] if ended else None


def terminated(status: ContainerStatus, seen: Observation) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "exitCode": exit_code_of(status),
        "reason": reason_of(status),
        "startedAt": timestamp(status.started_at or status.created_at),
        "finishedAt": timestamp(status.finished_at or status.created_at),
        "containerID": f"{seen.runtime_name}://{status.id}",
    }
    if message := seen.messages.get(status.id) or status.error:
        entry["message"] = message
    return entry


def exit_code_of(status: ContainerStatus) -> int:
    return 128 if status.error and not status.started_at else status.exit_code


def reason_of(status: ContainerStatus) -> str:
    if status.oom_killed and status.exit_code:
        return "OOMKilled"
    if status.error and not status.started_at:
        return "StartError"
    return "Error" if failed(status) else "Completed"


def observe_conditions(
    pod: Obj, seen: Observation, status: Mapping[str, Any], *, terminal: bool, succeeded: bool
) -> list[dict[str, Any]]:
    has_network = seen.sandbox is not None and not terminal
    conditions = [
        {"type": "PodReadyToStartContainers", "status": truth(has_network)},
        initialized_condition(pod, status, succeeded=succeeded),
    ]
    unready = [entry["name"] for entry in status["containerStatuses"] if not entry["ready"]]
    unready += [
        entry["name"]
        for entry, container in zip(status.get("initContainerStatuses") or (), init_containers_of(pod), strict=False)
        if is_sidecar(container) and not entry["ready"]
    ]
    if terminal:
        refusal = {"reason": "PodCompleted" if succeeded else "PodFailed"}
    elif unready:
        refusal = {
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{' '.join(unready)}]",
        }
    else:
        refusal = {}
    conditions.append({"type": "ContainersReady", "status": truth(not refusal), **refusal})
    conditions.append({"type": "Ready", **ready_condition(pod, refusal)})
    if seen.disrupted and seen.failure is not None:
        why = {"reason": "TerminationByKubelet", "message": seen.failure[1]}
        conditions.append({"type": "DisruptionTarget", "status": "True", **why})
    return conditions


def initialized_condition(pod: Obj, status: Mapping[str, Any], *, succeeded: bool) -> dict[str, Any]:
    started = any("waiting" not in entry["state"] for entry in status["containerStatuses"])
    incomplete = [
        entry["name"]
        for entry, container in zip(status.get("initContainerStatuses") or (), init_containers_of(pod), strict=False)
        if not (entry["started"] if is_sidecar(container) else entry["ready"])
    ]
    if succeeded or started or not incomplete:
        return {"type": "Initialized", "status": "True"}
    return {
        "type": "Initialized",
        "status": "False",
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: [{' '.join(incomplete)}]",
    }


def ready_condition(pod: Obj, refusal: Mapping[str, str]) -> dict[str, Any]:
    if refusal:
        return {"status": "False", **refusal}
    known = {c["type"]: c.get("status") for c in (pod.get("status") or {}).get("conditions") or ()}
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if known.get(kind) != "True":
            why = f'corresponding condition of pod readiness gate "{kind}" does not exist.'
            if kind in known:
                why = f'the status of pod readiness gate "{kind}" is not "True", but {known[kind]}'
            return {"status": "False", "reason": "ReadinessGatesNotReady", "message": why}
    return {"status": "True"}


def truth(value: bool) -> str:
    return "True" if value else "False"


def with_time(condition: dict[str, Any], previous: Mapping[str, Any], now: float) -> dict[str, Any]:
    """The condition with the time it last changed, and nulls for what it no longer says, for a merge."""
    before = next((c for c in previous.get("conditions") or () if c.get("type") == condition["type"]), None)
    same = before is not None and before.get("status") == condition["status"] and before.get("lastTransitionTime")
    result = {"lastProbeTime": None, **condition, "lastTransitionTime": same or timestamp(now)}
    for optional in ("reason", "message"):
        if optional not in result and before and before.get(optional):
            result[optional] = None
    return result
