"""LoadBalancer Services without a cloud: their address is the nodes' own, one Service to a port.

Where several ask for the same port the oldest has it; the others wait, and say so in an event. A status with an
address that is no node's was written by somebody else, and is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.errors import Conflict, NotFound
from orchestrator.machinery.reconciler import Reconciler
from orchestrator.objects.kinds import NODES, SERVICES
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of, labels_of

EXCLUDED = "node.kubernetes.io/exclude-from-external-load-balancers"
ALL = Key("", "all")
COMPONENT = "service-controller"
CATCHING_UP = 0.05  # seconds that the cache gets to tell of a change that a write ran into

Ports = set[tuple[str, int]]


def wants_address(service: Obj) -> bool:
    spec = service.get("spec") or {}
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass") and not is_deleting(service)


def ports_of(service: Obj) -> Ports:
    return {(port.get("protocol") or "TCP", int(port["port"])) for port in service["spec"].get("ports") or ()}


def addresses_of(node: Obj) -> list[str]:
    """Where other machines reach the node."""
    told = (node.get("status") or {}).get("addresses") or ()
    found = [each["address"] for each in told if each.get("type") == "InternalIP"]
    return [] if EXCLUDED in labels_of(node) else [each for each in found if not each.startswith("127.")]


def ingress_of(service: Obj) -> list[dict[str, Any]]:
    return ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []


def plan_ingress(services: Iterable[Obj], nodes: Iterable[Obj]) -> list[tuple[Obj, list[dict[str, Any]], Obj | None]]:
    """For every Service: what its status should list, and the older Service that has its port, if one has."""
    addresses = sorted(address for node in nodes for address in addresses_of(node))
    ordered = sorted(services, key=lambda one: (one["metadata"].get("creationTimestamp", ""), key_of(one)))
    holders: dict[tuple[str, int], Obj] = {}
    planned: list[tuple[Obj, list[dict[str, Any]], Obj | None]] = []
    for service in ordered:
        if not wants_address(service):
            planned.append((service, [], None))
            continue
        holder = next((holders[port] for port in sorted(ports_of(service)) if port in holders), None)
        if holder is None:
            holders |= dict.fromkeys(ports_of(service), service)
        mine = [{"ip": address, "ipMode": "VIP"} for address in addresses] if holder is None else []
        planned.append((service, mine, holder))
    return planned


class LoadBalancerReconciler(Reconciler):
    name = "load-balancer"
    workers = 1

    def setup(self) -> None:
        self._told: set[tuple[Key, Key]] = set()  # (service, who has its port)
        self.services = self.informer(SERVICES)
        self.nodes = self.informer(NODES)
        self.services.add_handler(self._service_changed)
        self.nodes.add_handler(self._node_changed)

    def _service_changed(self, old: Obj | None, new: Obj | None) -> None:
        if any(one is not None and (wants_address(one) or ingress_of(one)) for one in (old, new)):
            self.queue.add(ALL)

    def _node_changed(self, old: Obj | None, new: Obj | None) -> None:
        if (old and addresses_of(old)) != (new and addresses_of(new)):
            self.queue.add(ALL)

    async def reconcile(self, key: Key) -> float | None:
        nodes, stale = list(self.nodes), False
        own = {address for node in nodes for address in addresses_of(node)}
        for service, wanted, holder in plan_ingress(list(self.services), nodes):
            if holder is not None:
                self._tell(service, holder)
            if needs_change(service, wanted, own):
                stale = not await self._write(service, wanted) or stale
        return CATCHING_UP if stale else None

    async def _write(self, service: Obj, wanted: Sequence[dict[str, Any]]) -> bool:
        """False when the service changed or went meanwhile, which the cache has yet to tell."""
        balancer = {"ingress": list(wanted)} if wanted else {}
        try:
            await self.api.update_status(SERVICES, service, {**(service.get("status") or {}), "loadBalancer": balancer})
        except (NotFound, Conflict):
            return False
        return True

    def _tell(self, service: Obj, holder: Obj) -> None:
        pair = (key_of(service), key_of(holder))
        if pair not in self._told:
            self._told.add(pair)
            why = f"Service {key_of(holder)} has the same port on the nodes' addresses; give this one another port"
            self.events.warning(service, "SyncLoadBalancerFailed", why, component=COMPONENT)


def needs_change(service: Obj, wanted: Sequence[dict[str, Any]], own: set[str]) -> bool:
    """Whether the status lists something else, and nothing that somebody else wrote."""
    listed = ingress_of(service)
    foreign = wants_address(service) and any(each.get("ip") not in own for each in listed)
    return list(listed) != list(wanted) and not foreign
