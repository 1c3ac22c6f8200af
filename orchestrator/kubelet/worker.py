"""One pod on this node, from its first container to its removal.

`run` is the shell: it waits for something to happen and takes one turn. A turn asks `plan_pod` what is due and does
it. The pod's status is written by a task of its own, so that a slow API never holds up a container.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from collections.abc import Coroutine, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.kubelet.admission import lack_of, refusal_of
from orchestrator.kubelet.attempts import Attempts
from orchestrator.kubelet.backoff import CRASH_LOOP, with_rests
from orchestrator.kubelet.hooks import HookFailed, run_hook
from orchestrator.kubelet.pod import (
    Plan,
    Start,
    all_containers_of,
    containers_of,
    grouped,
    is_over,
    latest,
    plan_pod,
    pod_ref,
    runs_on_host_network,
)
from orchestrator.kubelet.runtime import ContainerStatus, RuntimeFailure, Sandbox
from orchestrator.kubelet.services import NodeServices
from orchestrator.kubelet.starting import ImageFetcher, NotYet, create_and_start, prepare_container
from orchestrator.kubelet.status import Observation, observe_pod
from orchestrator.kubelet.status_writer import StatusWriter
from orchestrator.kubelet.stopping import Stopper, grace_period_of
from orchestrator.kubelet.sysctls import sysctls_of
from orchestrator.kubelet.volumes import MountFailed
from orchestrator.kubelet.watching import ContainerWatch
from orchestrator.machinery.clock import parse_time
from orchestrator.network.host_ports import host_ports_of
from orchestrator.objects.meta import Obj, is_deleting

log = logging.getLogger(__name__)

RETRY = 1.0  # seconds after an engine that failed
LONGEST_MOUNT_RETRY = 60.0
OOM_PATIENCE = 0.2  # seconds between a kill and the engine's knowing that it was for memory
HOOK_DEADLINE = 600.0  # seconds for a postStart hook
T = TypeVar("T")


class Stopping(Exception):
    """The pod is to stop: leave off what was being waited for."""


class PodWorker:
    def __init__(
        self, services: NodeServices, pod: Obj, *, sandbox: Sandbox | None = None,
        found: Iterable[ContainerStatus] = (), others: Sequence[Obj] = (),
    ) -> None:  # fmt: skip
        """`others`: the pods that share the node's resources with a new one."""
        self.services, self.pod, self.ref = services, pod, pod_ref(pod)
        status = pod.get("status") or {}
        self.sandbox = sandbox
        self.seen = Observation(
            history=grouped(found),
            waiting={},
            ready={},
            started={},
            messages={},
            sandbox=sandbox,
            host_address=services.node.address,
            start_time=time.time(),
            runtime_name=services.runtime.name,
        )
        if sysctls_of(pod) and not self.seen.history:
            self.sandbox = None  # claimed again: whether its kernel settings were written isn't known
        self.volumes: dict[str, Path] | None = None
        self.writer = StatusWriter(services.client, pod, self.observe)
        self._begun = time.monotonic()
        self._images = ImageFetcher(services, since=self._begun)
        self.watch = ContainerWatch(self)
        self.attempts = Attempts(self)
        self._background: set[asyncio.Task[Any]] = set()
        self._wake, self._stop = asyncio.Event(), asyncio.Event()
        self._not_before: dict[str, float] = {}
        self._sandbox_in_doubt = True
        self._mount_failures = 0
        self._was_over = self._final = status.get("phase") in ("Succeeded", "Failed")
        self._removed = False
        self._grace = float("inf")  # seconds that a pod that failed has for its end
        self.stopper = Stopper(self)
        self._adopt(status, others)

    # what others tell

    def update(self, pod: Obj) -> None:
        """The pod as the API has it now."""
        self.pod = pod
        self.writer.update(pod)
        if is_deleting(pod):
            self.stopper.begin(grace_period_of(pod))
        self._wake.set()

    def forget(self, last: Obj | None = None) -> None:
        """The pod is gone from the API: stop it, and tell nobody. `last` is how it was deleted, if that was seen."""
        self._removed = True
        self.writer.close()
        self.stopper.begin(grace_period_of(last or self.pod))

    def notify(self, container_id: str = "") -> None:
        """A container changed, or any of them may have."""
        ids = [container_id] if container_id else [s.id for s in self.attempts.all() if s.state != "exited"]
        for each in ids:
            self.attempts.refresh_soon(each)
        if self.sandbox is not None and container_id in ("", self.sandbox.id):
            self._sandbox_in_doubt = True
            self._wake.set()

    def fail(self, reason: str, message: str, *, grace: float) -> None:
        """Ends the pod for good, within `grace` seconds, for the node's sake."""
        if self.seen.failure is None and not self._final:
            self.services.recorder.warning(self.pod, reason, message)
            self.seen.failure, self.seen.disrupted, self._grace = (reason, message), True, grace
            self._wake.set()

    @property
    def is_over(self) -> bool:
        """Nothing of it runs, or will again."""
        return self._final

    @property
    def takes_room(self) -> bool:
        """Whether the API counts it among the pods that share the node's resources."""
        phase = (self.pod.get("status") or {}).get("phase")
        return not (self._removed or self.seen.rejected or phase in ("Succeeded", "Failed"))

    @property
    def is_active(self) -> bool:
        return not self._final and not self.seen.stopping and self.seen.failure is None

    def stop_now(self) -> None:
        self._stop.set()
        self._wake.set()

    # the shell

    async def run(self) -> None:
        try:
            await self._run()
        finally:
            self.close()

    async def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            try:
                delay = await self._turn()
            except Stopping:
                continue
            except RuntimeFailure as exc:
                log.warning("pod %s: %s", self.ref, exc)
                delay = RETRY
            self.writer.publish()
            try:
                await asyncio.wait_for(self._wake.wait(), delay)
            except TimeoutError:
                continue
        await self.stopper.finish(tell=not self._removed)

    def close(self) -> None:
        """Lets go of the pod without touching its containers."""
        self.watch.stop()
        self.attempts.close()
        for task in self._background:
            task.cancel()
        self.writer.close()

    async def _turn(self) -> float | None:
        """One step towards what the pod wants; seconds until the next is due, None when only news can bring it."""
        if self._final:
            if self.sandbox is not None and not self.seen.stopping:
                await self._give_back()
            return None
        self._check_deadline()
        if self.seen.failure is not None or is_over(self.pod, self.seen.history):
            return await self._wind_up()
        await self._ensure_sandbox()
        if self.volumes is None and (delay := await self._ensure_volumes()):
            return delay
        self._stop_changed()
        plan = self._plan()
        self._show_backoff(plan)
        begun = False
        for start in [start for start in plan.starts if self._held_back(start.container) <= 0]:
            delay = await self._start(start)
            self._not_before[start.container] = time.monotonic() + (delay or 0)
            begun = begun or delay is None
        if begun:
            return 0
        due = [self._held_back(start.container) for start in plan.starts]
        return self._next_deadline(min([*due, *(plan.backing_off or {}).values()], default=None))

    def _held_back(self, container: str) -> float:
        """Seconds until a container whose start failed may be tried again."""
        return self._not_before.get(container, 0.0) - time.monotonic()

    def _plan(self) -> Plan:
        return plan_pod(
            self.pod,
            self.seen.history,
            now=time.time(),
            rests=self.attempts.rests,
            started=[name for name, value in self.seen.started.items() if value],
            sandbox_id=self.sandbox.id if self.sandbox else "",
        )

    # steps

    async def _ensure_sandbox(self) -> None:
        runtime = self.services.runtime
        if self.sandbox is not None:
            if not self._sandbox_in_doubt or await runtime.sandbox_lives(self.sandbox):
                self._sandbox_in_doubt = False
                return
        if self.sandbox is not None:
            self.services.recorder.normal(
                self.pod, "SandboxChanged", "Pod sandbox changed, it will be killed and re-created."
            )
            for status in [s for s in self.attempts.all() if s.state == "running"]:
                await runtime.signal_container(status.id, "SIGKILL")
                await self.attempts.wait_exit(status.id, 10)
            self.volumes = None
        self.sandbox = await self.stoppable(
            runtime.claim_sandbox(self.ref, host_network=runs_on_host_network(self.pod), sysctls=sysctls_of(self.pod))
        )
        self.seen.sandbox = self.sandbox
        self.services.host_ports.open(self.ref.uid, host_ports_of(self.pod, self.address))
        self._sandbox_in_doubt = False

    async def _give_back(self) -> None:
        """What a pod that is over no longer needs: its network and what it wrote. Its logs stay until it is deleted."""
        self.services.host_ports.close(self.ref.uid)
        await self.services.runtime.release_sandbox(self.ref)
        self.sandbox, self.volumes = None, None
        await self.services.volumes.empty(self.ref.uid)

    async def _ensure_volumes(self) -> float | None:
        try:
            self.volumes = await self.stoppable(
                self.services.volumes.prepare(self.pod, self.address, since=self._begun)
            )
        except MountFailed as exc:
            self.services.recorder.warning(self.pod, "FailedMount", str(exc))
            self._mount_failures += 1
            return float(min(0.5 * 2**self._mount_failures, LONGEST_MOUNT_RETRY))
        self._mount_failures = 0
        return None

    async def _start(self, start: Start) -> float | None:
        """Starts a container; seconds until it may be tried again when it can't start now."""
        container = self.container(start.container)
        waiting = self.seen.waiting
        if self.sandbox is None or self.volumes is None:
            return RETRY
        try:
            image = await self.stoppable(self._images.fetch(self.pod, container))
            spec = await self.stoppable(
                prepare_container(
                    self.services,
                    self.pod,
                    container,
                    start,
                    image,
                    sandbox=self.sandbox,
                    volumes=self.volumes,
                    since=self._begun,
                )
            )
            if container.get("targetContainerName"):
                spec = dataclasses.replace(spec, process_target=self._process_target(container))
            container_id = await create_and_start(self.services, self.pod, spec)
        except NotYet as exc:
            if waiting.get(start.container, ("", ""))[0] != exc.reason and exc.reason.startswith("CreateContainer"):
                self.services.recorder.warning(self.pod, "Failed", f"Error: {exc}")
            self.seen.waiting = {**waiting, start.container: (exc.reason, str(exc))}
            self._sandbox_in_doubt = True
            return exc.retry_after
        self.seen.waiting = {name: why for name, why in waiting.items() if name != start.container}
        self._forget_old_attempts(start)
        await self.attempts.refresh(container_id)
        status = self.attempts.get(container_id)
        if status is not None and status.state == "running":
            await self._after_start(container, status)
        return None

    def _process_target(self, container: Obj) -> str:
        """The container that an ephemeral one looks into. Raises: NotYet, while it doesn't run."""
        name = container["targetContainerName"]
        status = latest(self.seen.history, name)
        if status is None or status.state != "running":
            raise NotYet("ContainerCreating", f"unable to find target container {name}: it does not run", RETRY)
        return status.id

    async def _after_start(self, container: Obj, status: ContainerStatus) -> None:
        hook = (container.get("lifecycle") or {}).get("postStart")
        if hook:
            try:
                await self.stoppable(
                    run_hook(
                        self.services.runtime, container, status, hook, address=self.address, deadline=HOOK_DEADLINE
                    )
                )
            except HookFailed as exc:
                self.services.recorder.warning(self.pod, "FailedPostStartHook", f"PostStartHook failed: {exc}")
                self.stop_container(status.name, "FailedPostStartHook")
                return
        self.watch.begin(container, status)

    async def _wind_up(self) -> float | None:
        """The pod is over: stop what still runs, give its sandbox back, say so."""
        running = [status for status in self.attempts.all() if status.state == "running"]
        if running:
            await self.stopper.stop_all(running, min(grace_period_of(self.pod), self._grace))
            return 0
        self._final = True
        return 0

    # containers

    @property
    def address(self) -> str:
        return self.sandbox.address if self.sandbox else ""

    def container(self, name: str) -> Obj:
        return next(container for container in all_containers_of(self.pod) if container["name"] == name)

    def stop_container(self, name: str, why: str, *, grace: float | None = None) -> None:
        """Stops one container, which its restart policy may start again; `grace` None: the pod's."""
        status = latest(self.seen.history, name)
        if status is not None and status.state == "running":
            self.in_background(self.stopper.stop_one(status, why, grace))

    def _stop_changed(self) -> None:
        """Stops containers whose image is another one now; they start again with it."""
        for container in containers_of(self.pod):
            status = latest(self.seen.history, container["name"])
            if status is not None and status.state == "running" and status.image != container["image"]:
                if not self.stopper.is_stopping(status.id):
                    self.stop_container(
                        container["name"], f"Container {container['name']} definition changed, will be restarted"
                    )

    def _forget_old_attempts(self, start: Start) -> None:
        """Keeps the attempt before this one for its logs, and no older ones."""
        attempts = self.seen.history.get(start.container) or ()
        for status in [attempt for attempt in attempts if attempt.attempt < start.attempt - 1]:
            self.attempts.forget(status)
            self.in_background(self.services.runtime.remove_container(status.id))
        kept = [attempt for attempt in attempts if attempt.attempt >= start.attempt - 1]
        self.seen.history = {**self.seen.history, start.container: kept}

    # status

    def observe(self) -> dict[str, Any]:
        if self._was_over and not self.seen.history:
            return dict(self.pod.get("status") or {})
        return observe_pod(self.pod, self.seen, now=time.time(), previous=self.writer.written)

    def _show_backoff(self, plan: Plan) -> None:
        resting = plan.backing_off or {}
        for name in resting:
            if self.seen.waiting.get(name, ("",))[0] != CRASH_LOOP:
                message = f"Back-off restarting failed container {name} in pod {self.ref.name}_{self.ref.namespace}"
                self.services.recorder.warning(self.pod, "BackOff", f"{message}({self.ref.uid})")
        self.seen.waiting = with_rests(self.seen.waiting, resting, self.attempts.rests, self.ref)

    def _check_deadline(self) -> None:
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        if limit is not None and time.time() - self.seen.start_time >= limit and self.seen.failure is None:
            self.seen.failure = ("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")

    def _next_deadline(self, wake_after: float | None) -> float | None:
        limit = self.pod["spec"].get("activeDeadlineSeconds")
        if limit is None:
            return wake_after
        left = max(self.seen.start_time + limit - time.time(), 0.01)
        return float(left if wake_after is None else min(left, wake_after))

    # helpers

    def _adopt(self, status: dict[str, Any], others: Sequence[Obj]) -> None:
        """Takes over containers that an earlier agent started, with what it had said of them."""
        if status.get("startTime"):
            self.seen.start_time = parsed_time(status["startTime"])
        if status.get("phase") == "Failed" and status.get("reason"):
            self.seen.failure = (status["reason"], status.get("message") or "")
        elif not self.seen.history and self.sandbox is None and not self._final:
            self._admit(others)
        if self.sandbox is not None and not self._final:
            self.services.host_ports.open(self.ref.uid, host_ports_of(self.pod, self.address))
        entries = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
        told = {entry.get("containerID", "").partition("://")[2]: entry for entry in entries}
        for name, attempts in self.seen.history.items():
            current = attempts[-1]
            self.attempts.adopt(attempts)
            if current.state == "running" and any(c["name"] == name for c in all_containers_of(self.pod)):
                entry = told.get(current.id) or {}
                self.watch.begin(
                    self.container(name), current, ready=bool(entry.get("ready")), started=bool(entry.get("started"))
                )

    def _admit(self, others: Sequence[Obj]) -> None:
        services = self.services
        if refusal := refusal_of(self.pod, services.pressures) or lack_of(self.pod, others, services.allocatable):
            self.services.recorder.warning(self.pod, refusal[0], refusal[1])
            self.seen.failure, self.seen.rejected = refusal, True

    async def stoppable(self, step: Coroutine[Any, Any, T]) -> T:
        """The result of `step`, which is left off when the pod is to stop. Raises: Stopping."""
        task = asyncio.ensure_future(step)
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Stopping
            return task.result()
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()

    def wake(self) -> None:
        self._wake.set()

    def in_background(self, step: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(self._guarded(step), name=f"pod {self.ref}")
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _guarded(self, step: Coroutine[Any, Any, Any]) -> None:
        try:
            await step
        except RuntimeFailure as exc:
            log.info("pod %s: %s", self.ref, exc)


def parsed_time(text: str) -> float:
    return parse_time(text).timestamp()
