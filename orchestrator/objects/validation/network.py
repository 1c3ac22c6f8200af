"""The rules for Services, endpoints, ingress and network policies."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from orchestrator.objects import names
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation.containers import PROTOCOLS, check_port
from orchestrator.objects.validation.fields import Problems
from orchestrator.objects.validation.pods import check_ip
from orchestrator.objects.validation.selectors import check_label_selector

SERVICE_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_POLICIES = ("Cluster", "Local")


def check_service(problems: Problems, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    kind = spec.get("type")
    headless = spec.get("clusterIP") == "None"
    if not spec.get("ports") and not headless and kind != "ExternalName":
        problems.required("spec.ports")
    problems.one_of("spec.type", kind, SERVICE_TYPES)
    if kind == "ExternalName":
        external = (spec.get("externalName") or "").removesuffix(".")
        if not external:
            problems.required("spec.externalName")
        else:
            problems.each("spec.externalName", external, names.dns_subdomain_problems(external))
        if spec.get("clusterIP"):
            problems.forbidden("spec.clusterIP", "may not be set when `type` is 'ExternalName'")
    if kind == "LoadBalancer" and headless:
        problems.invalid("spec.clusterIP", "None", "may not be set to 'None' for LoadBalancer services")
    if kind == "NodePort" and headless:
        problems.invalid("spec.clusterIP", "None", "may not be set to 'None' for NodePort services")
    _check_service_ports(problems, spec, kind)
    for key, value in (spec.get("selector") or {}).items():
        problems.each("spec.selector", key, names.qualified_name_problems(key))
        problems.each("spec.selector", value, names.label_value_problems(value))
    _check_service_fields(problems, spec, kind)


def _check_service_ports(problems: Problems, spec: Mapping[str, Any], kind: Any) -> None:
    ports = spec.get("ports") or ()
    seen_names: set[str] = set()
    seen: set[tuple[Any, Any]] = set()
    for at, port in enumerate(ports):
        path = f"spec.ports[{at}]"
        name = port.get("name") or ""
        if not name:
            if len(ports) > 1:
                problems.required(f"{path}.name")
        else:
            problems.each(f"{path}.name", name, names.dns_label_problems(name))
            if name in seen_names:
                problems.duplicate(f"{path}.name", name)
            seen_names.add(name)
        check_port(problems, port.get("port", 0), f"{path}.port")
        problems.one_of(f"{path}.protocol", port.get("protocol"), PROTOCOLS)
        if kind != "ExternalName":
            check_port(problems, port.get("targetPort", 0), f"{path}.targetPort")
        if port.get("nodePort") and kind not in ("NodePort", "LoadBalancer"):
            problems.forbidden(f"{path}.nodePort", "may not be used when `type` is 'ClusterIP'")
        key = (port.get("protocol"), port.get("port"))
        if key in seen:
            problems.duplicate(path, {"port": key[1], "protocol": key[0]})
        seen.add(key)


def _check_service_fields(problems: Problems, spec: Mapping[str, Any], kind: Any) -> None:
    affinity = spec.get("sessionAffinity")
    problems.one_of("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    timeout = ((spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}).get("timeoutSeconds")
    if affinity == "None" and spec.get("sessionAffinityConfig") is not None:
        problems.forbidden("spec.sessionAffinityConfig", "must not be set when session affinity is None")
    elif timeout is not None and not 0 < timeout <= 86400:
        problems.invalid(
            "spec.sessionAffinityConfig.clientIP.timeoutSeconds", timeout, "must be greater than 0 and less than 86400"
        )
    for field, where in (("externalTrafficPolicy", ("NodePort", "LoadBalancer")), ("internalTrafficPolicy", None)):
        value = spec.get(field)
        if value is None:
            continue
        if where is not None and kind not in where and not spec.get("externalIPs"):
            problems.invalid(f"spec.{field}", value, "may only be set for externally-accessible services")
        elif value not in _POLICIES:
            problems.not_supported(f"spec.{field}", value, _POLICIES)
    for at, address in enumerate(spec.get("externalIPs") or ()):
        check_ip(problems, address, f"spec.externalIPs[{at}]")
    for at, address in enumerate(spec.get("clusterIPs") or ()):
        if address != "None":
            check_ip(problems, address, f"spec.clusterIPs[{at}]")
    for at, block in enumerate(spec.get("loadBalancerSourceRanges") or ()):
        check_cidr(problems, block.strip(), f"spec.loadBalancerSourceRanges[{at}]")
    if spec.get("clusterIPs") and spec.get("clusterIP", "") != spec["clusterIPs"][0]:
        problems.invalid("spec.clusterIPs", spec["clusterIPs"], "first value must match `clusterIP`")


def check_cidr(problems: Problems, value: str, path: str) -> None:
    try:
        if "/" not in value:
            raise ValueError
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        problems.invalid(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")


def check_service_update(problems: Problems, new: Obj, old: Obj) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    had, has = before.get("clusterIP"), spec.get("clusterIP")
    if had and "ExternalName" not in (before.get("type"), spec.get("type")) and has != had:
        problems.invalid("spec.clusterIPs[0]", spec.get("clusterIPs") or [has], "may not change once set")


def check_endpoints(problems: Problems, obj: Obj) -> None:
    for at, subset in enumerate(obj.get("subsets") or ()):
        path = f"subsets[{at}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            problems.required(path, "must specify `addresses` or `notReadyAddresses`")
        for field in ("addresses", "notReadyAddresses"):
            for place, address in enumerate(subset.get(field) or ()):
                _check_endpoint_ip(problems, address.get("ip") or "", f"{path}.{field}[{place}].ip")
        ports = subset.get("ports") or ()
        for place, port in enumerate(ports):
            if len(ports) > 1 and not port.get("name"):
                problems.required(f"{path}.ports[{place}].name")
            check_port(problems, port.get("port", 0), f"{path}.ports[{place}].port")
            problems.one_of(f"{path}.ports[{place}].protocol", port.get("protocol"), PROTOCOLS)


def _check_endpoint_ip(problems: Problems, value: str, path: str) -> None:
    check_ip(problems, value, path)
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return
    for what, wrong in (
        ("unspecified", address.is_unspecified),
        ("in the loopback range (127.0.0.0/8, ::1/128)", address.is_loopback),
        ("in the link-local range (169.254.0.0/16, fe80::/10)", address.is_link_local),
        ("in the link-local multicast range (224.0.0.0/24, ff02::/10)", address.is_multicast),
    ):
        if wrong:
            problems.invalid(path, value, f"may not be {what}")


def check_endpoint_slice(problems: Problems, obj: Obj) -> None:
    problems.one_of("addressType", obj.get("addressType"), ("FQDN", "IPv4", "IPv6"))
    endpoints = obj.get("endpoints") or ()
    if len(endpoints) > 1000:
        problems.too_many("endpoints", len(endpoints), 1000)
    for at, endpoint in enumerate(endpoints):
        addresses = endpoint.get("addresses") or ()
        if not addresses:
            problems.required(f"endpoints[{at}].addresses", "must contain at least 1 address")
        if len(addresses) > 100:
            problems.too_many(f"endpoints[{at}].addresses", len(addresses), 100)
        for place, address in enumerate(addresses):
            if obj.get("addressType") in ("IPv4", "IPv6"):
                _check_endpoint_ip(problems, address, f"endpoints[{at}].addresses[{place}]")
    seen: set[str] = set()
    for at, port in enumerate(obj.get("ports") or ()):
        name = port.get("name") or ""
        if name in seen:
            problems.duplicate(f"ports[{at}].name", name)
        seen.add(name)
        problems.one_of(f"ports[{at}].protocol", port.get("protocol"), PROTOCOLS)


def check_endpoint_slice_update(problems: Problems, new: Obj, old: Obj) -> None:
    problems.unchanged("addressType", new.get("addressType"), old.get("addressType"))


def check_ingress(problems: Problems, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        problems.invalid("spec", spec, "either `defaultBackend` or `rules` must be specified")
    if backend := spec.get("defaultBackend"):
        _check_backend(problems, backend, "spec.defaultBackend")
    if name := spec.get("ingressClassName"):
        problems.each("spec.ingressClassName", name, names.dns_subdomain_problems(name))
    for at, rule in enumerate(spec.get("rules") or ()):
        path = f"spec.rules[{at}]"
        if host := rule.get("host"):
            _check_host(problems, host, f"{path}.host")
        if (http := rule.get("http")) is not None:
            if not http.get("paths"):
                problems.required(f"{path}.http.paths")
            for place, item in enumerate(http.get("paths") or ()):
                _check_ingress_path(problems, item, f"{path}.http.paths[{place}]")
    for at, tls in enumerate(spec.get("tls") or ()):
        for place, host in enumerate(tls.get("hosts") or ()):
            _check_host(problems, host, f"spec.tls[{at}].hosts[{place}]")


def _check_host(problems: Problems, host: str, path: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        check = names.wildcard_subdomain_problems if "*" in host else names.dns_subdomain_problems
        problems.each(path, host, check(host))
        return
    problems.invalid(path, host, "must be a DNS name, not an IP address")


def _check_ingress_path(problems: Problems, item: Mapping[str, Any], path: str) -> None:
    kind = item.get("pathType")
    if kind is None:
        problems.required(f"{path}.pathType", "pathType must be specified")
    elif kind not in ("Exact", "Prefix", "ImplementationSpecific"):
        problems.not_supported(f"{path}.pathType", kind, ("Exact", "ImplementationSpecific", "Prefix"))
    value = item.get("path") or ""
    if kind in ("Exact", "Prefix"):
        if not value.startswith("/"):
            problems.invalid(f"{path}.path", value, "must be an absolute path")
        for part in ("//", "/./", "/../", "%2f", "%2F"):
            if part in value:
                problems.invalid(f"{path}.path", value, f"must not contain '{part}'")
    elif value and not value.startswith("/"):
        problems.invalid(f"{path}.path", value, "must be an absolute path")
    _check_backend(problems, item.get("backend") or {}, f"{path}.backend")


def _check_backend(problems: Problems, backend: Mapping[str, Any], path: str) -> None:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        problems.invalid(path, "", "cannot set both resource and service backends")
    elif resource is None:
        if not (service or {}).get("name"):
            problems.required(f"{path}.service.name" if service is not None else path, "" if service is not None else (
                "must specify either service or resource backend"))  # fmt: skip
            return
        name = service["name"]  # type: ignore[index]
        problems.each(f"{path}.service.name", name, names.dns_1035_label_problems(name))
        port = service.get("port") or {}  # type: ignore[union-attr]
        if port.get("name") and port.get("number"):
            problems.invalid(f"{path}.service.port", port, "cannot set both port name & port number")
        elif port.get("name"):
            problems.each(f"{path}.service.port.name", port["name"], names.port_name_problems(port["name"]))
        elif port.get("number"):
            check_port(problems, port["number"], f"{path}.service.port.number")
        else:
            problems.required(f"{path}.service.port", "port name or number is required")


def check_ingress_class(problems: Problems, obj: Obj) -> None:
    controller = (obj.get("spec") or {}).get("controller") or ""
    if not controller:
        problems.required("spec.controller")
    elif len(controller) > 250:
        problems.too_long("spec.controller", 250)
    elif "/" not in controller:
        problems.invalid("spec.controller", controller, 'must be a domain-prefixed path (such as "acme.io/foo")')


def check_ingress_class_update(problems: Problems, new: Obj, old: Obj) -> None:
    controllers = [(obj.get("spec") or {}).get("controller") for obj in (new, old)]
    problems.unchanged("spec.controller", controllers[0], controllers[1])


def check_network_policy(problems: Problems, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    check_label_selector(problems, spec.get("podSelector") or {}, "spec.podSelector")
    for at, kind in enumerate(spec.get("policyTypes") or ()):
        if kind not in ("Ingress", "Egress"):
            problems.not_supported(f"spec.policyTypes[{at}]", kind, ("Egress", "Ingress"))
    for field, side in (("ingress", "from"), ("egress", "to")):
        for at, rule in enumerate(spec.get(field) or ()):
            path = f"spec.{field}[{at}]"
            for place, port in enumerate(rule.get("ports") or ()):
                _check_policy_port(problems, port, f"{path}.ports[{place}]")
            for place, peer in enumerate(rule.get(side) or ()):
                _check_peer(problems, peer, f"{path}.{side}[{place}]")


def _check_policy_port(problems: Problems, port: Mapping[str, Any], path: str) -> None:
    if port.get("protocol") not in (None, *PROTOCOLS):
        problems.not_supported(f"{path}.protocol", port["protocol"], PROTOCOLS)
    number, end = port.get("port"), port.get("endPort")
    if number is not None:
        check_port(problems, number, f"{path}.port")
    if end is not None:
        if not isinstance(number, int):
            problems.required(f"{path}.port", "must be specified when `endPort` is specified")
        elif end < number:
            problems.invalid(f"{path}.endPort", end, "must be greater than or equal to `port`")


def _check_peer(problems: Problems, peer: Mapping[str, Any], path: str) -> None:
    if not peer:
        problems.required(path, "must specify a peer")
    for kind in ("podSelector", "namespaceSelector"):
        if peer.get(kind) is not None:
            check_label_selector(problems, peer[kind], f"{path}.{kind}")
    block = peer.get("ipBlock")
    if block is None:
        return
    if len(peer) > 1:
        problems.forbidden(path, "may not specify both ipBlock and another peer")
    cidr = block.get("cidr") or ""
    if not cidr:
        problems.required(f"{path}.ipBlock.cidr")
        return
    check_cidr(problems, cidr, f"{path}.ipBlock.cidr")
    for at, part in enumerate(block.get("except") or ()):
        check_cidr(problems, part, f"{path}.ipBlock.except[{at}]")
