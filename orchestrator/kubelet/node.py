"""The node in the API: registered once, its status kept true, its lease renewed.

Source: kubernetes pkg/kubelet/kubelet_node_status.go, nodestatus/setters.go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Mapping
from typing import Any

from orchestrator.client import ApiClient
from orchestrator.errors import AlreadyExists, ApiError, NotFound
from orchestrator.kubelet.runtime import Image, NodeFacts, Runtime, RuntimeFailure
from orchestrator.kubelet.settings import AgentSettings
from orchestrator.objects.discovery import GIT_VERSION
from orchestrator.objects.kinds import LEASES, NODES
from orchestrator.objects.meta import Obj
from orchestrator.objects.times import micro_timestamp, timestamp

log = logging.getLogger(__name__)

LEASE_NAMESPACE = "kube-node-lease"
LEASE_EVERY, LEASE_LASTS = 10.0, 40  # seconds
CHECK_EVERY, REPORT_EVERY = 10.0, 300.0  # seconds: look for changes; write even without one
REGISTER_RETRY = 1.0
IMAGES_TOLD = 50
PRESSURES = {
    "MemoryPressure": (
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    ),
    "DiskPressure": (
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("KubeletHasDiskPressure", "kubelet has disk pressure"),
    ),
    "PIDPressure": (
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
    ),
}
"""Condition → reason and message while it doesn't hold, and while it does."""


def render_node(name: str, facts: NodeFacts, pod_cidr: str) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": facts.architecture,
                "beta.kubernetes.io/os": "linux",
                "beta.kubernetes.io/arch": facts.architecture,
            },
        },
        "spec": {"podCIDR": pod_cidr, "podCIDRs": [pod_cidr]},
    }


def render_capacity(settings: AgentSettings, facts: NodeFacts) -> dict[str, str]:
    return {
        "cpu": str(facts.cpus),
        "memory": f"{facts.memory // 1024}Ki",
        "ephemeral-storage": f"{facts.disk // 1024}Ki",
        "pods": str(settings.max_pods),
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
    }


def observe_node(
    settings: AgentSettings, name: str, facts: NodeFacts, images: list[Image], *, address: str, problem: str,
    pressures: Collection[str], version: str, port: int,
) -> dict[str, Any]:  # fmt: skip
    """The status without the times of its conditions. `problem` is why the node can't run pods, if it can't."""
    ready = {
        "type": "Ready",
        "status": "False" if problem else "True",
        "reason": "KubeletNotReady" if problem else "KubeletReady",
        "message": problem or "kubelet is posting ready status",
    }
    largest = sorted((image for image in images if image.names), key=lambda image: -image.size)
    capacity = render_capacity(settings, facts)
    return {
        "capacity": capacity,
        "allocatable": dict(capacity),
        "conditions": [
            *(condition(kind, kind in pressures, *said[kind in pressures]) for kind, said in PRESSURES.items()),
            ready,
        ],
        "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "nodeInfo": {
            "machineID": facts.machine_id,
            "systemUUID": facts.system_uuid,
            "bootID": facts.boot_id,
            "kernelVersion": facts.kernel,
            "osImage": facts.operating_system,
            "containerRuntimeVersion": facts.runtime_version,
            "kubeletVersion": version,
            "kubeProxyVersion": version,
            "operatingSystem": "linux",
            "architecture": facts.architecture,
        },
        "images": [{"names": list(image.names), "sizeBytes": image.size} for image in largest[:IMAGES_TOLD]],
    }


def with_extended(status: dict[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """`status` with the extended resources that an administrator added to the capacity: all of them can be allocated.

    Source: Kubernetes, "Advertise Extended Resources for a Node"; kubelet's nodestatus setters.
    """
    extended = {name: amount for name, amount in (stored.get("capacity") or {}).items() if is_extended(name)}
    return status | {field: {**status[field], **extended} for field in ("capacity", "allocatable")}


def is_extended(resource: str) -> bool:
    """`example.com/dongle`, a resource that Kubernetes counts without knowing it."""
    domain, slash, _ = resource.partition("/")
    return bool(slash) and not domain.endswith("kubernetes.io")


def condition(kind: str, holds: bool, reason: str, message: str) -> dict[str, Any]:
    return {"type": kind, "status": "True" if holds else "False", "reason": reason, "message": message}


def with_times(status: dict[str, Any], previous: Mapping[str, Any], now: float) -> dict[str, Any]:
    before = {entry.get("type"): entry for entry in previous.get("conditions") or ()}
    timed = []
    for entry in status["conditions"]:
        old = before.get(entry["type"], {})
        since = old.get("lastTransitionTime") if old.get("status") == entry["status"] else None
        timed.append({**entry, "lastHeartbeatTime": timestamp(now), "lastTransitionTime": since or timestamp(now)})
    return {**status, "conditions": timed}


def same_but_times(status: Mapping[str, Any], written: Mapping[str, Any]) -> bool:
    def bare(conditions: Any) -> list[tuple[Any, ...]]:
        return [(entry.get("type"), entry.get("status"), entry.get("message")) for entry in conditions or ()]

    return all(status[key] == written.get(key) for key in status if key != "conditions") and bare(
        status["conditions"]
    ) == bare(written.get("conditions"))


class NodeReporter:
    """One node's registration, status and lease."""

    def __init__(
        self, client: ApiClient, runtime: Runtime, settings: AgentSettings, name: str, *, address: str, pod_cidr: str
    ) -> None:
        self._client, self._runtime, self._settings = client, runtime, settings
        self.name, self._address, self._pod_cidr = name, address, pod_cidr
        self._written: dict[str, Any] = {}
        self._written_at = 0.0
        self.version = GIT_VERSION
        self.pressures: Collection[str] = ()  # conditions that hold; kept by the node's evictor
        self.facts: NodeFacts | None = None

    async def register(self) -> Obj:
        """The node as the API has it, made when it isn't there. Tried until the API answers."""
        self.facts = self.facts or await self._runtime.facts()
        while True:
            try:
                return await self._register(self.facts)
            except (ApiError, OSError) as exc:
                log.warning("node %s is not registered yet, trying again: %s", self.name, exc)
                await asyncio.sleep(REGISTER_RETRY)

    async def _register(self, facts: NodeFacts) -> Obj:
        wanted = render_node(self.name, facts, self._pod_cidr)
        try:
            return await self._client.create(NODES, wanted)
        except AlreadyExists:
            node = await self._client.get(NODES, self.name)
        labels = node["metadata"].get("labels") or {}
        missing = {key: value for key, value in wanted["metadata"]["labels"].items() if labels.get(key) != value}
        patch: dict[str, Any] = {"metadata": {"labels": missing}} if missing else {}
        if not node.get("spec", {}).get("podCIDR"):
            patch["spec"] = wanted["spec"]
        return await self._client.patch(NODES, self.name, patch=patch) if patch else node

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_status(), name=f"status of node {self.name}")
            group.create_task(self._keep_lease(), name=f"lease of node {self.name}")

    async def _keep_status(self) -> None:
        while True:
            try:
                await self.report()
            except NotFound:
                await self.register()
                continue
            except (ApiError, OSError, RuntimeFailure) as exc:
                log.warning("status of node %s not written, trying again: %s", self.name, exc)
            await asyncio.sleep(CHECK_EVERY)

    async def report(self) -> None:
        """Writes the status when it changed, or when the last one is old."""
        stored = (await self._client.get(NODES, self.name)).get("status") or {}
        status = with_extended(await self._observe(), stored)
        now = time.time()
        if same_but_times(status, self._written) and now - self._written_at < REPORT_EVERY:
            return
        timed = with_times(status, self._written or stored, now)
        gone = dict.fromkeys(name for name in stored.get("allocatable") or () if name not in status["allocatable"])
        patch = {**timed, "allocatable": {**timed["allocatable"], **gone}}
        await self._client.patch(
            NODES, self.name, patch={"status": patch}, patch_type="strategic", subresource="status"
        )
        self._written, self._written_at = timed, now

    async def _observe(self) -> dict[str, Any]:
        problem, images = "", []
        try:
            if self.facts is None:
                self.facts = await self._runtime.facts()
            images = await self._runtime.images()
        except RuntimeFailure as exc:
            if self.facts is None:
                raise
            problem = f"container runtime is down: {exc}"
        return observe_node(
            self._settings, self.name, self.facts, images, address=self._address, problem=problem,
            pressures=self.pressures, version=self.version, port=self._settings.listen_port,
        )  # fmt: skip

    async def _keep_lease(self) -> None:
        while True:
            try:
                await self.renew_lease()
            except (ApiError, OSError) as exc:
                log.warning("lease of node %s not renewed: %s", self.name, exc)
            await asyncio.sleep(LEASE_EVERY)

    async def renew_lease(self) -> None:
        now = micro_timestamp(time.time())
        spec = {"holderIdentity": self.name, "leaseDurationSeconds": LEASE_LASTS, "renewTime": now}
        try:
            await self._client.patch(LEASES, self.name, LEASE_NAMESPACE, patch={"spec": spec})
        except NotFound:
            lease = {
                "apiVersion": "coordination.k8s.io/v1",
                "kind": "Lease",
                "metadata": {"name": self.name, "namespace": LEASE_NAMESPACE},
                "spec": spec,
            }
            await self._client.create(LEASES, lease, LEASE_NAMESPACE)
