"""What a pod needs next, decided from its spec and from what its containers do. Nothing here acts.

Source: kubernetes pkg/kubelet/kuberuntime/kuberuntime_manager.go, computePodActions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.kubelet.runtime import ContainerStatus, PodRef
from orchestrator.objects.meta import Obj

History = Mapping[str, Sequence[ContainerStatus]]
"""Attempts of each container by name, oldest first."""

FIRST_BACKOFF, LONGEST_BACKOFF = 10.0, 300.0  # seconds
BACKOFF_FORGIVEN_AFTER = 600.0  # seconds of running after which a container counts as healthy again


@dataclass(frozen=True, slots=True)
class Start:
    container: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Plan:
    starts: tuple[Start, ...] = ()
    stops: tuple[ContainerStatus, ...] = ()  # sidecars that outlived the pod's purpose
    backing_off: Mapping[str, float] | None = None  # container → seconds until it may start again
    over: bool = False  # nothing will run again


def pod_ref(pod: Obj) -> PodRef:
    meta = pod["metadata"]
    return PodRef(meta["namespace"], meta["name"], meta["uid"])


def containers_of(pod: Obj) -> list[Obj]:
    return list(pod["spec"].get("containers") or ())


def init_containers_of(pod: Obj) -> list[Obj]:
    return list(pod["spec"].get("initContainers") or ())


def ephemeral_containers_of(pod: Obj) -> list[Obj]:
    """Containers added for debugging: started once, and of no weight for the pod's own fate."""
    return list(pod["spec"].get("ephemeralContainers") or ())


def all_containers_of(pod: Obj) -> list[Obj]:
    return init_containers_of(pod) + containers_of(pod) + ephemeral_containers_of(pod)


def is_sidecar(container: Mapping[str, Any]) -> bool:
    """An init container that is to run as long as the pod does."""
    return container.get("restartPolicy") == "Always"


def runs_on_host_network(pod: Obj) -> bool:
    return bool(pod["spec"].get("hostNetwork"))


def grouped(statuses: Iterable[ContainerStatus]) -> dict[str, list[ContainerStatus]]:
    history: dict[str, list[ContainerStatus]] = {}
    for status in statuses:
        history.setdefault(status.name, []).append(status)
    for attempts in history.values():
        attempts.sort(key=lambda attempt: attempt.attempt)
    return history


def latest(history: History, name: str) -> ContainerStatus | None:
    attempts = history.get(name)
    return attempts[-1] if attempts else None


def backoff_after(previous: float, ran_for: float) -> float:
    """Seconds a container must rest after its exit, given the rest before its last start (0: none yet).

    A first exit is followed by a start at once; then 10 s, doubling.
    """
    if ran_for >= BACKOFF_FORGIVEN_AFTER:
        return 0.0
    return min(max(previous * 2, FIRST_BACKOFF), LONGEST_BACKOFF)


def backoff_of_attempt(attempt: int) -> float:
    """The rest before attempt number `attempt`, when nobody remembers how the earlier ones went."""
    return 0.0 if attempt <= 1 else min(FIRST_BACKOFF * 2 ** min(attempt - 2, 10), LONGEST_BACKOFF)


def wants_another(policy: str, status: ContainerStatus) -> bool:
    """Whether an exited container of a pod with this restart policy runs again."""
    return policy == "Always" or (policy == "OnFailure" and failed(status))


def failed(status: ContainerStatus) -> bool:
    return status.exit_code != 0 or bool(status.error)


def plan_pod(
    pod: Obj, history: History, *, now: float, rests: Mapping[str, float], started: Collection[str], sandbox_id: str
) -> Plan:
    """The starts and stops due at `now`.

    `rests` is the back-off each container is serving, `started` the containers whose startup probe has passed (all
    that run, without one). Attempts in another sandbox than `sandbox_id` count as never made.
    """
    planner = _Planner(pod, history, now, rests, started, sandbox_id)
    return planner.plan()


class _Planner:
    def __init__(
        self,
        pod: Obj,
        history: History,
        now: float,
        rests: Mapping[str, float],
        started: Collection[str],
        sandbox_id: str,
    ) -> None:
        self.pod, self.history, self.now = pod, history, now
        self.rests, self.started, self.sandbox_id = rests, started, sandbox_id
        self.policy = pod["spec"].get("restartPolicy") or "Always"
        self.starts: list[Start] = []
        self.backing_off: dict[str, float] = {}

    def plan(self) -> Plan:
        if is_over(self.pod, self.history):
            running = [self.current(container["name"]) for container in init_containers_of(self.pod)]
            return Plan(stops=tuple(s for s in running if s and s.state == "running"), over=True)
        for container in ephemeral_containers_of(self.pod):
            if (status := latest(self.history, container["name"])) is None or status.state == "created":
                self.starts.append(Start(container["name"], 0))
        begun = any(self.current(container["name"]) for container in containers_of(self.pod))
        if self.initialize(begun):
            for container in containers_of(self.pod):
                self.consider(container["name"], self.policy)
        return Plan(starts=tuple(self.starts), backing_off=self.backing_off)

    def initialize(self, begun: bool) -> bool:
        """Starts the next init container, if any is due; True when the regular containers may run."""
        for container in init_containers_of(self.pod):
            name, status = container["name"], self.current(container["name"])
            if is_sidecar(container):
                if status is None or status.state != "running":
                    self.consider(name, "Always")
                    if not begun:
                        return False
                elif name not in self.started and not begun:
                    return False
            elif not begun and not (status and status.state == "exited" and not failed(status)):
                self.consider(name, "Never" if self.policy == "Never" else "OnFailure")
                return False
        return True

    def consider(self, name: str, policy: str) -> None:
        """Starts `name` when it never ran or may run again, and has rested."""
        status = self.current(name)
        attempts = self.history.get(name) or ()
        if status is None:
            self.starts.append(Start(name, attempts[-1].attempt + 1 if attempts else 0))
        elif status.state == "created":
            self.starts.append(Start(name, status.attempt))
        elif status.state == "exited" and wants_another(policy, status):
            remaining = ended_at(status) + self.rests.get(name, 0.0) - self.now
            if remaining > 0:
                self.backing_off[name] = remaining
            else:
                self.starts.append(Start(name, status.attempt + 1))

    def current(self, name: str) -> ContainerStatus | None:
        status = latest(self.history, name)
        return status if status is not None and status.sandbox_id == self.sandbox_id else None


def ended_at(status: ContainerStatus) -> float:
    """When it exited; one that the engine couldn't start ended when it was made."""
    return status.finished_at or status.created_at


def is_over(pod: Obj, history: History) -> bool:
    """True when every container has finished for good: the pod has succeeded or failed."""
    policy = pod["spec"].get("restartPolicy") or "Always"
    if policy == "Always":
        return False
    regular = [latest(history, container["name"]) for container in containers_of(pod)]
    if policy == "Never" and not any(regular):
        for container in init_containers_of(pod):
            status = latest(history, container["name"])
            if not is_sidecar(container) and status and status.state == "exited" and failed(status):
                return True
    return all(s is not None and s.state == "exited" and not wants_another(policy, s) for s in regular)


def has_succeeded(pod: Obj, history: History) -> bool:
    """Of a pod that is over."""
    regular = [latest(history, container["name"]) for container in containers_of(pod)]
    return all(status is not None and not failed(status) for status in regular)
