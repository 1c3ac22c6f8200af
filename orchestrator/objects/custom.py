"""What a CustomResourceDefinition says about its resources, made ready for use. `crds.py` reads definitions into it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.objects.meta import clone
from orchestrator.objects.schema import Node


@dataclass(frozen=True, slots=True)
class CustomType:
    """One version of a custom resource."""

    node: Node
    schema: Mapping[str, Any]
    """spec.versions[].schema.openAPIV3Schema; empty when everything is allowed."""
    preserve_unknown: bool = False
    selectable_fields: tuple[str, ...] = ()
    columns: tuple[Mapping[str, Any], ...] = ()
    status: bool = False
    has_rules: bool = False
    """Whether the schema has `x-kubernetes-validations` anywhere."""
    has_defaults: bool = False
    """Whether the schema fills anything in; what is stored is then completed when it is read, too."""
    deprecation: str = ""
    """What its users are warned of; empty for a version that stays."""
    several: bool = False
    """Whether objects may be stored in another version than this one."""
    webhook: Mapping[str, Any] | None = None
    """spec.conversion.webhook, where versions differ in more than their names."""
    scale: Mapping[str, str] = field(default_factory=dict)
    """specReplicasPath, statusReplicasPath and labelSelectorPath; empty without a scale subresource."""


def prune(custom: CustomType | None, value: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """`value` without the fields the schema does not name, and the paths of those dropped."""
    dropped: list[str] = []
    if custom is None or custom.preserve_unknown:
        return clone(value), dropped
    return _prune(custom.schema, value, "", dropped), dropped


def _prune(schema: Mapping[str, Any], value: Any, path: str, dropped: list[str]) -> Any:
    if schema.get("x-kubernetes-preserve-unknown-fields") and "properties" not in schema:
        return value
    if isinstance(value, list):
        items = schema.get("items")
        return [_prune(items, item, f"{path}[{at}]", dropped) for at, item in enumerate(value)] if items else value
    if not isinstance(value, dict):
        return value
    properties = schema.get("properties") or {}
    values = schema.get("additionalProperties")
    embedded = ("apiVersion", "kind", "metadata") if schema.get("x-kubernetes-embedded-resource") else ()
    result = {}
    for key, item in value.items():
        below = f"{path}.{key}" if path else key
        if key in properties:
            result[key] = _prune(properties[key], item, below, dropped)
        elif isinstance(values, Mapping):
            result[key] = _prune(values, item, below, dropped)
        elif values is True or key in embedded or schema.get("x-kubernetes-preserve-unknown-fields"):
            result[key] = item
        else:
            dropped.append(below)
    return result


def mentions(schema: Any, keyword: str) -> bool:
    """Whether the schema, or one below it, uses `keyword`."""
    if not isinstance(schema, Mapping):
        return False
    below = (*(schema.get("properties") or {}).values(), schema.get("items"), schema.get("additionalProperties"))
    return keyword in schema or any(mentions(part, keyword) for part in below)


def apply_defaults(custom: CustomType, obj: dict[str, Any]) -> None:
    """Fills in, in place, the `default`s of the schema."""
    for key, schema in (custom.schema.get("properties") or {}).items():
        if key in ("apiVersion", "kind", "metadata"):
            continue
        _default_field(obj, key, schema)


def _default_field(parent: dict[str, Any], key: str, schema: Mapping[str, Any]) -> None:
    value = parent.get(key)
    if "default" in schema and (key not in parent or (value is None and not schema.get("nullable"))):
        value = parent[key] = clone(schema["default"])
    _default_value(value, schema)


def _default_value(value: Any, schema: Mapping[str, Any]) -> None:
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for key, below in properties.items():
            _default_field(value, key, below)
        values = schema.get("additionalProperties")
        if isinstance(values, Mapping):
            for key, item in value.items():
                if key not in properties:
                    _default_value(item, values)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for item in value:
            _default_value(item, schema["items"])
