"""Kubernetes' own schemas, as trees of small nodes: which fields a kind has, of what type, and how they merge.

Read from the `kubernetes-validate` package, one small file per definition, when a kind is first used; descriptions
are not kept. `custom.py` makes the same trees from the schemas of custom resources.
"""

from __future__ import annotations

import importlib.util
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from orchestrator.objects.kinds import Resource

OBJECT, MAP, LIST, STRING, INTEGER, NUMBER, BOOLEAN, QUANTITY, INT_OR_STRING, BYTES, TIME, ANY = range(12)

_SCALARS = {"string": STRING, "integer": INTEGER, "number": NUMBER, "boolean": BOOLEAN}
_FORMATS = {"byte": BYTES, "date-time": TIME}
_DEFINITION_TYPES = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": QUANTITY,
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": INT_OR_STRING,
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": ANY,
    "io.k8s.apimachinery.pkg.runtime.RawExtension": ANY,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": ANY,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": ANY,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": ANY,
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": ANY,
}
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_KEY_DEFAULTS = {"protocol": "TCP"}
"""Defaults of fields that identify list items; the published schemas leave them out."""


class Node:
    """One field's type, and for lists and maps how values of it merge."""

    __slots__ = (
        "fields", "items", "key_defaults", "keys", "list_type", "atomic_map", "merge_key", "name", "required",
        "size", "strategies", "type",
    )  # fmt: skip

    def __init__(self, type_: int, name: str = "", size: str = "") -> None:
        self.type = type_
        self.name = name
        """The Go type's name, for messages; empty for unnamed types."""
        self.size = size
        """Format of integers: int32 or int64."""
        self.fields: dict[str, Node] = {}
        self.required: frozenset[str] = frozenset()
        self.items: Node | None = None
        """The values of a list or map."""
        self.list_type = "atomic"
        self.keys: tuple[str, ...] = ()
        self.key_defaults: dict[str, Any] = {}
        self.atomic_map = False
        self.merge_key = ""
        self.strategies: frozenset[str] = frozenset()

    def copy(self) -> Node:
        twin = Node(self.type, self.name, self.size)
        for slot in Node.__slots__:
            setattr(twin, slot, getattr(self, slot))
        return twin

    def child(self, key: str) -> Node:
        """The type of field `key`; ANY where nothing is known."""
        if self.type == OBJECT:
            return self.fields.get(key) or (self.items or ANYTHING)
        return self.items or ANYTHING if self.type == MAP else ANYTHING


ANYTHING = Node(ANY)
_PLAIN = {type_: Node(type_) for type_ in range(12)}
_PLAIN[ANY].atomic_map = True  # raw parts of published kinds have one owner; unknown parts of custom ones merge


def schema_of(resource: Resource) -> Node:
    """The tree of `resource`'s objects; a bare object with metadata for kinds that have no published schema."""
    if resource.custom is not None:
        return resource.custom.node
    return _built_in(resource.group, resource.version, resource.kind)


@lru_cache(maxsize=256)
def _built_in(group: str, version: str, kind: str) -> Node:
    try:
        return definition(definition_name(group, version, kind))
    except FileNotFoundError:
        node = Node(OBJECT, kind)
        node.fields = {"metadata": definition(META)}
        node.items = ANYTHING
        return node


def schema_of_kind(api_version: str, kind: str) -> Node:
    """The tree of a kind that is only sent, such as autoscaling/v1 Scale or policy/v1 Eviction."""
    group, _, version = api_version.rpartition("/")
    return _built_in(group, version, kind)


def definition_name(group: str, version: str, kind: str) -> str:
    """How Kubernetes' OpenAPI documents call a kind: `io.k8s.api.apps.v1.Deployment`."""
    if group == "apiextensions.k8s.io":
        return f"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.{version}.{kind}"
    if group == "meta.k8s.io":
        return f"io.k8s.apimachinery.pkg.apis.meta.{version}.{kind}"
    return f"io.k8s.api.{group.split('.')[0] or 'core'}.{version}.{kind}"


_definitions: dict[str, Node] = {}


def definition(name: str) -> Node:
    """The tree of a published definition. Raises: FileNotFoundError when there is none of that name."""
    node = _definitions.get(name)
    if node is None:
        if name in _DEFINITION_TYPES:
            node = _PLAIN[_DEFINITION_TYPES[name]]
        else:
            node = _compile_definition(name)
        _definitions[name] = node
    return node


def _compile_definition(name: str) -> Node:
    raw = raw_definition(name)
    if "properties" not in raw and _scalar_type(raw) != ANY:
        return _PLAIN[_scalar_type(raw)]
    node = Node(OBJECT if "properties" in raw else ANY, name.rsplit(".", 1)[-1])
    _definitions[name] = node
    node.atomic_map = raw.get("x-kubernetes-map-type") == "atomic"
    node.required = frozenset(raw.get("required") or ())
    for field, value in (raw.get("properties") or {}).items():
        node.fields[field] = _compile_field(value)
    return node


def _scalar_type(raw: dict[str, Any]) -> int:
    types = raw.get("type")
    name = types[0] if isinstance(types, list) else types
    if name == "string" and raw.get("format") in _FORMATS:
        return _FORMATS[raw["format"]]
    return _SCALARS.get(str(name), ANY)


def _compile_field(raw: dict[str, Any]) -> Node:
    if reference := raw.get("$ref"):
        node = definition(str(reference).rsplit("/", 1)[-1])
        if raw.get("x-kubernetes-patch-strategy") or raw.get("x-kubernetes-map-type"):
            node = node.copy()
            node.atomic_map = node.atomic_map or raw.get("x-kubernetes-map-type") == "atomic"
            node.strategies = frozenset(raw.get("x-kubernetes-patch-strategy", "").split(",")) - {""}
        return node
    types = raw.get("type")
    name = types[0] if isinstance(types, list) else types
    if name == "array":
        return _compile_list(raw)
    if name == "object" and "additionalProperties" in raw:
        node = Node(MAP)
        node.items = _compile_field(raw["additionalProperties"])
        node.atomic_map = raw.get("x-kubernetes-map-type") == "atomic"
        return node
    if name == "integer":
        return Node(INTEGER, size=raw.get("format", "int64"))
    return _PLAIN[_scalar_type(raw)]


def _compile_list(raw: dict[str, Any]) -> Node:
    node = Node(LIST)
    node.items = _compile_field(raw.get("items") or {})
    node.list_type = raw.get("x-kubernetes-list-type", "atomic")
    node.keys = tuple(raw.get("x-kubernetes-list-map-keys") or ())
    node.key_defaults = {key: _KEY_DEFAULTS[key] for key in node.keys if key in _KEY_DEFAULTS}
    node.merge_key = raw.get("x-kubernetes-patch-merge-key", "")
    node.strategies = frozenset(raw.get("x-kubernetes-patch-strategy", "").split(",")) - {""}
    return node


@lru_cache(maxsize=1)
def schema_folder() -> Path:
    """The folder of the newest Kubernetes version the schema package carries."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(
            "Kubernetes' schemas are missing: the Python package kubernetes-validate is not installed; "
            "install the project's requirements again"
        )
    root = Path(spec.submodule_search_locations[0]) / "kubernetes-json-schema"
    versions = {
        tuple(int(part) for part in found.groups()): folder
        for folder in root.iterdir()
        if (found := re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)-local", folder.name))
    }
    return versions[max(versions)]


def raw_definition(name: str) -> dict[str, Any]:
    """The published JSON schema of one definition, as it is on disk. Raises: FileNotFoundError."""
    *_, group, version, kind = name.split(".")
    file = f"{kind.lower()}-{version}.json" if group == "core" else f"{kind.lower()}-{group}-{version}.json"
    result: dict[str, Any] = orjson.loads((schema_folder() / file).read_bytes())
    return result
