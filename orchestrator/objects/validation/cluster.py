"""The rules for configuration, access and cluster-wide kinds."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson

from orchestrator.objects import names, quantity
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation.fields import Problems
from orchestrator.objects.validation.network import check_cidr
from orchestrator.objects.validation.scheduling import check_taint

MAX_DATA_BYTES = 1024 * 1024
_TYPED_SECRETS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}
_IMMUTABLE_SET = "field is immutable when `immutable` is set"
_RBAC = "rbac.authorization.k8s.io"


def check_config_map(problems: Problems, obj: Obj) -> None:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    total = 0
    for field, values in (("data", data), ("binaryData", binary)):
        for key, value in values.items():
            problems.each(f"{field}[{key}]", key, names.config_key_problems(key))
            total += len(value)
    for key in data.keys() & binary.keys():
        problems.invalid(f"data[{key}]", key, "duplicate of key present in binaryData")
    if total > MAX_DATA_BYTES:
        problems.too_long("", MAX_DATA_BYTES)


def _check_frozen(problems: Problems, new: Obj, old: Obj, fields: tuple[str, ...]) -> None:
    if old.get("immutable"):
        if not new.get("immutable"):
            problems.forbidden("immutable", _IMMUTABLE_SET)
        for field in fields:
            if (new.get(field) or {}) != (old.get(field) or {}):
                problems.forbidden(field, _IMMUTABLE_SET)


def check_config_map_update(problems: Problems, new: Obj, old: Obj) -> None:
    _check_frozen(problems, new, old, ("data", "binaryData"))


def check_secret(problems: Problems, obj: Obj) -> None:
    data = obj.get("data") or {}
    total = 0
    for key, value in data.items():
        problems.each(f"data[{key}]", key, names.config_key_problems(key))
        total += len(value) * 3 // 4
    if total > MAX_DATA_BYTES:
        problems.too_long("data", MAX_DATA_BYTES)
    kind = obj.get("type")
    for key in _TYPED_SECRETS.get(kind or "", ()):
        if key not in data:
            problems.required(f"data[{key}]")
    if kind in ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson"):
        for key in _TYPED_SECRETS[kind]:
            if key in data:
                _check_json(problems, data[key], f"data[{key}]")
    elif kind == "kubernetes.io/basic-auth" and not {"username", "password"} & data.keys():
        problems.required("data[username]")
        problems.required("data[password]")
    elif kind == "kubernetes.io/service-account-token":
        name = (obj["metadata"].get("annotations") or {}).get("kubernetes.io/service-account.name")
        if not name:
            problems.required("metadata.annotations[kubernetes.io/service-account.name]")


def _check_json(problems: Problems, value: str, path: str) -> None:
    try:
        orjson.loads(base64.b64decode(value))
    except (binascii.Error, orjson.JSONDecodeError):
        problems.invalid(path, "<secret contents redacted>", "invalid character in the JSON document")


def check_secret_update(problems: Problems, new: Obj, old: Obj) -> None:
    problems.unchanged("type", new.get("type"), old.get("type"))
    _check_frozen(problems, new, old, ("data",))


def check_namespace_update(problems: Problems, new: Obj, old: Obj) -> None:
    for at, finalizer in enumerate((new.get("spec") or {}).get("finalizers") or ()):
        if "/" not in finalizer and finalizer != "kubernetes":
            problems.invalid(
                f"spec.finalizers[{at}]",
                finalizer,
                "name is neither a standard finalizer name nor is it fully qualified",
            )


def check_node(problems: Problems, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    seen: set[tuple[Any, Any]] = set()
    for at, taint in enumerate(spec.get("taints") or ()):
        check_taint(problems, taint, f"spec.taints[{at}]")
        key = (taint.get("key"), taint.get("effect"))
        if key in seen:
            problems.duplicate(f"spec.taints[{at}]", dict(taint))
        seen.add(key)
    for at, block in enumerate(spec.get("podCIDRs") or ()):
        check_cidr(problems, block, f"spec.podCIDRs[{at}]")


def check_node_update(problems: Problems, new: Obj, old: Obj) -> None:
    check_node(problems, new)
    for field in ("podCIDRs", "providerID"):
        had, has = (old.get("spec") or {}).get(field), (new.get("spec") or {}).get(field)
        if had and has != had:
            problems.forbidden(f"spec.{field}", "node updates may not change " + field + ' except from "" to valid')


def check_event(problems: Problems, obj: Obj) -> None:
    involved = obj.get("involvedObject") or obj.get("regarding") or {}
    namespace, about = obj["metadata"].get("namespace") or "", involved.get("namespace") or ""
    field = "regarding" if "regarding" in obj else "involvedObject"
    elsewhere = about != namespace if about else namespace not in ("default", "kube-system")
    if elsewhere:
        problems.invalid(f"{field}.namespace", about, "does not match event.namespace")
    if obj["apiVersion"] == "events.k8s.io/v1":
        for name in ("reportingController", "reportingInstance", "action", "reason"):
            if not obj.get(name):
                problems.required(name)
        if not obj.get("eventTime"):
            problems.required("eventTime")
        if obj.get("type") not in ("Normal", "Warning"):
            problems.invalid("type", obj.get("type") or "", "has invalid value: ")


_LIMIT_TYPES = ("Container", "PersistentVolumeClaim", "Pod")


def check_limit_range(problems: Problems, obj: Obj) -> None:
    seen: set[str] = set()
    for at, item in enumerate((obj.get("spec") or {}).get("limits") or ()):
        path = f"spec.limits[{at}]"
        kind = item.get("type") or ""
        problems.one_of(f"{path}.type", kind, _LIMIT_TYPES)
        if kind in seen:
            problems.duplicate(f"{path}.type", kind)
        seen.add(kind)
        if kind == "Pod":
            for field in ("default", "defaultRequest"):
                if item.get(field):
                    problems.forbidden(f"{path}.{field}", "may not be specified when `type` is 'Pod'")
        _check_limits_order(problems, item, path)


_ORDER = (("min", "max"), ("min", "default"), ("min", "defaultRequest"), ("default", "max"), ("defaultRequest", "max"),
          ("defaultRequest", "default"))  # fmt: skip
_ORDER_WORDS = {"defaultRequest": "default request", "default": "default", "min": "min", "max": "max"}


def _check_limits_order(problems: Problems, item: Mapping[str, Any], path: str) -> None:
    for low, high in _ORDER:
        lows, highs = item.get(low) or {}, item.get(high) or {}
        for name in sorted(lows.keys() & highs.keys()):
            if quantity.compare(lows[name], highs[name]) > 0:
                problems.invalid(
                    f"{path}.{low}[{name}]",
                    lows[name],
                    f"{_ORDER_WORDS[low]} value {lows[name]} is greater than {_ORDER_WORDS[high]} value {highs[name]}",
                )


def check_role(problems: Problems, obj: Obj) -> None:
    for at, rule in enumerate(obj.get("rules") or ()):
        path = f"rules[{at}]"
        if not rule.get("verbs"):
            problems.required(f"{path}.verbs", "verbs must contain at least one value")
        if rule.get("nonResourceURLs"):
            if obj["kind"] == "Role":
                problems.invalid(
                    f"{path}.nonResourceURLs",
                    rule["nonResourceURLs"],
                    "namespaced rules cannot apply to non-resource URLs",
                )
            if rule.get("apiGroups") or rule.get("resources") or rule.get("resourceNames"):
                problems.invalid(
                    f"{path}.nonResourceURLs",
                    rule["nonResourceURLs"],
                    "rules cannot apply to both regular resources and non-resource URLs",
                )
            continue
        if not rule.get("apiGroups"):
            problems.required(f"{path}.apiGroups", "resource rules must supply at least one api group")
        if not rule.get("resources"):
            problems.required(f"{path}.resources", "resource rules must supply at least one resource")


def check_role_binding(problems: Problems, obj: Obj) -> None:
    reference = obj.get("roleRef") or {}
    if reference.get("apiGroup") != _RBAC:
        problems.not_supported("roleRef.apiGroup", reference.get("apiGroup"), (_RBAC,))
    kinds = ("ClusterRole", "Role") if obj["kind"] == "RoleBinding" else ("ClusterRole",)
    if reference.get("kind") not in kinds:
        problems.not_supported("roleRef.kind", reference.get("kind"), kinds)
    if not reference.get("name"):
        problems.required("roleRef.name")
    else:
        problems.each("roleRef.name", reference["name"], names.path_segment_problems(reference["name"]))
    for at, subject in enumerate(obj.get("subjects") or ()):
        _check_subject(problems, subject, f"subjects[{at}]", obj["kind"])


def _check_subject(problems: Problems, subject: Mapping[str, Any], path: str, owner: str) -> None:
    if not subject.get("name"):
        problems.required(f"{path}.name")
    group = subject.get("apiGroup") or ""
    match subject.get("kind"):
        case "ServiceAccount":
            if name := subject.get("name"):
                problems.each(f"{path}.name", name, names.dns_subdomain_problems(name))
            if group:
                problems.not_supported(f"{path}.apiGroup", group, ("",))
            if not subject.get("namespace") and owner == "ClusterRoleBinding":
                problems.required(f"{path}.namespace")
        case "User" | "Group":
            if group != _RBAC:
                problems.not_supported(f"{path}.apiGroup", group, (_RBAC,))
        case kind:
            problems.not_supported(f"{path}.kind", kind or "", ("Group", "ServiceAccount", "User"))


def check_role_binding_update(problems: Problems, new: Obj, old: Obj) -> None:
    problems.unchanged("roleRef", new.get("roleRef"), old.get("roleRef"), "cannot change roleRef")


def check_lease(problems: Problems, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        problems.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0")
    if transitions is not None and transitions < 0:
        problems.invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0")


HIGHEST_USER_PRIORITY = 1_000_000_000
_SYSTEM_CLASSES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def check_priority_class(problems: Problems, obj: Obj) -> None:
    name, value = obj["metadata"].get("name") or "", obj.get("value", 0)
    if name.startswith("system-"):
        if _SYSTEM_CLASSES.get(name) != value:
            problems.forbidden(
                "metadata.name",
                "priority class names with 'system-' prefix are reserved for system use only. error: "
                f"{name} is not a known system priority class",
            )
    elif value > HIGHEST_USER_PRIORITY:
        problems.forbidden("value", f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}")
    policy = obj.get("preemptionPolicy")
    if policy not in (None, "Never", "PreemptLowerPriority"):
        problems.not_supported("preemptionPolicy", policy, ("Never", "PreemptLowerPriority"))


def check_priority_class_update(problems: Problems, new: Obj, old: Obj) -> None:
    if new.get("value", 0) != old.get("value", 0):
        problems.forbidden("value", "may not be changed in an update.")
    problems.unchanged("preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"))


def check_storage_class(problems: Problems, obj: Obj) -> None:
    if not obj.get("provisioner"):
        problems.required("provisioner")
    else:
        problems.each("provisioner", obj["provisioner"], names.qualified_name_problems(obj["provisioner"].lower()))
    problems.one_of("reclaimPolicy", obj.get("reclaimPolicy"), ("Delete", "Retain"))
    problems.one_of("volumeBindingMode", obj.get("volumeBindingMode"), ("Immediate", "WaitForFirstConsumer"))


def check_storage_class_update(problems: Problems, new: Obj, old: Obj) -> None:
    if (new.get("parameters") or {}) != (old.get("parameters") or {}):
        problems.forbidden("parameters", "updates to parameters are forbidden.")
    if new.get("provisioner") != old.get("provisioner"):
        problems.forbidden("provisioner", "updates to provisioner are forbidden.")
    if new.get("reclaimPolicy") != old.get("reclaimPolicy"):
        problems.forbidden("reclaimPolicy", "updates to reclaimPolicy are forbidden.")
    problems.unchanged("volumeBindingMode", new.get("volumeBindingMode"), old.get("volumeBindingMode"))


def check_controller_revision(problems: Problems, obj: Obj) -> None:
    problems.not_negative("revision", obj.get("revision"))
    if obj.get("data") is None:
        problems.required("data", "data is mandatory")


def check_controller_revision_update(problems: Problems, new: Obj, old: Obj) -> None:
    problems.unchanged("data", new.get("data"), old.get("data"))
