"""The rules for a pod's volumes, and for volumes and claims of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.objects import names, quantity
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation.containers import check_field_path, check_local_path, check_resource_field
from orchestrator.objects.validation.fields import Problems
from orchestrator.objects.validation.selectors import check_label_selector

_HOST_PATH_TYPES = (
    "", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket",
)  # fmt: skip
ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")
_DOWNWARD_FIELDS = (
    "metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
)  # fmt: skip
_NOT_SOURCES = frozenset((
    "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions",
    "volumeMode", "nodeAffinity", "volumeAttributesClassName",
))  # fmt: skip


def check_volumes(problems: Problems, volumes: Sequence[Mapping[str, Any]], path: str) -> dict[str, Mapping[str, Any]]:
    """Returns the volumes by name."""
    known: dict[str, Mapping[str, Any]] = {}
    for at, volume in enumerate(volumes):
        where = f"{path}[{at}]"
        name = volume.get("name") or ""
        if not name:
            problems.required(f"{where}.name")
        else:
            problems.each(f"{where}.name", name, names.dns_label_problems(name))
            if name in known:
                problems.duplicate(f"{where}.name", name)
        known[name] = volume
        _check_source(problems, volume, where)
    return known


def _check_source(problems: Problems, volume: Mapping[str, Any], path: str) -> None:
    given = [key for key in volume if key != "name"]
    if not given:
        problems.required(path, "must specify a volume type")
    for extra in given[1:]:
        problems.forbidden(f"{path}.{extra}", "may not specify more than 1 volume type")
    if given and (check := _SOURCES.get(given[0])):
        check(problems, volume[given[0]], f"{path}.{given[0]}")


def _check_secret(problems: Problems, source: Mapping[str, Any], path: str) -> None:
    if not source.get("secretName"):
        problems.required(f"{path}.secretName")
    _check_files(problems, source, path)


def _check_config_map(problems: Problems, source: Mapping[str, Any], path: str) -> None:
    if not source.get("name"):
        problems.required(f"{path}.name")
    _check_files(problems, source, path)


def _check_mode(problems: Problems, mode: Any, path: str) -> None:
    if mode is not None and not 0 <= mode <= 0o777:
        problems.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")


def _check_files(problems: Problems, source: Mapping[str, Any], path: str) -> None:
    _check_mode(problems, source.get("defaultMode"), f"{path}.defaultMode")
    for at, item in enumerate(source.get("items") or ()):
        where = f"{path}.items[{at}]"
        if not item.get("key"):
            problems.required(f"{where}.key")
        _check_file_path(problems, item.get("path") or "", f"{where}.path")
        _check_mode(problems, item.get("mode"), f"{where}.mode")


def _check_file_path(problems: Problems, value: str, path: str) -> None:
    if not value:
        problems.required(path)
        return
    check_local_path(problems, value, path)
    if value.startswith("..") and not value.startswith("../"):
        problems.invalid(path, value, "must not start with '..'")


def _check_host_path(problems: Problems, source: Mapping[str, Any], path: str) -> None:
    target = source.get("path") or ""
    if not target:
        problems.required(f"{path}.path")
    elif ".." in target.split("/"):
        problems.invalid(f"{path}.path", target, "must not contain '..'")
    if source.get("type", "") not in _HOST_PATH_TYPES:
        problems.not_supported(f"{path}.type", source["type"], _HOST_PATH_TYPES)


def _check_claim_source(problems: Problems, source: Mapping[str, Any], path: str) -> None:
    if not source.get("claimName"):
        problems.required(f"{path}.claimName")


def _check_empty_dir(problems: Problems, source: Mapping[str, Any], path: str) -> None:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse_quantity(limit).nanos < 0:
        problems.forbidden(f"{path}.sizeLimit", "SizeLimit field must be a valid resource quantity")
    medium = source.get("medium") or ""
    if medium not in ("", "Memory", "HugePages") and not medium.startswith("HugePages-"):
        problems.not_supported(f"{path}.medium", medium, ("", "HugePages", "Memory"))


def _check_downward(problems: Problems, source: Mapping[str, Any], path: str) -> None:
    _check_mode(problems, source.get("defaultMode"), f"{path}.defaultMode")
    for at, item in enumerate(source.get("items") or ()):
        where = f"{path}.items[{at}]"
        _check_file_path(problems, item.get("path") or "", f"{where}.path")
        if field := item.get("fieldRef"):
            if item.get("resourceFieldRef"):
                problems.invalid(where, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
            check_field_path(problems, field, f"{where}.fieldRef", _DOWNWARD_FIELDS)
        elif field := item.get("resourceFieldRef"):
            check_resource_field(problems, field, f"{where}.resourceFieldRef")
            if not field.get("containerName"):
                problems.required(f"{where}.resourceFieldRef.containerName")
        else:
            problems.required(where, "one of fieldRef and resourceFieldRef is required")


def _check_projected(problems: Problems, source: Mapping[str, Any], path: str) -> None:
    _check_mode(problems, source.get("defaultMode"), f"{path}.defaultMode")
    for at, part in enumerate(source.get("sources") or ()):
        where = f"{path}.sources[{at}]"
        given = list(part)
        if len(given) > 1:
            problems.forbidden(where, "may not specify more than 1 volume type per source")
        for kind in ("secret", "configMap"):
            if kind in part:
                if not part[kind].get("name"):
                    problems.required(f"{where}.{kind}.name")
                _check_files(problems, part[kind], f"{where}.{kind}")
        if "downwardAPI" in part:
            _check_downward(problems, part["downwardAPI"], f"{where}.downwardAPI")
        if "serviceAccountToken" in part:
            token = part["serviceAccountToken"]
            if not token.get("path"):
                problems.required(f"{where}.serviceAccountToken.path")
            if token.get("expirationSeconds", 600) < 600:
                problems.invalid(
                    f"{where}.serviceAccountToken.expirationSeconds",
                    token["expirationSeconds"],
                    "may not specify a duration less than 10 minutes",
                )


_SOURCES: dict[str, Callable[[Problems, Mapping[str, Any], str], None]] = {
    "secret": _check_secret,
    "configMap": _check_config_map,
    "hostPath": _check_host_path,
    "persistentVolumeClaim": _check_claim_source,
    "emptyDir": _check_empty_dir,
    "downwardAPI": _check_downward,
    "projected": _check_projected,
}


def check_volume(problems: Problems, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    if not spec.get("accessModes"):
        problems.required("spec.accessModes")
    _check_modes(problems, spec.get("accessModes") or (), "spec.accessModes")
    capacity = spec.get("capacity") or {}
    if not capacity:
        problems.required("spec.capacity")
    elif "storage" not in capacity or len(capacity) > 1:
        problems.not_supported("spec.capacity", next(iter(capacity)), ("storage",))
    elif quantity.parse_quantity(capacity["storage"]).nanos <= 0:
        problems.invalid("spec.capacity[storage]", capacity["storage"], "must be greater than zero")
    problems.one_of("spec.persistentVolumeReclaimPolicy", spec.get("persistentVolumeReclaimPolicy"), RECLAIM_POLICIES)
    problems.one_of("spec.volumeMode", spec.get("volumeMode"), VOLUME_MODES)
    sources = [key for key in spec if key not in _NOT_SOURCES]
    if not sources:
        problems.required("spec", "must specify a volume type")
    for extra in sources[1:]:
        problems.forbidden(f"spec.{extra}", "may not specify more than 1 volume type")
    if "hostPath" in spec:
        _check_host_path(problems, spec["hostPath"], "spec.hostPath")
    if "local" in spec:
        if not spec["local"].get("path"):
            problems.required("spec.local.path")
        if not (spec.get("nodeAffinity") or {}).get("required"):
            problems.required("spec.nodeAffinity", "Local volume requires node affinity")


def check_volume_update(problems: Problems, new: Obj, old: Obj) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    sources = {key for key in (*spec, *before) if key not in _NOT_SOURCES}
    if any(spec.get(key) != before.get(key) for key in sources):
        problems.forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation")
    problems.unchanged("spec.volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    if before.get("nodeAffinity"):
        problems.unchanged("spec.nodeAffinity", spec.get("nodeAffinity"), before["nodeAffinity"])


def _check_modes(problems: Problems, modes: Sequence[str], path: str) -> None:
    for mode in modes:
        if mode not in ACCESS_MODES:
            problems.not_supported(path, mode, ACCESS_MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        problems.forbidden(path, "may not use ReadWriteOncePod with other access modes")


def check_claim(problems: Problems, obj: Obj) -> None:
    check_claim_spec(problems, obj.get("spec") or {}, "spec")


def check_claim_spec(problems: Problems, spec: Mapping[str, Any], path: str) -> None:
    if not spec.get("accessModes"):
        problems.required(f"{path}.accessModes", "at least 1 access mode is required")
    _check_modes(problems, spec.get("accessModes") or (), f"{path}.accessModes")
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    if storage is None:
        problems.required(f"{path}.resources[storage]")
    elif quantity.parse_quantity(storage).nanos <= 0:
        problems.invalid(f"{path}.resources[storage]", storage, "must be greater than zero")
    if (selector := spec.get("selector")) is not None:
        check_label_selector(problems, selector, f"{path}.selector")
    if name := spec.get("storageClassName"):
        problems.each(f"{path}.storageClassName", name, names.dns_subdomain_problems(name))
    problems.one_of(f"{path}.volumeMode", spec.get("volumeMode"), VOLUME_MODES)


def check_claim_update(problems: Problems, new: Obj, old: Obj) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    open_fields = ("resources", "volumeAttributesClassName", *(() if before.get("volumeName") else ("volumeName",)))
    if before.get("storageClassName") is None:
        open_fields = (*open_fields, "storageClassName")
    fixed, kept = ({key: value for key, value in s.items() if key not in open_fields} for s in (spec, before))
    if fixed != kept:
        problems.forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims",
        )
    asked, had = (((s.get("resources") or {}).get("requests") or {}).get("storage") for s in (spec, before))
    if asked is not None and had is not None and quantity.compare(asked, had) < 0:
        problems.forbidden("spec.resources.requests.storage", "field can not be less than status.capacity")
