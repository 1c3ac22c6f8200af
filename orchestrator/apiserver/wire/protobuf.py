"""Reads bodies that Go clients send as `application/vnd.kubernetes.protobuf`; answers are always JSON, which they take.

The format is `k8s\\0` and a runtime.Unknown message: the type, and the object as its own message. `fields.json` (see
`extract.py`) gives names to field numbers; the object's schema says which messages are embedded without a name of
their own, as Go's inline structs are.

Go writes plain fields even when they are zero, and fields behind a pointer only when they are set; on the wire both
look alike. Zeros are therefore dropped, as `omitempty` does, but for the fields that are pointers in Go, or that Go's
JSON has even when they are zero.
"""

from __future__ import annotations

import base64
import datetime
import functools
import struct
from collections.abc import Iterator
from importlib import resources
from typing import Any

import orjson

from orchestrator import errors
from orchestrator.objects.meta import Obj
from orchestrator.objects.schema import Node, definition, schema_of_kind

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
_EPOCH = datetime.datetime(1970, 1, 1)
_MAGIC = b"k8s\x00"
_META = "k8s.io.apimachinery.pkg.apis.meta.v1"
_DEFINITIONS = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions"
_SCHEMA = f"{_DEFINITIONS}.v1.JSONSchemaProps"
_SCHEMA_OR_BOOL, _SCHEMA_OR_LIST, _SCHEMA_OR_STRINGS = (
    f"{_SCHEMA}OrBool",
    f"{_SCHEMA}OrArray",
    f"{_SCHEMA}OrStringArray",
)
_POINTERS = frozenset((
    "activeDeadlineSeconds", "allocateLoadBalancerNodePorts", "allowPrivilegeEscalation", "allowVolumeExpansion",
    "appProtocol", "automountServiceAccountToken", "averageUtilization", "backoffLimit", "backoffLimitPerIndex",
    "blockOwnerDeletion", "completions", "controller", "defaultMode", "deletionGracePeriodSeconds",
    "enableServiceLinks", "endPort", "expirationSeconds", "failedJobsHistoryLimit", "fsGroup", "gracePeriodSeconds",
    "hostProcess", "hostUsers", "immutable", "leaseDurationSeconds", "leaseTransitions", "limit", "manualSelector",
    "maxFailedIndexes", "maxItems", "maxLength", "maxProperties", "minDomains", "minItems", "minLength",
    "minProperties", "minReadySeconds", "minReplicas", "mode", "optional", "orphanDependents",
    "parallelism", "partition", "periodSeconds", "preferred", "priority", "privileged", "progressDeadlineSeconds",
    "readOnlyRootFilesystem", "ready", "replicas", "revisionHistoryLimit", "runAsGroup", "runAsNonRoot", "runAsUser",
    "selectPolicy", "served", "serving", "setHostnameAsFQDN", "shareProcessNamespace", "stabilizationWindowSeconds",
    "started", "startingDeadlineSeconds", "storage", "storageClassName", "succeededCount", "successfulJobsHistoryLimit",
    "suspend",
    "targetCPUUtilizationPercentage", "terminating", "terminationGracePeriodSeconds", "timeoutSeconds",
    "tolerationSeconds", "ttlSecondsAfterFinished", "value",
))  # fmt: skip


@functools.cache
def _messages() -> dict[str, dict[str, list[Any]]]:
    content = resources.files(__package__).joinpath("fields.json").read_bytes()
    return orjson.loads(content)  # type: ignore[no-any-return]


def fields_of(data: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of a message's fields: an int, or bytes. Raises: ValueError, IndexError when it is broken."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError("a field is longer than its message")
            yield number, data[at : at + size]
            at += size
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            yield number, struct.unpack_from("<d" if kind == 1 else "<f", data, at)[0]
            at += size
        else:
            raise ValueError(f"wire type {kind} is not in use")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than 64 bits")


def decode_protobuf(body: bytes) -> Obj:
    """The object in JSON's form. Raises: BadRequest, UnsupportedMediaType for kinds without a known message."""
    if not body.startswith(_MAGIC):
        raise errors.BadRequest("the body does not begin as a Kubernetes protobuf message does")
    try:
        envelope = dict(fields_of(body[len(_MAGIC) :]))
        head = dict(fields_of(envelope.get(1, b"")))
        api_version, kind = head.get(1, b"").decode(), head.get(2, b"").decode()
        name = message_name(api_version, kind)
        if name not in _messages():
            raise errors.UnsupportedMediaType(f"{kind} of {api_version} cannot be sent as protobuf; send JSON")
        content = _object(name, envelope.get(2, b""), _schema(api_version, kind))
    except (ValueError, IndexError, KeyError, TypeError, RecursionError, struct.error) as exc:
        raise errors.BadRequest(f"the protobuf body cannot be read: {exc}") from exc
    return {"apiVersion": api_version, "kind": kind, **content}


def _schema(api_version: str, kind: str) -> Node | None:
    try:
        return schema_of_kind(api_version, kind)
    except (KeyError, errors.ApiError):
        return None


def message_name(api_version: str, kind: str) -> str:
    """`apps/v1`, `Deployment` → `k8s.io.api.apps.v1.Deployment`; options belong to apimachinery."""
    if kind in ("DeleteOptions", "Status"):
        return f"{_META}.{kind}"
    group, _, version = api_version.rpartition("/")
    if group == "apiextensions.k8s.io":
        return f"{_DEFINITIONS}.{version}.{kind}"
    group = group.removesuffix(".k8s.io").split(".")[0] or "core"
    return f"k8s.io.api.{group}.{version}.{kind}"


_LIST_TYPES = (".ExtraValue", ".Verbs")  # messages whose JSON is the list that they wrap
_SAID_BY_BEING_THERE = (".CustomResourceSubresourceStatus",)  # messages without fields, behind a pointer in Go


def _object(name: str, data: bytes, node: Node | None) -> dict[str, Any]:
    numbers = _messages()[name]
    required = node.required if node is not None else frozenset()
    result: dict[str, Any] = {}
    for number, value in fields_of(data):
        row = numbers.get(str(number))
        if row is None:
            continue
        field, kind, repeated = row[:3]
        if kind == "m":
            _put_message(result, row, value, node)
        elif (scalar := _scalar(field, kind, value, kept=repeated or field in required)) is not None:
            if repeated:
                result.setdefault(field, []).append(scalar)
            else:
                result[field] = scalar
    return result


def _put_message(result: dict[str, Any], row: list[Any], value: bytes, node: Node | None) -> None:
    field, _, repeated, target = row
    child = node.fields.get(field) if node is not None and node.fields else None
    inline = node is not None and bool(node.fields) and child is None and not repeated
    if target.endswith("Entry") and repeated and target.count(".") > 4 and _is_map(target):
        key, item = _entry(target, value, child.items if child is not None else None)
        result.setdefault(field, {})[key] = item
        return
    decoded = _special(target, value)
    if decoded is _NOT_SPECIAL:
        decoded = _object(target, value, node if inline else (child.items if repeated and child else child))
        if target.endswith(_LIST_TYPES):
            decoded = decoded.get("items", [])
    if repeated:
        result.setdefault(field, []).append(decoded)
    elif inline and isinstance(decoded, dict):
        result.update(decoded)
    elif decoded is not None and decoded != {}:
        result[field] = decoded
    elif (
        decoded == {}
        and child is not None
        and (field not in ("metadata", "status", "spec") or target.endswith(_SAID_BY_BEING_THERE))
    ):
        result[field] = decoded


def _is_map(target: str) -> bool:
    fields = _messages().get(target, {})
    return {row[0] for row in fields.values()} == {"key", "value"}


def _entry(target: str, data: bytes, node: Node | None) -> tuple[str, Any]:
    row = _messages()[target]["2"]
    parts = dict(fields_of(data))
    key, value = parts.get(1, b"").decode(), parts.get(2)
    if row[1] == "m":
        decoded = _special(row[3], value or b"")
        if decoded is _NOT_SPECIAL:
            decoded = _object(row[3], value or b"", node)
            if row[3].endswith(_LIST_TYPES):
                decoded = decoded.get("items", [])
        return key, decoded
    if row[1] == "y":
        return key, base64.b64encode(value or b"").decode()
    return key, (value or b"").decode() if row[1] == "s" else value


def _scalar(field: str, kind: str, value: Any, *, kept: bool) -> Any:
    """The value in JSON's form; None for a zero that `omitempty` would leave out, which required fields don't have."""
    match kind:
        case "s":
            text = value.decode()
            return text if text or kept or field == "storageClassName" else None
        case "y":
            return base64.b64encode(value).decode() if value or kept else None
        case "b":
            return bool(value) if value or kept or field in _POINTERS else None
        case "i":
            number = _signed(value)
            return number if number or kept or field in _POINTERS else None
    return int(value) if isinstance(value, float) and value.is_integer() else value


_NOT_SPECIAL = object()


def _moment(data: bytes, precision: str) -> str | None:
    """Go's zero time, in the year 1, is written as no seconds since 1970 and means none."""
    parts = dict(fields_of(data))
    seconds, nanoseconds = _signed(parts.get(1, 0)), parts.get(2, 0)
    if not seconds and not nanoseconds:
        return None
    moment = _EPOCH + datetime.timedelta(seconds=seconds, microseconds=nanoseconds // 1000)
    return moment.isoformat(timespec=precision) + "Z"


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _special(target: str, data: bytes) -> Any:
    """The types whose JSON is not an object of their fields."""
    if target in (_SCHEMA_OR_BOOL, _SCHEMA_OR_LIST, _SCHEMA_OR_STRINGS):
        return _schema_or(target, data)
    match target.rpartition(".")[2]:
        case "Time" | "MicroTime" if target.startswith(_META):
            return _moment(data, "microseconds" if target.endswith("MicroTime") else "seconds")
        case "Quantity":
            return dict(fields_of(data)).get(1, b"0").decode() or "0"
        case "IntOrString":
            parts = dict(fields_of(data))
            if parts.get(1):
                return parts.get(3, b"").decode()
            return _signed(parts.get(2, 0))
        case "RawExtension" | "FieldsV1" | "JSON":
            raw = dict(fields_of(data)).get(1)
            return orjson.loads(raw) if raw else None
    return _NOT_SPECIAL


def _schema_or(target: str, data: bytes) -> Any:
    """Where a JSON schema may have another schema or something simpler."""
    parts = list(fields_of(data))
    first, second = ([value for number, value in parts if number == wanted] for wanted in (1, 2))
    if target == _SCHEMA_OR_BOOL:
        return _json_schema(second[-1]) if second else bool(first and first[-1])
    if second:
        return [_json_schema(each) if target == _SCHEMA_OR_LIST else each.decode() for each in second]
    return _json_schema(first[-1] if first else b"")


def _json_schema(data: bytes) -> dict[str, Any]:
    return _object(
        _SCHEMA, data, definition("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")
    )
