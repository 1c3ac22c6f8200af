"""A whole control plane in one loop for tests: API in memory, fake clock, chosen reconcilers, simulated kubelets."""

from __future__ import annotations

import asyncio
import copy
from contextlib import asynccontextmanager
from typing import Any

from orchestrator.machinery.api import Api
from orchestrator.machinery.clock import FakeClock, rfc3339
from orchestrator.machinery.reconciler import Reconciler, World
from orchestrator.objects.kinds import EVENTS, LEASES, NODES, PODS, Resource
from orchestrator.objects.meta import Obj, is_deleting, key_of
from orchestrator.scheduler.loop import Scheduler
from tests.orchestrator.in_process import InProcessApi

PATIENT_FROM = 500  # turns of the event loop after which what still goes on may be waiting for a thread


class Killed(Exception):
    """A part that was given hands that fail (see `crashes.Mortal`) has lost them."""


class Plane:
    """The running parts, and hands to drive them with."""

    def __init__(self, api: InProcessApi, world: World, parts: list[Any]) -> None:
        self.api, self.world, self.parts, self.clock = api, world, parts, world.clock
        self.addresses = 0
        self.step_began = 0.0

    async def settle(self, turns: int = 2000) -> None:
        """Until nothing moves any more (time stands still)."""
        quiet = 0
        for turn in range(turns):
            writes = self.api.writes
            await asyncio.sleep(0 if turn < PATIENT_FROM else 0.001)
            if any(getattr(part.api.client, "killed", False) for part in self.parts):
                raise Killed
            busy = any(not part.queue.is_idle for part in self.parts)
            quiet = 0 if busy or self.api.writes != writes else quiet + 1
            if quiet > 40:
                return
        raise AssertionError("the control plane does not come to rest")

    async def advance(self, seconds: float) -> None:
        """Let time pass, everything that falls due being worked on at its moment."""
        await self.advance_to(self.clock.elapsed + seconds)

    async def advance_to(self, target: float) -> None:
        """Until the clock, in seconds since its start, says `target`."""
        await self.settle()
        while (due := self.clock.next_due()) is not None and self.clock.elapsed + due <= target:
            self.clock.advance(max(due, 0))
            await self.settle()
        self.clock.advance(max(0.0, target - self.clock.elapsed))
        await self.settle()

    async def add_node(self, name: str, cpu: str = "8", memory: str = "16Gi", **extra: Any) -> Obj:
        return await self.api.create(NODES, node(name, cpu, memory, **extra))

    async def renew_lease(self, name: str) -> None:
        spec = {"holderIdentity": name, "renewTime": rfc3339(self.clock.now())}
        meta = {"name": name, "namespace": "kube-node-lease"}
        if any(key_of(lease).name == name for lease in self.api.peek(LEASES)):
            await self.api.patch(LEASES, name, "kube-node-lease", patch={"spec": spec})
        else:
            await self.api.create(LEASES, {"metadata": meta, "spec": spec})

    def pods(self, **labels: str) -> list[Obj]:
        found = self.api.peek(PODS)
        return [pod for pod in found if labels.items() <= (pod["metadata"].get("labels") or {}).items()]

    async def set_pod(self, pod: Obj, phase: str = "Running", ready: bool | None = None, **status: Any) -> Obj:
        """What a kubelet reports."""
        self.addresses += 1
        old = await self.api.get(PODS, *reversed(key_of(pod)))
        new = copy.deepcopy(old.get("status") or {})
        new["phase"] = phase
        new.setdefault("podIP", f"10.244.{self.addresses // 250}.{self.addresses % 250 + 1}")
        is_ready = phase == "Running" if ready is None else ready
        others = [one for one in new.get("conditions", []) if one["type"] != "Ready"]
        new["conditions"] = [*others, {
            "type": "Ready", "status": "True" if is_ready else "False",
            "lastTransitionTime": rfc3339(self.clock.now()),
        }]  # fmt: skip
        new.update(status)
        return await self.api.update(PODS, {**old, "status": new}, subresource="status")

    async def run_pods(self) -> None:
        """Kubelets catch up: what waits runs, what is deleted goes; until nothing changes."""
        while True:
            await self.settle()
            moved = False
            for pod in self.api.peek(PODS):
                if is_deleting(pod):
                    moved = await self.end_pod(pod) or moved
                elif (pod.get("status") or {}).get("phase") == "Pending" and self._has_place(pod):
                    moved = True
                    await self.set_pod(pod)
            if not moved:
                return

    def _has_place(self, pod: Obj) -> bool:
        """Pods wait for their node where there is a scheduler to give them one."""
        return bool(pod["spec"].get("nodeName")) or not any(isinstance(part, Scheduler) for part in self.parts)

    async def end_pod(self, pod: Obj) -> bool:
        before = self.api.writes
        if (pod.get("status") or {}).get("phase") == "Running":
            pod = await self.set_pod(pod, "Failed", ready=False)
        await self.api.delete(PODS, key_of(pod).name, key_of(pod).namespace, grace_period=0)
        return self.api.writes != before

    def events(self, reason: str = "") -> list[str]:
        return [event["message"] for event in self.api.peek(EVENTS) if not reason or event["reason"] == reason]


@asynccontextmanager
async def plane(
    *kinds: type[Reconciler] | type[Scheduler],
    api: Any = None,
    clock: FakeClock | None = None,
    clients: dict[type, Any] | None = None,
    settings: Any = None,
):
    """`clients`: those parts that are to write through a client other than `api`."""
    clock = clock or FakeClock()
    if api is None:
        api = InProcessApi(clock)
        await api.start()
    world = World(api, clock, settings)
    parts = [kind(world) for kind in kinds]
    for part in parts:
        if client := (clients or {}).get(type(part)):
            part.api = Api(client, world.informers)
    world.informers.start()
    await world.informers.synced()
    tasks = [asyncio.create_task(part.run(), name=part.name) for part in parts]
    tasks.append(asyncio.create_task(world.events.run(), name="events"))
    try:
        yield Plane(api, world, parts)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await world.informers.stop()


def pod_template(restartPolicy: str = "Always", **labels: str) -> Obj:
    return {
        "metadata": {"labels": labels},
        "spec": {"restartPolicy": restartPolicy, "containers": [{"name": "main", "image": "registry.test/app:1"}]},
    }


def node(name: str, cpu: str = "8", memory: str = "16Gi", **extra: Any) -> Obj:
    amounts = {"cpu": cpu, "memory": memory, "pods": "110"}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **extra.get("labels", {})}},
        "spec": {"taints": extra.get("taints", [])},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }


def deployment(name: str = "web", replicas: int = 3, **spec: Any) -> Obj:
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": pod_template(app=name),
            "progressDeadlineSeconds": 600,
            **spec,
        },
    }


def pod(name: str, resource: Resource = PODS, **spec: Any) -> Obj:
    resources = {name: amounts for name in ("requests", "limits") if (amounts := spec.pop(name, None))}
    labels = spec.pop("labels", {})
    return {
        "apiVersion": "v1",
        "kind": resource.kind,
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {
            "containers": [{"name": "main", "image": "registry.test/app:1", "resources": resources}],
            **spec,
        },
    }
