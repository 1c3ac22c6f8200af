"""The documents by which clients find out what this server serves: /api, /apis, resource lists, /version."""

from __future__ import annotations

import base64
import hashlib
import platform
import re
from collections.abc import Iterable
from typing import Any

from orchestrator.objects.kinds import Resource

MAJOR, MINOR = "1", "36"
GIT_VERSION = f"v{MAJOR}.{MINOR}.0+paas"
AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
AGGREGATED_BETA = "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"

Json = dict[str, Any]
_SUBRESOURCES: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    # name: (group, version, kind, verbs); an empty kind means the resource's own
    "status": ("", "", "", ("get", "patch", "update")),
    "scale": ("autoscaling", "v1", "Scale", ("get", "patch", "update")),
    "binding": ("", "v1", "Binding", ("create",)),
    "eviction": ("policy", "v1", "Eviction", ("create",)),
    "log": ("", "", "", ("get",)),
    "exec": ("", "v1", "PodExecOptions", ("create", "get")),
    "attach": ("", "v1", "PodAttachOptions", ("create", "get")),
    "portforward": ("", "v1", "PodPortForwardOptions", ("create", "get")),
    "proxy": ("", "v1", "{kind}ProxyOptions", ("create", "delete", "get", "patch", "update")),
    "token": ("authentication.k8s.io", "v1", "TokenRequest", ("create",)),
    "finalize": ("", "", "", ("update",)),
    "ephemeralcontainers": ("", "", "", ("get", "patch", "update")),
}
_GROUP_ORDER = (
    "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch",
    "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "storage.k8s.io", "apiextensions.k8s.io",
    "admissionregistration.k8s.io", "scheduling.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "metrics.k8s.io",
)  # fmt: skip


def version() -> Json:
    """The body of /version."""
    system = platform.machine().lower()
    return {
        "major": MAJOR,
        "minor": MINOR,
        "emulationMajor": MAJOR,
        "emulationMinor": MINOR,
        "minCompatibilityMajor": MAJOR,
        "minCompatibilityMinor": str(int(MINOR) - 1),
        "gitVersion": GIT_VERSION,
        "gitCommit": "0000000000000000000000000000000000000000",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation().lower(),
        "platform": f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(system, system) }",
    }


def api_versions(server_address: str) -> Json:
    """The body of /api."""
    return {
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
    }


def group_list(resources: Iterable[Resource]) -> Json:
    """The body of /apis."""
    groups = _by_group(resources)
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(name, versions) for name, versions in groups.items() if name],
    }


def group(resources: Iterable[Resource], name: str) -> Json | None:
    """The body of /apis/GROUP; None when nothing of it is served."""
    versions = _by_group(resources).get(name)
    if not versions or not name:
        return None
    return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)}


def resource_list(resources: Iterable[Resource], group_name: str, version_name: str) -> Json | None:
    """The body of /api/v1 or /apis/GROUP/VERSION; None when nothing of it is served."""
    served = _by_group(resources).get(group_name, {}).get(version_name)
    if not served:
        return None
    entries = []
    for resource in served:
        entries.append(_resource_entry(resource))
        for name in sorted(resource.subresources):
            entries.append(_subresource_entry(resource, name))
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group_name}/{version_name}" if group_name else version_name,
        "resources": sorted(entries, key=lambda entry: entry["name"]),
    }


def aggregated(resources: Iterable[Resource], *, core: bool, beta: bool = False) -> Json:
    """The body of /api (`core`) or /apis for clients that ask for `AGGREGATED`: every resource in one document."""
    items = []
    for name, versions in _by_group(resources).items():
        if bool(name) == core:
            continue
        listed = [
            {"version": number, "resources": [_aggregated_entry(resource) for resource in served],
             "freshness": "Current"}
            for number, served in versions.items()
        ]  # fmt: skip
        items.append({"metadata": {"name": name} if name else {}, "versions": listed})
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": f"apidiscovery.k8s.io/{'v2beta1' if beta else 'v2'}",
        "metadata": {},
        "items": items,
    }


def storage_hash(resource: Resource) -> str:
    digest = hashlib.sha256(f"{resource.group}/{resource.version}/{resource.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def _by_group(resources: Iterable[Resource]) -> dict[str, dict[str, list[Resource]]]:
    """Group → version → resources, groups in Kubernetes' order, the preferred version first."""
    groups: dict[str, dict[str, list[Resource]]] = {}
    for resource in resources:
        groups.setdefault(resource.group, {}).setdefault(resource.version, []).append(resource)
    order = {name: at for at, name in enumerate(("", *_GROUP_ORDER))}
    return {
        name: {
            number: sorted(groups[name][number], key=lambda resource: resource.plural)
            for number in sorted(groups[name], key=version_priority)
        }
        for name in sorted(groups, key=lambda name: (order.get(name, len(order)), name))
    }


_VERSION = re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def version_priority(name: str) -> tuple[int, int, int, str]:
    """A sort key by which v2 comes before v1, v1 before v1beta1, and odd names last."""
    found = _VERSION.fullmatch(name)
    if found is None:
        return (3, 0, 0, name)
    major, stage, minor = found.groups()
    return ({None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0), name)


def _group(name: str, versions: dict[str, list[Resource]]) -> Json:
    listed = [{"groupVersion": f"{name}/{number}", "version": number} for number in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _singular(resource: Resource) -> str:
    return resource.singular or resource.kind.lower()


def _resource_entry(resource: Resource) -> Json:
    entry: Json = {
        "name": resource.plural,
        "singularName": _singular(resource),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if "watch" in resource.verbs:
        entry["storageVersionHash"] = storage_hash(resource)
    return entry


def _subresource_kind(resource: Resource, name: str) -> tuple[str, str, str, tuple[str, ...]]:
    group_name, version_name, kind, verbs = _SUBRESOURCES.get(name, ("", "", "", ("get",)))
    if not kind:
        return resource.group, resource.version, resource.kind, verbs
    return group_name, version_name, kind.format(kind=resource.kind), verbs


def _subresource_entry(resource: Resource, name: str) -> Json:
    group_name, version_name, kind, verbs = _subresource_kind(resource, name)
    entry: Json = {
        "name": f"{resource.plural}/{name}",
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": kind,
        "verbs": list(verbs),
    }
    if (group_name, version_name) != (resource.group, resource.version):
        entry["group"], entry["version"] = group_name, version_name
    return entry


def _aggregated_entry(resource: Resource) -> Json:
    entry: Json = {
        "resource": resource.plural,
        "responseKind": _kind_of(resource.group, resource.version, resource.kind),
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": _singular(resource),
        "verbs": list(resource.verbs),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        entry["subresources"] = []
        for name in sorted(resource.subresources):
            group_name, version_name, kind, verbs = _subresource_kind(resource, name)
            entry["subresources"].append(
                {"subresource": name, "responseKind": _kind_of(group_name, version_name, kind), "verbs": list(verbs)}
            )
    return entry


def _kind_of(group_name: str, version_name: str, kind: str) -> Json:
    return {"group": group_name, "version": version_name, "kind": kind}
