"""Rows of nodes, configuration, storage, access, events and the rest."""

from __future__ import annotations

from typing import Any

from orchestrator.objects.meta import Obj, is_deleting, labels_of
from orchestrator.objects.printers.cells import (
    NONE,
    UNKNOWN,
    UNSET,
    Printer,
    age_cell,
    condition,
    name_of,
    since,
    spec_of,
    status_of,
)  # fmt: skip

_ROLE_PREFIX = "node-role.kubernetes.io/"
_ROLE_LABEL = "kubernetes.io/role"
_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
_MODES = {
    "ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP",
}  # fmt: skip


def _phase(obj: Obj) -> str:
    return "Terminating" if is_deleting(obj) else status_of(obj).get("phase", "")


NAMESPACE = Printer(
    ("Name:name", "Status", "Age"),
    lambda obj, now: [name_of(obj), status_of(obj).get("phase", ""), age_cell(obj, now)],
)


def node_roles(obj: Obj) -> list[str]:
    roles = set()
    for key, value in labels_of(obj).items():
        if key.startswith(_ROLE_PREFIX) and len(key) > len(_ROLE_PREFIX):
            roles.add(key.removeprefix(_ROLE_PREFIX))
        elif key == _ROLE_LABEL and value:
            roles.add(value)
    return sorted(roles)


def _node(obj: Obj, now: float) -> list[Any]:
    ready = condition(obj, "Ready")
    state = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    if spec_of(obj).get("unschedulable"):
        state += ",SchedulingDisabled"
    info = status_of(obj).get("nodeInfo") or {}
    addresses = {item.get("type"): item.get("address") for item in reversed(status_of(obj).get("addresses") or ())}
    return [
        name_of(obj),
        state,
        ",".join(node_roles(obj)) or NONE,
        age_cell(obj, now),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP") or NONE,
        addresses.get("ExternalIP") or NONE,
        info.get("osImage") or UNKNOWN,
        info.get("kernelVersion") or UNKNOWN,
        info.get("containerRuntimeVersion") or UNKNOWN,
    ]


NODE = Printer(
    (
        "Name:name", "Status", "Roles", "Age", "Version", "Internal-IP*", "External-IP*", "OS-Image*",
        "Kernel-Version*", "Container-Runtime*",
    ),
    _node,
)  # fmt: skip


def _config_map(obj: Obj, now: float) -> list[Any]:
    count = len(obj.get("data") or ()) + len(obj.get("binaryData") or ())
    return [name_of(obj), count, age_cell(obj, now)]


CONFIG_MAP = Printer(("Name:name", "Data", "Age"), _config_map)
SECRET = Printer(
    ("Name:name", "Type", "Data", "Age"),
    lambda obj, now: [name_of(obj), obj.get("type", ""), len(obj.get("data") or ()), age_cell(obj, now)],
)
SERVICE_ACCOUNT = Printer(
    ("Name:name", "Secrets", "Age"),
    lambda obj, now: [name_of(obj), len(obj.get("secrets") or ()), age_cell(obj, now)],
)


def _event_source(obj: Obj) -> str:
    source = obj.get("source") or obj.get("deprecatedSource") or {}
    component = source.get("component") or obj.get("reportingComponent") or obj.get("reportingController") or ""
    host = source.get("host") or obj.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def _event(obj: Obj, now: float) -> list[Any]:
    involved = obj.get("involvedObject") or obj.get("regarding") or {}
    first = since(obj.get("firstTimestamp") or obj.get("deprecatedFirstTimestamp") or obj.get("eventTime"), now)
    last_seen = obj.get("lastTimestamp") or obj.get("deprecatedLastTimestamp")
    last = since(last_seen, now) if last_seen else first
    count = obj.get("count") or obj.get("deprecatedCount") or 1
    if series := obj.get("series"):
        last, count = since(series.get("lastObservedTime"), now), series.get("count", count)
    target = involved.get("kind", "").lower()
    if involved.get("name"):
        target = f"{target}/{involved['name']}"
    return [
        last,
        obj.get("type", ""),
        obj.get("reason", ""),
        target,
        involved.get("fieldPath", ""),
        _event_source(obj),
        (obj.get("message") or obj.get("note") or "").strip(),
        first,
        count,
        name_of(obj),
    ]


EVENT = Printer(
    (
        "Last Seen", "Type", "Reason", "Object", "Subobject*", "Source*", "Message", "First Seen*", "Count*",
        "Name:name*",
    ),
    _event,
)  # fmt: skip


def _modes(modes: list[str] | None) -> str:
    return ",".join(_MODES.get(mode, mode) for mode in dict.fromkeys(modes or ()))


def _volume(obj: Obj, now: float) -> list[Any]:
    spec = spec_of(obj)
    claim = spec.get("claimRef") or {}
    return [
        name_of(obj),
        (spec.get("capacity") or {}).get("storage", ""),
        _modes(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or UNSET,
        status_of(obj).get("reason", ""),
        age_cell(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


VOLUME = Printer(
    (
        "Name:name", "Capacity", "Access Modes", "Reclaim Policy", "Status", "Claim", "StorageClass",
        "VolumeAttributesClass", "Reason", "Age", "VolumeMode*",
    ),
    _volume,
)  # fmt: skip


def _claim(obj: Obj, now: float) -> list[Any]:
    spec, status = spec_of(obj), status_of(obj)
    bound = bool(spec.get("volumeName"))
    return [
        name_of(obj),
        _phase(obj),
        spec.get("volumeName", ""),
        (status.get("capacity") or {}).get("storage", "") if bound else "",
        _modes(status.get("accessModes")) if bound else "",
        spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName") or UNSET,
        age_cell(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


CLAIM = Printer(
    (
        "Name:name", "Status", "Volume", "Capacity", "Access Modes", "StorageClass", "VolumeAttributesClass", "Age",
        "VolumeMode*",
    ),
    _claim,
)  # fmt: skip


def is_default_class(obj: Obj) -> bool:
    annotations = obj["metadata"].get("annotations") or {}
    return any(annotations.get(key) == "true" for key in _DEFAULT_CLASS)


def _storage_class(obj: Obj, now: float) -> list[Any]:
    return [
        f"{name_of(obj)} (default)" if is_default_class(obj) else name_of(obj),
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", ""),
        obj.get("volumeBindingMode", ""),
        bool(obj.get("allowVolumeExpansion")),
        age_cell(obj, now),
    ]


STORAGE_CLASS = Printer(
    ("Name:name", "Provisioner", "ReclaimPolicy", "VolumeBindingMode", "AllowVolumeExpansion", "Age"), _storage_class
)


def _quota(obj: Obj, now: float) -> list[Any]:
    hard, used = status_of(obj).get("hard") or {}, status_of(obj).get("used") or {}
    texts: dict[bool, list[str]] = {False: [], True: []}
    for name in sorted(hard):
        texts[name.startswith("limits")].append(f"{name}: {used.get(name, '0')}/{hard[name]}")
    return [name_of(obj), ", ".join(texts[False]), ", ".join(texts[True]), age_cell(obj, now)]


QUOTA = Printer(("Name:name", "Request", "Limit", "Age"), _quota)


def _role_binding(obj: Obj, now: float) -> list[Any]:
    reference = obj.get("roleRef") or {}
    by_kind: dict[str, list[str]] = {"User": [], "Group": [], "ServiceAccount": []}
    for subject in obj.get("subjects") or ():
        name = subject.get("name", "")
        if subject.get("kind") == "ServiceAccount":
            name = f"{subject.get('namespace', '')}/{name}"
        by_kind.setdefault(subject.get("kind", ""), []).append(name)
    subjects = [", ".join(by_kind[kind]) for kind in ("User", "Group", "ServiceAccount")]
    return [name_of(obj), f"{reference.get('kind', '')}/{reference.get('name', '')}", age_cell(obj, now), *subjects]


ROLE_BINDING = Printer(("Name:name", "Role", "Age", "Users*", "Groups*", "ServiceAccounts*"), _role_binding)
LEASE = Printer(
    ("Name:name", "Holder", "Age"),
    lambda obj, now: [name_of(obj), spec_of(obj).get("holderIdentity") or "", age_cell(obj, now)],
)
PRIORITY_CLASS = Printer(
    ("Name:name", "Value", "Global-Default", "Age", "PreemptionPolicy"),
    lambda obj, now: [
        name_of(obj),
        obj.get("value", 0),
        bool(obj.get("globalDefault")),
        age_cell(obj, now),
        obj.get("preemptionPolicy", ""),
    ],
)
