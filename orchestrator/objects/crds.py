"""From a CustomResourceDefinition to the resources it makes, and the conditions the server answers it with.

Source: apiextensions-apiserver pkg/apiserver, pkg/controller/status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.objects.custom import CustomType, mentions
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.objects.schema import (
    ANY,
    ANYTHING,
    BOOLEAN,
    INT_OR_STRING,
    INTEGER,
    LIST,
    MAP,
    META,
    NUMBER,
    OBJECT,
    STRING,
    Node,
    definition,
)  # fmt: skip

_SCALARS = {"string": STRING, "integer": INTEGER, "number": NUMBER, "boolean": BOOLEAN}


def custom_resources(definition_: Obj) -> list[Resource]:
    """The rows of every served version; they share the objects stored under their group and plural name."""
    spec = definition_["spec"]
    naming = (definition_.get("status") or {}).get("acceptedNames") or {}
    if not naming.get("plural"):
        naming = spec["names"]
    resources = []
    for version in spec["versions"]:
        if not version.get("served"):
            continue
        custom = custom_type(version, deprecation(version, spec["group"], naming["kind"]), spec)
        subresources = (*(("status",) if custom.status else ()), *(("scale",) if custom.scale else ()))
        resources.append(
            Resource(
                group=spec["group"],
                version=version["name"],
                plural=naming["plural"],
                kind=naming["kind"],
                namespaced=spec["scope"] == "Namespaced",
                singular=naming.get("singular") or naming["kind"].lower(),
                short_names=tuple(naming.get("shortNames") or ()),
                categories=tuple(naming.get("categories") or ()),
                subresources=subresources,
                storage=f"{naming['plural']}.{spec['group']}",
                custom=custom,
            )
        )
    return resources


def stored_version(definition_: Obj) -> str:
    return next(str(version["name"]) for version in definition_["spec"]["versions"] if version.get("storage"))


def deprecation(version: Mapping[str, Any], group: str, kind: str) -> str:
    """What a request for the version is warned of; empty for one that is not deprecated."""
    if not version.get("deprecated"):
        return ""
    return str(version.get("deprecationWarning") or f"{group}/{version['name']} {kind} is deprecated")


def custom_type(version: Mapping[str, Any], deprecation: str = "", spec: Mapping[str, Any] | None = None) -> CustomType:
    """`spec` is the definition's, for what its versions share."""
    conversion = (spec or {}).get("conversion") or {}
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    below = version.get("subresources") or {}
    return CustomType(
        node=_root_node(schema),
        schema=schema,
        preserve_unknown=bool(schema.get("x-kubernetes-preserve-unknown-fields")) and "properties" not in schema,
        selectable_fields=tuple(field["jsonPath"] for field in version.get("selectableFields") or ()),
        columns=tuple(version.get("additionalPrinterColumns") or ()),
        status="status" in below,
        deprecation=deprecation,
        has_defaults=mentions(schema, "default"),
        has_rules=mentions(schema, "x-kubernetes-validations"),
        several=len((spec or {}).get("versions") or ()) > 1,
        webhook=conversion.get("webhook") if conversion.get("strategy") == "Webhook" else None,
        scale=dict(below.get("scale") or {}),
    )


def _root_node(schema: Mapping[str, Any]) -> Node:
    node = _node(schema)
    if node.type != OBJECT:
        loose, node = node, Node(OBJECT)
        node.items = loose.items or ANYTHING
    node.fields = node.fields | {
        "apiVersion": Node(STRING), "kind": Node(STRING), "metadata": definition(META),
    }  # fmt: skip
    return node


def _node(schema: Any) -> Node:
    """How values of a structural schema merge."""
    if not isinstance(schema, Mapping) or schema.get("x-kubernetes-int-or-string"):
        return Node(INT_OR_STRING) if isinstance(schema, Mapping) else ANYTHING
    kind = schema.get("type")
    if kind in _SCALARS:
        return Node(_SCALARS[kind])
    if kind == "array":
        return _list_node(schema)
    if kind != "object":
        return ANYTHING
    node = _object_node(schema)
    node.atomic_map = schema.get("x-kubernetes-map-type") == "atomic"
    return node


def _object_node(schema: Mapping[str, Any]) -> Node:
    values = schema.get("additionalProperties")
    if "properties" not in schema:
        node = Node(MAP if values is not None else ANY)
        node.items = _node(values) if isinstance(values, Mapping) else ANYTHING
        return node
    node = Node(OBJECT)
    node.fields = {name: _node(below) for name, below in schema["properties"].items()}
    node.required = frozenset(schema.get("required") or ())
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        node.items = ANYTHING
    if schema.get("x-kubernetes-embedded-resource"):
        node.fields |= {"apiVersion": Node(STRING), "kind": Node(STRING), "metadata": definition(META)}
    return node


def _list_node(schema: Mapping[str, Any]) -> Node:
    node = Node(LIST)
    items = schema.get("items")
    node.items = _node(items)
    node.list_type = schema.get("x-kubernetes-list-type") or "atomic"
    node.keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    known = (items or {}).get("properties") or {}
    node.key_defaults = {key: known[key]["default"] for key in node.keys if "default" in known.get(key, {})}
    return node


def accept_names(definition_: Obj, others: Iterable[Obj], now: str) -> dict[str, Any]:
    """The status a definition gets: its names are accepted unless another of its group holds them already.

    `others` are the definitions of the server, in any order; `now` stamps changed conditions.
    """
    spec = definition_["spec"]
    wanted = spec["names"]
    taken = _taken_names(definition_, others)
    conflict = _first_conflict(wanted, taken)
    before = definition_.get("status") or {}
    if conflict is None:
        accepted = dict(wanted)
        names_ok = ("True", "NoConflicts", "no conflicts found")
        established = ("True", "InitialNamesAccepted", "the initial names have been accepted")
    else:
        accepted = before.get("acceptedNames") or {"kind": "", "plural": ""}
        names_ok = ("False", conflict[0], conflict[1])
        was = _condition(before, "Established")
        if was is not None and was.get("status") == "True":
            established = ("True", was.get("reason", ""), was.get("message", ""))
        else:
            established = ("False", "NotAccepted", "not all names are accepted")
    stored = list(before.get("storedVersions") or ())
    if stored_version(definition_) not in stored:
        stored.append(stored_version(definition_))
    conditions = [
        item for item in before.get("conditions") or () if item.get("type") not in ("NamesAccepted", "Established")
    ]
    for kind, verdict in (("NamesAccepted", names_ok), ("Established", established)):
        conditions.append(_set_condition(_condition(before, kind), kind, verdict, now))
    return {"conditions": conditions, "acceptedNames": accepted, "storedVersions": stored}


def _condition(status: Mapping[str, Any], kind: str) -> dict[str, Any] | None:
    return next((item for item in status.get("conditions") or () if item.get("type") == kind), None)


def _set_condition(was: Mapping[str, Any] | None, kind: str, verdict: tuple[str, str, str], now: str) -> dict[str, Any]:
    value, reason, message = verdict
    changed = now if was is None or was.get("status") != value else was.get("lastTransitionTime", now)
    return {"type": kind, "status": value, "lastTransitionTime": changed, "reason": reason, "message": message}


def _taken_names(definition_: Obj, others: Iterable[Obj]) -> dict[str, set[str]]:
    taken: dict[str, set[str]] = {"resources": set(), "kinds": set()}
    for other in others:
        if other["metadata"].get("name") == definition_["metadata"].get("name"):
            continue
        if other["spec"].get("group") != definition_["spec"]["group"]:
            continue
        held = (other.get("status") or {}).get("acceptedNames") or {}
        taken["resources"] |= {held.get("plural", ""), held.get("singular", ""), *(held.get("shortNames") or ())} - {""}
        taken["kinds"] |= {held.get("kind", ""), held.get("listKind", "")} - {""}
    return taken


def _first_conflict(wanted: Mapping[str, Any], taken: Mapping[str, set[str]]) -> tuple[str, str] | None:
    for field, reason in (("plural", "PluralConflict"), ("singular", "SingularConflict")):
        if wanted.get(field) in taken["resources"]:
            return reason, f'"{wanted[field]}" is already in use'
    for name in wanted.get("shortNames") or ():
        if name in taken["resources"]:
            return "ShortNamesConflict", f'"{name}" is already in use'
    for field, reason in (("kind", "KindConflict"), ("listKind", "ListKindConflict")):
        if wanted.get(field) in taken["kinds"]:
            return reason, f'"{wanted[field]}" is already in use'
    return None
