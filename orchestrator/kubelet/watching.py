"""Which containers of a pod have started and are ready: what their probes say, and what that leads to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator.kubelet.probes import FIELDS, ContainerProbes, Kind
from orchestrator.kubelet.runtime import ContainerStatus
from orchestrator.objects.meta import Obj

if TYPE_CHECKING:
    from orchestrator.kubelet.worker import PodWorker


class ContainerWatch:
    def __init__(self, worker: PodWorker) -> None:
        self._worker = worker
        self._probes: dict[str, ContainerProbes] = {}

    def begin(self, container: Obj, status: ContainerStatus, *, ready: bool = False, started: bool = False) -> None:
        """Starts the probes of a container that runs; without any it counts as started and ready at once."""
        worker, name = self._worker, status.name
        started = started or not container.get("startupProbe")
        ready = ready or (started and not container.get("readinessProbe"))
        self._mark(name, started=started, ready=ready)

        def report(kind: Kind, state: bool) -> None:
            self._changed(container, kind, state)

        def complain(message: str) -> None:
            worker.services.recorder.warning(worker.pod, "Unhealthy", message)

        if (before := self._probes.get(name)) is not None:
            before.stop()
        probes = ContainerProbes(
            worker.services.runtime, container, status, worker.address, report=report, complain=complain,
            known_started=started,
        )  # fmt: skip
        self._probes[name] = probes
        probes.start()
        worker.writer.publish()

    def end(self, status: ContainerStatus) -> None:
        """The attempt has exited."""
        probes = self._probes.get(status.name)
        if probes is not None and probes.container_id == status.id:
            probes.stop()
            self._mark(status.name, started=False, ready=False)

    def stop(self, *, keep_readiness: bool = False) -> None:
        """Of a pod that stops, readiness still tells who may get requests."""
        for probes in self._probes.values():
            probes.stop(keep_readiness=keep_readiness)

    def _changed(self, container: Obj, kind: Kind, state: bool) -> None:
        name, worker = container["name"], self._worker
        if kind == "readiness":
            self._mark(name, ready=state)
        elif kind == "startup" and state:
            self._mark(name, started=True, ready=None if container.get("readinessProbe") else True)
            worker.wake()
        elif not state:
            grace = container[FIELDS[kind]].get("terminationGracePeriodSeconds")
            worker.stop_container(name, f"Container {name} failed {kind} probe, will be restarted", grace=grace)
        worker.writer.publish()

    def _mark(self, name: str, *, started: bool | None = None, ready: bool | None = None) -> None:
        seen = self._worker.seen
        if started is not None:
            seen.started = {**seen.started, name: started}
        if ready is not None:
            seen.ready = {**seen.ready, name: ready}
