"""Endpoints: the older form of EndpointSlices, for clients that still read it.

Source: kubernetes pkg/controller/endpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from orchestrator.objects.kinds import ENDPOINTS
from orchestrator.objects.meta import Key, Obj, annotations_of, is_deleting, key_of, labels_of
from orchestrator.reconcilers.service_pods import (
    HEADLESS,
    Port,
    ServicePodsReconciler,
    has_endpoint,
    hostname_in,
    is_headless,
    is_managed,
    is_serving,
    ports_of,
    publishes_unready,
    selected_pods,
    target_ref,
)

LARGEST = 1000  # addresses in one object; more are cut off and the object says so
TRUNCATED = "endpoints.kubernetes.io/over-capacity"
MANAGED = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"


def plan_endpoints(service: Obj, pods: Sequence[Obj]) -> Obj:
    """The Endpoints object that shows `pods`: one subset for each set of ports."""
    shown = [pod for pod in pods if has_endpoint(pod) and (not is_deleting(pod) or publishes_unready(service))]
    shown.sort(key=lambda pod: (pod["status"]["podIP"], pod["metadata"]["uid"]))
    subsets: dict[tuple[Port, ...], dict[str, Any]] = {}
    for pod in shown[:LARGEST]:
        ports = ports_of(service, pod)
        if not ports and service["spec"].get("ports") and not is_headless(service):
            continue
        subset = subsets.setdefault(ports, {})
        ready = publishes_unready(service) or is_serving(pod)
        subset.setdefault("addresses" if ready else "notReadyAddresses", []).append(_address(service, pod))
    labels = {key: value for key, value in labels_of(service).items() if key != HEADLESS}
    labels[MANAGED] = MANAGER
    if is_headless(service):
        labels[HEADLESS] = ""
    meta: dict[str, Any] = {"name": key_of(service).name, "namespace": key_of(service).namespace}
    meta["labels"] = labels
    if len(shown) > LARGEST:
        meta["annotations"] = {TRUNCATED: "truncated"}
    rendered: Obj = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta}
    if subsets:
        rendered["subsets"] = [{**subset, "ports": _ports(ports)} for ports, subset in sorted(subsets.items())]
    return rendered


def _address(service: Obj, pod: Obj) -> dict[str, Any]:
    address: dict[str, Any] = {"ip": pod["status"]["podIP"], "targetRef": target_ref(pod)}
    if node := pod["spec"].get("nodeName"):
        address["nodeName"] = node
    if hostname := hostname_in(service, pod):
        address["hostname"] = hostname
    return address


def _ports(ports: Sequence[Port]) -> list[dict[str, Any]]:
    rendered = []
    for port in ports:
        one: dict[str, Any] = {"port": port.port, "protocol": port.protocol}
        if port.name:
            one["name"] = port.name
        if port.app_protocol:
            one["appProtocol"] = port.app_protocol
        rendered.append(one)
    return rendered


class EndpointsReconciler(ServicePodsReconciler):
    name = "endpoints"
    workers = 2
    delay = 0.1  # seconds; nothing of ours routes by these, so a burst of changes costs one write
    patience = 5

    def setup(self) -> None:
        super().setup()
        self.endpoints = self.follow(ENDPOINTS)

    async def reconcile(self, key: Key) -> None:
        service = self.services.get(key)
        present = self.endpoints.get(key)
        if service is None or is_deleting(service):
            if service is None and present is not None and labels_of(present).get(MANAGED) == MANAGER:
                await self.api.delete(ENDPOINTS, present)
            return
        if not is_managed(service):
            return
        wanted = plan_endpoints(service, selected_pods(service, self.pods))
        if present is None:
            await self.api.create(ENDPOINTS, wanted, key.namespace)
        elif not _same(present, wanted):
            meta = {**present["metadata"], "labels": wanted["metadata"]["labels"]}
            annotations = {key: value for key, value in annotations_of(present).items() if key != TRUNCATED}
            annotations.update(annotations_of(wanted))
            if annotations:
                meta["annotations"] = annotations
            else:
                meta.pop("annotations", None)
            await self.api.update(ENDPOINTS, {**wanted, "metadata": meta})


def _same(present: Obj, wanted: Obj) -> bool:
    return (
        (present.get("subsets") or []) == (wanted.get("subsets") or [])
        and labels_of(present) == labels_of(wanted)
        and annotations_of(present).get(TRUNCATED) == annotations_of(wanted).get(TRUNCATED)
    )
