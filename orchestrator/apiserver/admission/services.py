"""Cluster addresses and node ports of Services: given out on creation, kept until the Service goes.

The store is the only record of what is taken: the allocator counts what the Services hold, queued ones included, so a
crash cannot lose or double an address.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from typing import Any

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.meta import Key, Obj

_NODE_PORTS = range(30000, 32768)
_STORAGE = kinds.SERVICES.storage_key


def allocate(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    spec = obj["spec"]
    kind = spec.get("type", "ClusterIP")
    if kind == "ExternalName":
        return
    _allocate_address(api, call, obj)
    wants_ports = kind == "NodePort" or (kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True))
    if wants_ports:
        _allocate_ports(api, call, obj)


def _others(api: Api, call: Call, name: str) -> Iterator[dict[str, Any]]:
    """The specs of all other Services, including those on their way to the disk."""
    own = Key(call.namespace, name)
    for record in api.store.list_latest(_STORAGE):
        if record.key != own:
            yield record.obj.get("spec") or {}


def _allocate_address(api: Api, call: Call, obj: Obj) -> None:
    spec, name = obj["spec"], obj["metadata"].get("name", "")
    address = spec.get("clusterIP") or ""
    if address == "None":
        spec["clusterIPs"] = ["None"]
        return
    network = ipaddress.ip_network(api.settings.service_cidr)
    taken = {other.get("clusterIP") for other in _others(api, call, name)}
    if address:
        _check_address(call, name, address, network, taken)
    else:
        address = _free_address(network, taken, api.settings.first_service_ip)
    spec["clusterIP"], spec["clusterIPs"] = address, [address]
    spec.setdefault("ipFamilies", ["IPv6" if ":" in address else "IPv4"])
    spec.setdefault("ipFamilyPolicy", "SingleStack")
    spec.setdefault("internalTrafficPolicy", "Cluster")


def _check_address(call: Call, name: str, address: str, network: Any, taken: set[Any]) -> None:
    try:
        inside = ipaddress.ip_address(address) in network
    except ValueError:
        return  # validation says so in its own words
    if address in taken:
        why = f"failed to allocate IP {address}: provided IP is already allocated"
    elif not inside:
        why = f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range ({network})"
    else:
        return
    field = "spec.clusterIPs"
    cause = {"field": field, "reason": "FieldValueInvalid", "message": f'Invalid value: ["{address}"]: {why}'}
    raise refusals.invalid(call.resource, name, [cause])


def _free_address(network: Any, taken: set[Any], reserved: str) -> str:
    size = network.num_addresses
    low = min(max(16, size // 16), 256)  # left for addresses that are asked for by name, as in Kubernetes
    start = random.randrange(low, size - 1) if size > low + 2 else 1
    for offset in range(size):
        number = (start + offset) % size
        candidate = str(network.network_address + number)
        if number not in (0, size - 1) and candidate != reserved and candidate not in taken:
            return candidate
    raise errors.ApiError(f"Internal error occurred: failed to allocate a serviceIP: range {network} is full")


def _allocate_ports(api: Api, call: Call, obj: Obj) -> None:
    name = obj["metadata"].get("name", "")
    ports = obj["spec"].get("ports") or []
    taken = {
        (port.get("nodePort"), port.get("protocol", "TCP"))
        for other in _others(api, call, name)
        for port in other.get("ports") or ()
        if port.get("nodePort")
    }
    for index, port in enumerate(ports):
        protocol = port.get("protocol", "TCP")
        number = port.get("nodePort")
        if not number:
            port["nodePort"] = number = _free_port(taken)
        elif (number, protocol) in taken:
            message = f"Invalid value: {number}: provided port is already allocated"
            cause = {"field": f"spec.ports[{index}].nodePort", "reason": "FieldValueInvalid", "message": message}
            raise refusals.invalid(call.resource, name, [cause])
        elif number not in _NODE_PORTS:
            message = (
                f"Invalid value: {number}: provided port is not in the valid range. "
                f"The range of valid ports is {_NODE_PORTS.start}-{_NODE_PORTS.stop - 1}"
            )
            cause = {"field": f"spec.ports[{index}].nodePort", "reason": "FieldValueInvalid", "message": message}
            raise refusals.invalid(call.resource, name, [cause])
        taken.add((number, protocol))


def _free_port(taken: set[Any]) -> int:
    """A node port that is free for every protocol. Raises: ApiError when none is left."""
    start = random.randrange(len(_NODE_PORTS))
    for offset in range(len(_NODE_PORTS)):
        number = _NODE_PORTS[(start + offset) % len(_NODE_PORTS)]
        if all((number, p) not in taken for p in ("TCP", "UDP", "SCTP")):
            return number
    raise errors.ApiError(
        f"Internal error occurred: no node port is left in {_NODE_PORTS.start}-{_NODE_PORTS.stop - 1}"
    )
