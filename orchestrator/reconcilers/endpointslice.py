"""EndpointSlices: the pods behind each Service, with who is ready, serving and terminating, as soon as it is known.

Source: kubernetes staging/src/k8s.io/endpointslice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.machinery.reconciler import gather_or_first_error
from orchestrator.objects.kinds import ENDPOINTSLICES, NODES
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of, labels_of, owner_reference
from orchestrator.reconcilers.service_pods import (
    HEADLESS,
    SERVICE_NAME,
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

MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"
LARGEST = 100  # endpoints in one slice, as in Kubernetes

Endpoint = dict[str, Any]


@dataclass
class Plan:
    create: list[Obj] = field(default_factory=list)
    update: list[Obj] = field(default_factory=list)
    delete: list[Obj] = field(default_factory=list)


def render_endpoint(service: Obj, pod: Obj, zone: str = "") -> Endpoint:
    serving, terminating = is_serving(pod), is_deleting(pod)
    ready = publishes_unready(service) or (serving and not terminating)
    endpoint: Endpoint = {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "targetRef": target_ref(pod),
    }
    if hostname := hostname_in(service, pod):
        endpoint["hostname"] = hostname
    if node := pod["spec"].get("nodeName"):
        endpoint["nodeName"] = node
    if zone:
        endpoint["zone"] = zone
    return endpoint


def plan_slices(service: Obj, pods: Sequence[Obj], existing: Sequence[Obj], zones: dict[str, str]) -> Plan:
    """The writes that make `existing` show `pods`; endpoints stay in the slice they are in."""
    groups: dict[tuple[Port, ...], dict[str, Endpoint]] = {}
    for pod in sorted(pods, key=lambda pod: pod["metadata"]["name"]):
        if has_endpoint(pod):
            ports = ports_of(service, pod)
            if not ports and service["spec"].get("ports") and not is_headless(service):
                continue
            zone = zones.get(pod["spec"].get("nodeName") or "", "")
            groups.setdefault(ports, {})[pod["metadata"]["uid"]] = render_endpoint(service, pod, zone)
    by_ports: dict[tuple[Port, ...], list[Obj]] = {}
    plan = Plan()
    for one in existing:
        ports = _read_ports(one)
        if (ports in groups or not groups) and not is_deleting(one):
            by_ports.setdefault(ports, []).append(one)
        else:
            plan.delete.append(one)
    if not groups:  # one empty slice says that the Service has nobody behind it
        kept = [one for slices in by_ports.values() for one in slices]
        _plan_group(service, _read_ports(kept[0]) if kept else (), {}, kept, plan)
    for ports, endpoints in groups.items():
        _plan_group(service, ports, endpoints, by_ports.get(ports, []), plan)
    return plan


def _plan_group(
    service: Obj, ports: tuple[Port, ...], endpoints: dict[str, Endpoint], existing: list[Obj], plan: Plan
) -> None:
    left = dict(endpoints)
    contents: list[list[Endpoint]] = []
    for one in sorted(existing, key=lambda one: one["metadata"]["name"]):
        uids = [(endpoint.get("targetRef") or {}).get("uid", "") for endpoint in one.get("endpoints") or ()]
        contents.append([left.pop(uid) for uid in uids if uid in left])
    for content in contents:
        while left and len(content) < LARGEST:
            content.append(left.pop(next(iter(left))))
    for old, content in zip(sorted(existing, key=lambda one: one["metadata"]["name"]), contents, strict=True):
        is_last = not endpoints and old is existing[0]
        if not content and not is_last:
            plan.delete.append(old)
        elif not _shows(service, old, content):
            plan.update.append({**old, **_rendered(service, ports, content, old)})
    rest = list(left.values())
    if not endpoints and not existing:
        plan.create.append(_rendered(service, ports, [], None))
    for start in range(0, len(rest), LARGEST):
        plan.create.append(_rendered(service, ports, rest[start : start + LARGEST], None))


def _labels(service: Obj) -> dict[str, str]:
    labels = {key: value for key, value in labels_of(service).items() if key != HEADLESS}
    labels[SERVICE_NAME] = service["metadata"]["name"]
    labels[MANAGED_BY] = MANAGER
    if is_headless(service):
        labels[HEADLESS] = ""
    return labels


def _shows(service: Obj, old: Obj, content: list[Endpoint]) -> bool:
    return (old.get("endpoints") or []) == content and labels_of(old) == _labels(service)


def _rendered(service: Obj, ports: tuple[Port, ...], content: list[Endpoint], old: Obj | None) -> Obj:
    meta: dict[str, Any] = dict(old["metadata"]) if old else {
        "generateName": f"{service['metadata']['name']}-",
        "namespace": key_of(service).namespace,
        "ownerReferences": [owner_reference(service)],
    }  # fmt: skip
    meta["labels"] = _labels(service)
    rendered_ports = []
    for port in ports:
        rendered = {"name": port.name, "protocol": port.protocol, "port": port.port}
        if port.app_protocol:
            rendered["appProtocol"] = port.app_protocol
        rendered_ports.append(rendered)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": content,
        "ports": rendered_ports,
    }


def _read_ports(one: Obj) -> tuple[Port, ...]:
    return tuple(
        Port(port.get("name") or "", port.get("protocol") or "TCP", port.get("port"), port.get("appProtocol") or "")
        for port in one.get("ports") or ()
    )


class EndpointSliceReconciler(ServicePodsReconciler):
    name = "endpointslice"
    workers = 8

    def setup(self) -> None:
        super().setup()
        self.slices = self.follow(ENDPOINTSLICES, _service_key)
        self.slices.add_index("service", lambda obj: [str(key) for key in _service_key(obj)])
        self.nodes = self.informer(NODES)

    async def reconcile(self, key: Key) -> None:
        service = self.services.get(key)
        if service is None or is_deleting(service) or not is_managed(service):
            return
        pods = selected_pods(service, self.pods)
        plan = plan_slices(service, pods, self.slices.indexed("service", str(key)), self._zones(pods))
        await gather_or_first_error(
            [
                *(self.api.update(ENDPOINTSLICES, one) for one in plan.update),
                *(self.api.create(ENDPOINTSLICES, one, key.namespace) for one in plan.create),
            ]
        )
        for one in plan.delete:
            await self.api.delete(ENDPOINTSLICES, one)

    def _zones(self, pods: Sequence[Obj]) -> dict[str, str]:
        names = {pod["spec"].get("nodeName") for pod in pods} - {None, ""}
        nodes = {name: self.nodes.get(Key("", name)) for name in names}
        return {name: labels_of(node).get(ZONE, "") for name, node in nodes.items() if node}


def _service_key(one: Obj) -> list[Key]:
    labels = labels_of(one)
    if labels.get(MANAGED_BY) != MANAGER or SERVICE_NAME not in labels:
        return []
    return [Key(key_of(one).namespace, labels[SERVICE_NAME])]
