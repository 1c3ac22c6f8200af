"""The environment of a container: literals, references, whole ConfigMaps and Secrets, Services. Pure.

Source: kubernetes pkg/kubelet/kubelet_pods.go makeEnvironmentVariables, third_party/forked/golang/expansion.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import OrchestratorError
from orchestrator.kubelet.resources import resource_value
from orchestrator.objects.meta import Obj, annotations_of, labels_of

_REFERENCE = re.compile(r"\$\$|\$\(([^()]*)\)")
_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")


class ConfigError(OrchestratorError):
    """The container refers to something that isn't there (CreateContainerConfigError)."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """What references may ask of the node."""

    name: str
    address: str
    cpus: int = 1
    memory: int = 0
    cluster_domain: str = "cluster.local"


Sources = Mapping[tuple[str, str], Obj | None]
"""("ConfigMap" or "Secret", name) → the object, None when there is none."""


def referred_sources(container: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What must be fetched before `render_environment`."""
    wanted: set[tuple[str, str]] = set()
    for entry in container.get("envFrom") or ():
        for field_name, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            if field_name in entry:
                wanted.add((kind, entry[field_name]["name"]))
    for entry in container.get("env") or ():
        source = entry.get("valueFrom") or {}
        for field_name, kind in (("configMapKeyRef", "ConfigMap"), ("secretKeyRef", "Secret")):
            if field_name in source:
                wanted.add((kind, source[field_name]["name"]))
    return wanted


def render_environment(
    pod: Obj, container: Mapping[str, Any], *, sources: Sources, services: Mapping[str, str], node: NodeView,
    address: str,
) -> dict[str, str]:  # fmt: skip
    """Services first, then `envFrom`, then `env`, each over the one before. Raises: ConfigError."""
    collected: dict[str, str] = dict(services)
    for entry in container.get("envFrom") or ():
        collected |= whole_source(entry, sources)
    for entry in container.get("env") or ():
        name = entry["name"]
        source = entry.get("valueFrom")
        if source:
            value = referred_value(pod, container, source, sources, node, address)
            if value is not None:
                collected[name] = value
        else:
            collected[name] = expand(str(entry.get("value") or ""), collected)
    return collected


def whole_source(entry: Mapping[str, Any], sources: Sources) -> dict[str, str]:
    prefix = entry.get("prefix") or ""
    kind = "ConfigMap" if "configMapRef" in entry else "Secret"
    reference = entry.get("configMapRef") or entry["secretRef"]
    found = sources.get((kind, reference["name"]))
    if found is None:
        if reference.get("optional"):
            return {}
        raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
    return {prefix + key: text_of(kind, found, key) for key in found.get("data") or {} if "=" not in key and key}


def referred_value(
    pod: Obj, container: Mapping[str, Any], source: Mapping[str, Any], sources: Sources, node: NodeView, address: str
) -> str | None:
    """None when an optional reference leads nowhere."""
    if "fieldRef" in source:
        return field_value(pod, source["fieldRef"]["fieldPath"], node=node, address=address)
    if "resourceFieldRef" in source:
        return resource_value(pod, source["resourceFieldRef"], container, cpus=node.cpus, memory=node.memory)
    kind = "ConfigMap" if "configMapKeyRef" in source else "Secret"
    reference = source.get("configMapKeyRef") or source.get("secretKeyRef")
    if reference is None:
        raise ConfigError(f"a variable takes its value from {', '.join(source)}, which is not known here")
    found = sources.get((kind, reference["name"]))
    if found is None or reference["key"] not in (found.get("data") or {}):
        if reference.get("optional"):
            return None
        if found is None:
            raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
        place = f"{pod['metadata']['namespace']}/{reference['name']}"
        raise ConfigError(f"couldn't find key {reference['key']} in {kind} {place}")
    return text_of(kind, found, reference["key"])


def text_of(kind: str, obj: Obj, key: str) -> str:
    value = obj["data"][key]
    return base64.b64decode(value).decode(errors="replace") if kind == "Secret" else str(value)


def field_value(pod: Obj, path: str, *, node: NodeView, address: str) -> str:
    """Raises: ConfigError, for a path the downward API doesn't have."""
    meta, spec = pod["metadata"], pod["spec"]
    if subscript := _SUBSCRIPT.fullmatch(path):
        table = labels_of(pod) if subscript[1] == "labels" else annotations_of(pod)
        return table.get(subscript[2], "")
    values: dict[str, Callable[[], object]] = {
        "metadata.name": lambda: meta["name"],
        "metadata.namespace": lambda: meta["namespace"],
        "metadata.uid": lambda: meta["uid"],
        "metadata.labels": lambda: rendered_map(labels_of(pod)),
        "metadata.annotations": lambda: rendered_map(annotations_of(pod)),
        "spec.nodeName": lambda: node.name,
        "spec.serviceAccountName": lambda: spec.get("serviceAccountName") or "default",
        "status.hostIP": lambda: node.address,
        "status.hostIPs": lambda: node.address,
        "status.podIP": lambda: address,
        "status.podIPs": lambda: address,
    }
    if path not in values:
        raise ConfigError(f"the downward API has no field {path}")
    return str(values[path]())


def rendered_map(table: Mapping[str, str]) -> str:
    """As in downward API files: `key="value"` lines, sorted."""
    return "\n".join(f'{key}="{escape(value)}"' for key, value in sorted(table.items()))


def escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def expand(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` replaced when NAME is known; `$$` is a dollar sign."""

    def replacement(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return known.get(match[1], match[0])

    return _REFERENCE.sub(replacement, text)


def references_of(text: str) -> list[str]:
    """The names that `expand` would look up."""
    return [match[1] for match in _REFERENCE.finditer(text) if match[0] != "$$"]


def service_environment(services: Iterable[Obj], namespace: str) -> dict[str, str]:
    """The `X_SERVICE_HOST` family of a namespace's Services, in the form of Docker links too.

    Source: kubernetes pkg/kubelet/envvars/envvars.go.
    """
    variables: dict[str, str] = {}
    for service in services:
        spec, name = service.get("spec") or {}, service["metadata"]["name"]
        address = spec.get("clusterIP")
        if service["metadata"].get("namespace") != namespace or not address or address == "None":
            continue
        prefix = name.upper().replace("-", "_")
        ports = spec.get("ports") or ()
        if not ports:
            continue
        variables[f"{prefix}_SERVICE_HOST"] = address
        variables[f"{prefix}_SERVICE_PORT"] = str(ports[0]["port"])
        for index, port in enumerate(ports):
            protocol = (port.get("protocol") or "TCP").upper()
            url = f"{protocol.lower()}://{address}:{port['port']}"
            if port.get("name"):
                variables[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
            if index == 0:
                variables[f"{prefix}_PORT"] = url
            key = f"{prefix}_PORT_{port['port']}_{protocol}"
            variables |= {
                key: url,
                f"{key}_PROTO": protocol.lower(),
                f"{key}_PORT": str(port["port"]),
                f"{key}_ADDR": address,
            }
    return variables
