"""EndpointSlices for Services without a selector, from the Endpoints somebody wrote by hand.

Source: kubernetes pkg/controller/endpointslicemirroring.
"""

from __future__ import annotations

from typing import Any

from orchestrator.machinery.reconciler import Reconciler
from orchestrator.objects.kinds import ENDPOINTS, ENDPOINTSLICES, SERVICES
from orchestrator.objects.meta import Key, Obj, annotations_of, is_deleting, key_of, labels_of, owner_reference
from orchestrator.reconcilers.endpointslice import MANAGED_BY
from orchestrator.reconcilers.service_pods import SERVICE_NAME

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
LARGEST = 1000  # addresses of one subset that are mirrored


def is_mirrored(endpoints: Obj | None, service: Obj | None) -> bool:
    if endpoints is None or service is None or is_deleting(endpoints) or is_deleting(service):
        return False
    if labels_of(endpoints).get(SKIP) == "true" or LEADER in annotations_of(endpoints):
        return False
    return not service["spec"].get("selector")


def plan_mirror(endpoints: Obj) -> list[Obj]:
    """A slice for each subset and address family, named by their order."""
    key = key_of(endpoints)
    rendered: list[Obj] = []
    for subset in endpoints.get("subsets") or ():
        addresses = [(one, True) for one in subset.get("addresses") or ()]
        addresses += [(one, False) for one in subset.get("notReadyAddresses") or ()]
        for family in ("IPv4", "IPv6"):
            of_family = [pair for pair in addresses[:LARGEST] if (":" in pair[0]["ip"]) == (family == "IPv6")]
            if of_family:
                rendered.append(_slice(endpoints, f"{key.name}-m{len(rendered)}", family, subset, of_family))
    return rendered


def _slice(endpoints: Obj, name: str, family: str, subset: Obj, addresses: list[tuple[Obj, bool]]) -> Obj:
    key = key_of(endpoints)
    labels = {**labels_of(endpoints), SERVICE_NAME: key.name, MANAGED_BY: MANAGER}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": key.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(endpoints)],
        },
        "addressType": family,
        "endpoints": [_endpoint(address, ready) for address, ready in addresses],
        "ports": [
            {"name": port.get("name") or "", **{part: port[part] for part in ("port", "protocol", "appProtocol")
             if part in port}}
            for port in subset.get("ports") or ()
        ],
    }  # fmt: skip


def _endpoint(address: Obj, ready: bool) -> dict[str, Any]:
    endpoint: dict[str, Any] = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for part in ("hostname", "nodeName", "targetRef"):
        if address.get(part):
            endpoint[part] = address[part]
    return endpoint


class EndpointSliceMirror(Reconciler):
    name = "endpointslice-mirror"
    workers = 1

    def setup(self) -> None:
        self.endpoints = self.follow(ENDPOINTS)
        self.services = self.follow(SERVICES)
        self.slices = self.informer(ENDPOINTSLICES)
        self.slices.add_index("mirror", _mirrored_key)

    async def reconcile(self, key: Key) -> None:
        endpoints = self.endpoints.get(key)
        present = {key_of(one).name: one for one in self.slices.indexed("mirror", str(key))}
        wanted: list[Obj] = []
        if endpoints is not None and is_mirrored(endpoints, self.services.get(key)):
            wanted = plan_mirror(endpoints)
        for one in wanted:
            old = present.pop(key_of(one).name, None)
            if old is None:
                await self.api.create(ENDPOINTSLICES, one, key.namespace)
            elif old["addressType"] != one["addressType"]:
                await self.api.delete(ENDPOINTSLICES, old)
                await self.api.create(ENDPOINTSLICES, one, key.namespace)
            elif any(old.get(part) != one[part] for part in ("endpoints", "ports")) or labels_of(old) != labels_of(one):
                meta = {**old["metadata"], "labels": one["metadata"]["labels"]}
                await self.api.update(ENDPOINTSLICES, {**one, "metadata": meta})
        for old in present.values():
            await self.api.delete(ENDPOINTSLICES, old)


def _mirrored_key(one: Obj) -> list[str]:
    labels = labels_of(one)
    if labels.get(MANAGED_BY) != MANAGER or SERVICE_NAME not in labels:
        return []
    return [str(Key(key_of(one).namespace, labels[SERVICE_NAME]))]
