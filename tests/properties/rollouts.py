"""What rollouts are tried with: simulated kubelets that do one thing to one pod, and a referee of every write."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from orchestrator.errors import Conflict, NotFound
from orchestrator.machinery.clock import rfc3339
from orchestrator.machinery.pods import is_active, is_available, is_ready, phase_of
from orchestrator.objects.kinds import PODS, Resource
from orchestrator.objects.meta import Obj, is_deleting, key_of
from orchestrator.reconcilers.daemonset_plan import node_of
from orchestrator.store.record import Change
from tests.orchestrator.world import Plane, pod_template

BROKEN = 3  # the image that never gets ready
COUNT_OR_PERCENT = st.sampled_from([0, 1, 2, 3, "1%", "25%", "50%", "100%"])
SCHEDULES = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Step = tuple[str, int]


def steps(*more: str) -> st.SearchStrategy[list[Step]]:
    """What happens between the wishes: kubelets, turns of the event loop, time, and `more`."""
    usual = ["kubelet", "kubelet", "kubelets", "kubelets", "turns", "settle", "time", "unready", "image"]
    kinds = st.sampled_from([*usual, *more])
    return st.lists(st.tuples(kinds, st.integers(0, 12)), min_size=5, max_size=60)


def template(version: int, **labels: str) -> Obj:
    made = pod_template(**labels)
    made["spec"]["containers"][0]["image"] = f"registry.test/app:{version}"
    return made


def is_zero(limit: Any) -> bool:
    return str(limit).rstrip("%") == "0"


class Rollout:
    """One workload with its pods, driven step by step; `fault` says what a write of its controller did wrong."""

    def __init__(self, world: Plane, resource: Resource, name: str, min_ready: int, calm: bool) -> None:
        self.world, self.resource, self.name, self.min_ready = world, resource, name, min_ready
        self.is_calm = calm
        self.taken: set[str] = set()  # pods that somebody else than the controller removes
        self.faults: list[str] = []
        self.on_create: Callable[[Obj], str] = lambda pod: ""
        self.on_removal: Callable[[Obj], str] = lambda pod: ""
        self.on_mishap: Callable[[], None] = lambda: None
        world.api.after_write(self._written)

    def _written(self, change: Change) -> None:
        if change.record.resource != PODS.storage_key:
            return
        pod, before = change.record.obj, change.previous.obj if change.previous else None
        if change.type == "ADDED":
            self._note(self.on_create(pod))
        elif before is not None and is_active(before) and not self._stays(change):
            if pod["metadata"]["uid"] not in self.taken:
                self._note(self.on_removal(before))

    def _stays(self, change: Change) -> bool:
        return change.type != "DELETED" and is_active(change.record.obj)

    def _note(self, fault: str) -> None:
        if fault:
            self.faults.append(fault)

    # what is there

    def pods(self) -> list[Obj]:
        return sorted(self.world.pods(app=self.name), key=lambda pod: pod["metadata"]["name"])

    def active(self) -> list[Obj]:
        """Those that count, as they are stored: a write on its way has not happened yet."""
        return [
            record.obj
            for record in self.world.api.store.list(PODS.storage_key)
            if record.obj["metadata"]["labels"].get("app") == self.name and is_active(record.obj)
        ]

    def is_available(self, pod: Obj) -> bool:
        return is_available(pod, self.min_ready, self.world.clock.now())

    def available(self) -> list[Obj]:
        return [pod for pod in self.active() if self.is_available(pod)]

    # what happens

    async def patch(self, spec: Any) -> None:
        await self.world.api.patch(self.resource, self.name, "default", patch={"spec": spec})

    async def wish_image(self, version: int) -> None:
        image = f"registry.test/app:{version}"
        await self.patch({"template": {"spec": {"containers": [{"name": "main", "image": image}]}}})

    async def do(self, step: Step, more: dict[str, Callable[[int], Awaitable[Any]]] | None = None) -> None:
        """One step; in calm schedules the controllers have come to rest when the next one is taken."""
        await self._do(step, more or {})
        if self.is_calm:
            await self.world.settle()

    async def _do(self, step: Step, more: dict[str, Callable[[int], Awaitable[Any]]]) -> None:
        kind, number = step
        match kind:
            case "turns":
                for _ in range(number):
                    await asyncio.sleep(0)
            case "settle":
                await self.world.settle()
            case "time":
                await self.world.advance(number)
            case "image":
                await self.wish_image(1 + number % 3)
            case "kubelet" | "unready":
                if pods := self.pods():
                    await self._kubelet(pods[number % len(pods)], kind == "unready")
            case "kubelets":
                for _ in range(1 + number):
                    await self._kubelets()
            case _:
                await more[kind](number)

    async def _kubelets(self) -> bool:
        """One thing happens to each pod; whether anything did."""
        moved = []
        for pod in self.pods():
            moved.append(await self._kubelet(pod))
            if self.is_calm:
                await self.world.settle()
        return any(moved)

    async def _kubelet(self, pod: Obj, unready: bool = False) -> bool:
        """One thing happens to the pod: it starts, gets ready, falls ill, or ends. Whether anything did."""
        try:
            return await self._progress(pod, unready)
        except (Conflict, NotFound):
            return True

    async def _progress(self, pod: Obj, unready: bool) -> bool:
        if unready:
            if is_ready(pod) and not is_deleting(pod):
                self.on_mishap()
                await self._set(pod, ready=False)
            return False
        if is_deleting(pod):
            self.taken.add(pod["metadata"]["uid"])
            await self.world.api.delete(PODS, *reversed(key_of(pod)), grace_period=0)
        elif not pod["spec"].get("nodeName"):
            target = {"target": {"name": node_of(pod) or "n1"}}
            await self.world.api.create_subresource(PODS, *reversed(key_of(pod)), "binding", target)
        elif phase_of(pod) == "Pending":
            await self._set(pod, ready=False)
        elif not is_ready(pod) and not pod["spec"]["containers"][0]["image"].endswith(f":{BROKEN}"):
            await self._set(pod, ready=True)
        else:
            return False
        return True

    async def _set(self, pod: Obj, ready: bool) -> None:
        await self.world.set_pod(pod, ready=ready, startTime=rfc3339(self.world.clock.now()))

    async def wish(self, spec: Obj) -> None:
        meta = {"name": self.name, "namespace": "default"}
        selector = {"matchLabels": {"app": self.name}}
        await self.world.api.create(self.resource, {"metadata": meta, "spec": {"selector": selector, **spec}})

    async def lose(self, number: int) -> None:
        """Somebody deletes a pod."""
        if pods := [pod for pod in self.pods() if is_active(pod)]:
            pod = pods[number % len(pods)]
            self.taken.add(pod["metadata"]["uid"])
            self.on_mishap()
            with suppress(NotFound):
                await self.world.api.delete(PODS, *reversed(key_of(pod)))

    async def repair(self) -> None:
        """Somebody deletes the pods that can never get ready: a StatefulSet waits for them, here as in Kubernetes."""
        for number, pod in enumerate(self.pods()):
            if pod["spec"]["containers"][0]["image"].endswith(f":{BROKEN}") and is_active(pod):
                await self.lose(number)
                await self.world.settle()

    async def come_to_rest(self) -> None:
        """Kubelets do all there is to do, until nothing follows from it."""
        for _ in range(600):
            await self.world.settle()
            if not await self._kubelets():
                before = self.world.api.writes
                await self.world.advance(self.min_ready + 2)
                if self.world.api.writes == before:
                    return
        raise AssertionError("the rollout does not come to rest")

    def images(self) -> list[int]:
        return [int(pod["spec"]["containers"][0]["image"].rpartition(":")[2]) for pod in self.active()]

    def judge(self, history: Sequence[Any]) -> None:
        assert not self.faults, f"{self.faults[0]} (after {history})"
