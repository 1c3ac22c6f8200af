"""The rules for metadata, the same for every kind but for what a name may look like.

Source: apimachinery pkg/api/validation/objectmeta.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from orchestrator.objects import names
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation.fields import Problems

MAX_ANNOTATIONS_BYTES = 256 * 1024
_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")
_NameCheck = Callable[[str], list[str]]
_NAME_CHECKS: dict[tuple[str, str], _NameCheck] = {
    ("", "Namespace"): names.dns_label_problems,
    ("", "Service"): names.dns_1035_label_problems,
    ("rbac.authorization.k8s.io", "Role"): names.path_segment_problems,
    ("rbac.authorization.k8s.io", "RoleBinding"): names.path_segment_problems,
    ("rbac.authorization.k8s.io", "ClusterRole"): names.path_segment_problems,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): names.path_segment_problems,
}


def check_create(problems: Problems, resource: Resource, obj: Obj) -> None:
    meta = obj["metadata"]
    name = meta.get("name") or ""
    generate = meta.get("generateName") or ""
    check_name = _NAME_CHECKS.get((resource.group, resource.kind), names.dns_subdomain_problems)
    if generate and not name:
        problems.each("metadata.generateName", generate, check_name(f"{generate.rstrip('-')}x"))
    if not name:
        if not generate:
            problems.required("metadata.name", "name or generateName is required")
    else:
        problems.each("metadata.name", name, check_name(name))
    _check_namespace(problems, resource, meta)
    _check_common(problems, resource, meta)


def check_update(problems: Problems, resource: Resource, new: Obj, old: Obj) -> None:
    meta, before = new["metadata"], old["metadata"]
    for field in ("name", "namespace", "uid", "creationTimestamp"):
        if meta.get(field) and meta.get(field) != before.get(field):
            problems.invalid(f"metadata.{field}", meta.get(field), "field is immutable")
    if before.get("deletionTimestamp"):
        added = sorted(set(meta.get("finalizers") or ()) - set(before.get("finalizers") or ()))
        if added:
            listed = ", ".join(f'"{name}"' for name in added)
            problems.forbidden(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, "
                f"found new finalizers []string{{{listed}}}",
            )
    _check_common(problems, resource, meta)


def _check_namespace(problems: Problems, resource: Resource, meta: dict[str, Any]) -> None:
    namespace = meta.get("namespace") or ""
    if not resource.namespaced:
        if namespace:
            problems.forbidden("metadata.namespace", "not allowed on this type")
    elif not namespace:
        problems.required("metadata.namespace")
    else:
        problems.each("metadata.namespace", namespace, names.dns_label_problems(namespace))


def _check_common(problems: Problems, resource: Resource, meta: dict[str, Any]) -> None:
    if labels := meta.get("labels"):
        check_labels(problems, labels, "metadata.labels")
    if annotations := meta.get("annotations"):
        check_annotations(problems, annotations, "metadata.annotations")
    if owners := meta.get("ownerReferences"):
        _check_owners(problems, owners)
    for finalizer in meta.get("finalizers") or ():
        bare = "/" not in finalizer and finalizer not in _STANDARD_FINALIZERS
        if bare and resource.custom is None and resource.kind != "CustomResourceDefinition":
            problems.invalid(
                "metadata.finalizers", finalizer, "name is neither a standard finalizer name nor is it fully qualified"
            )
        problems.each("metadata.finalizers", finalizer, names.qualified_name_problems(finalizer))


def check_labels(problems: Problems, labels: dict[str, str], path: str) -> None:
    for key, value in labels.items():
        problems.each(path, key, names.qualified_name_problems(key))
        problems.each(path, value, names.label_value_problems(value))


def check_annotations(problems: Problems, annotations: dict[str, str], path: str) -> None:
    size = 0
    for key, value in annotations.items():
        problems.each(path, key, names.qualified_name_problems(key.lower()))
        size += len(key) + len(value.encode())
    if size > MAX_ANNOTATIONS_BYTES:
        problems.too_long(path, MAX_ANNOTATIONS_BYTES)


def _check_owners(problems: Problems, owners: list[dict[str, Any]]) -> None:
    controllers = []
    for at, owner in enumerate(owners):
        path = f"metadata.ownerReferences[{at}]"
        if not re.fullmatch(r"([^/]+/)?[^/]+", owner.get("apiVersion") or ""):
            problems.invalid(f"{path}.apiVersion", owner.get("apiVersion", ""), "version must not be empty")
        for field in ("kind", "name", "uid"):
            if not owner.get(field):
                problems.invalid(f"{path}.{field}", "", f"{field} must not be empty")
        if owner.get("kind") == "Event" and owner.get("apiVersion") == "v1":
            problems.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner")
        if owner.get("controller"):
            controllers.append(f"{owner.get('kind')}/{owner.get('name')}")
    if len(controllers) > 1:
        problems.invalid(
            "metadata.ownerReferences",
            owners,
            f'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controllers[0]} and {controllers[1]}",
        )
