"""Rows of Services, endpoints, ingress and network policies."""

from __future__ import annotations

from typing import Any

from orchestrator.objects.meta import Obj
from orchestrator.objects.printers.cells import (
    NONE,
    UNSET,
    Printer,
    age_cell,
    labels_text,
    name_of,
    selector_text,
    some,
    spec_of,
    status_of,
)  # fmt: skip


def _balancer_addresses(obj: Obj) -> list[str]:
    ingress = (status_of(obj).get("loadBalancer") or {}).get("ingress") or ()
    return [item.get("ip") or item.get("hostname") or "" for item in ingress]


def _external(obj: Obj) -> str:
    spec = spec_of(obj)
    extra = spec.get("externalIPs") or []
    match spec.get("type"):
        case "ExternalName":
            return spec.get("externalName") or NONE
        case "LoadBalancer":
            return ",".join([*_balancer_addresses(obj), *extra]) or "<pending>"
    return ",".join(extra) or NONE


def _service_port(port: dict[str, Any]) -> str:
    node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
    return f"{port.get('port')}{node_port}/{port.get('protocol', 'TCP')}"


def _service(obj: Obj, now: float) -> list[Any]:
    spec = spec_of(obj)
    addresses = spec.get("clusterIPs") or [spec.get("clusterIP")]
    ports = ",".join(_service_port(port) for port in spec.get("ports") or ()) or NONE
    return [
        name_of(obj),
        spec.get("type", ""),
        addresses[0] or NONE,
        _external(obj),
        ports,
        age_cell(obj, now),
        labels_text(spec.get("selector")),
    ]


SERVICE = Printer(("Name:name", "Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "Selector*"), _service)


def _endpoints(obj: Obj, now: float) -> list[Any]:
    listed = []
    for subset in obj.get("subsets") or ():
        addresses = [item.get("ip", "") for item in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        if ports:
            listed += [f"{address}:{port.get('port')}" for port in ports for address in addresses]
        else:
            listed += addresses
    return [name_of(obj), some(listed), age_cell(obj, now)]


ENDPOINTS = Printer(("Name:name", "Endpoints", "Age"), _endpoints)


def _endpoint_slice(obj: Obj, now: float) -> list[Any]:
    ports = [str(port.get("port") or port.get("name") or "*") for port in obj.get("ports") or ()]
    addresses = [address for item in obj.get("endpoints") or () for address in item.get("addresses") or ()]
    return [
        name_of(obj),
        obj.get("addressType", ""),
        some(ports, empty=UNSET),
        some(addresses, empty=UNSET),
        age_cell(obj, now),
    ]


ENDPOINT_SLICE = Printer(("Name:name", "AddressType", "Ports", "Endpoints", "Age"), _endpoint_slice)


def _ingress(obj: Obj, now: float) -> list[Any]:
    spec = spec_of(obj)
    hosts = [rule["host"] for rule in spec.get("rules") or () if rule.get("host")]
    return [
        name_of(obj),
        spec.get("ingressClassName") or obj["metadata"].get("annotations", {}).get("kubernetes.io/ingress.class", NONE),
        some(hosts, empty="*"),
        ",".join(_balancer_addresses(obj)),
        "80, 443" if spec.get("tls") else "80",
        age_cell(obj, now),
    ]


INGRESS = Printer(("Name:name", "Class", "Hosts", "Address", "Ports", "Age"), _ingress)


def _ingress_class(obj: Obj, now: float) -> list[Any]:
    parameters = spec_of(obj).get("parameters")
    text = NONE
    if parameters:
        group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") else ""
        text = f"{parameters.get('kind', '')}{group}/{parameters.get('name', '')}"
    return [name_of(obj), spec_of(obj).get("controller", ""), text, age_cell(obj, now)]


INGRESS_CLASS = Printer(("Name:name", "Controller", "Parameters", "Age"), _ingress_class)
NETWORK_POLICY = Printer(
    ("Name:name", "Pod-Selector", "Age"),
    lambda obj, now: [name_of(obj), selector_text(spec_of(obj).get("podSelector")), age_cell(obj, now)],
)
