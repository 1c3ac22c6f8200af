"""The OpenAPI documents clients learn the kinds from, made of Kubernetes' own schemas when first asked for.

`kubectl explain`, `apply` and its validation read version 3, one document for each group and version; older clients
read version 2 as protocol buffers (`openapi_protobuf.py`). Schemas of custom resources join both.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from orchestrator.objects.discovery import GIT_VERSION
from orchestrator.objects.kinds import Resource
from orchestrator.objects.openapi_protobuf import encode_swagger
from orchestrator.objects.schema import META, definition_name, raw_definition, schema_folder

Json = dict[str, Any]
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
"""What the answer calls itself. Clients ask for `…v2@v1.0+protobuf`, a name that media type parsers reject."""
_PREFIX = "io.k8s.apimachinery.pkg"
_QUANTITY, _INT_OR_STRING = f"{_PREFIX}.api.resource.Quantity", f"{_PREFIX}.util.intstr.IntOrString"
_OPTIONS_KINDS = (f"{_PREFIX}.apis.meta.v1.DeleteOptions", f"{_PREFIX}.apis.meta.v1.Status")
_EXTRA_KINDS = {
    ("autoscaling", "v1"): ("Scale",),
    ("policy", "v1"): ("Eviction",),
    ("", "v1"): ("Binding",),
    ("authentication.k8s.io", "v1"): ("TokenRequest",),
}
_PARAMETERS = {
    "dryRun": "When present, indicates that modifications should not be persisted.",
    "fieldManager": "The name of the actor or entity that is making these changes.",
    "fieldValidation": "How the server treats requests with unknown or duplicate fields: Ignore, Warn or Strict.",
    "force": "Force is going to force Apply requests: take over fields that other managers own.",
}


class Documents:
    """The documents for one set of served resources. Make a new one when the set changes."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._resources = tuple(resources)
        self._packed: dict[str, bytes] = {}

    def index(self) -> bytes:
        """The body of /openapi/v3."""
        paths = {path: {"serverRelativeURL": f"/openapi/v3/{path}?hash={self.hash(path)}"} for path in self.paths()}
        return orjson.dumps({"paths": paths})

    def paths(self) -> list[str]:
        """`api/v1`, `apis/apps/v1` and so on."""
        return list(dict.fromkeys(_document_path(resource) for resource in self._resources))

    def hash(self, path: str = "") -> str:
        """Changes when the document at `path` (or, without it, any) does; needs no document to be built."""
        digest = hashlib.sha256(f"{GIT_VERSION} {schema_folder().name}".encode())
        for resource in self._resources:
            if not path or _document_path(resource) == path:
                digest.update(repr(resource).encode())
                if resource.custom is not None:
                    digest.update(orjson.dumps(resource.custom.schema, option=orjson.OPT_SORT_KEYS))
        return digest.hexdigest().upper()

    def group_version(self, path: str) -> bytes | None:
        """The body of /openapi/v3/PATH; None when nothing is served there."""
        served = [resource for resource in self._resources if _document_path(resource) == path]
        if not served:
            return None
        return self._kept(path, lambda: orjson.dumps(_document_v3(served)))

    def swagger(self) -> bytes:
        """The body of /openapi/v2 as JSON."""
        return self._kept("swagger.json", lambda: orjson.dumps(_document_v2(self._resources)))

    def swagger_protobuf(self) -> bytes:
        """The body of /openapi/v2 as `PROTOBUF`."""
        return self._kept("swagger.pb", lambda: encode_swagger(_document_v2(self._resources)))

    def _kept(self, name: str, build: Any) -> bytes:
        """Built once and kept compressed: a document is large, and asked for seldom."""
        packed = self._packed.get(name)
        if packed is None:
            body: bytes = build()
            self._packed[name] = zlib.compress(body, 6)
            return body
        return zlib.decompress(packed)


def _document_path(resource: Resource) -> str:
    return f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"


def _info() -> Json:
    return {"title": "Kubernetes", "version": GIT_VERSION}


def _document_v3(resources: Iterable[Resource]) -> Json:
    schemas: Json = {}
    served = list(resources)
    for name in _roots(served):
        _collect(name, schemas, 3)
    for resource in served:
        if resource.custom is not None:
            _collect(META, schemas, 3)
            schemas[custom_name(resource)] = _custom_schema(resource, 3)
    paths: Json = {}
    for resource in served:
        paths.update(_paths_of(resource, 3))
    return {"openapi": "3.0.0", "info": _info(), "paths": paths, "components": {"schemas": schemas}}


def _document_v2(resources: Iterable[Resource]) -> Json:
    definitions: Json = {}
    served = list(resources)
    for name in _roots(served):
        _collect(name, definitions, 2)
    paths: Json = {}
    for resource in served:
        paths.update(_paths_of(resource, 2))
        if resource.custom is not None:
            definitions[custom_name(resource)] = _custom_schema(resource, 2)
    return {"swagger": "2.0", "info": _info(), "paths": paths, "definitions": definitions}


def _roots(resources: list[Resource]) -> Iterator[str]:
    yield from _OPTIONS_KINDS
    for resource in resources:
        if resource.custom is None:
            yield definition_name(resource.group, resource.version, resource.kind)
            if "list" in resource.verbs:
                yield definition_name(resource.group, resource.version, f"{resource.kind}List")
    for group, version in dict.fromkeys((resource.group, resource.version) for resource in resources):
        for kind in _EXTRA_KINDS.get((group, version), ()):
            yield definition_name(group, version, kind)


def _collect(name: str, found: Json, dialect: int) -> None:
    """Adds the definition and everything it refers to."""
    if name in found:
        return
    if name in (_QUANTITY, _INT_OR_STRING):
        found[name] = _special(name, dialect)
        return
    try:
        raw = raw_definition(name)
    except FileNotFoundError:
        return
    found[name] = {}
    references: set[str] = set()
    found[name] = _converted(raw, dialect, references)
    for reference in sorted(references):
        _collect(reference, found, dialect)


def _special(name: str, dialect: int) -> Json:
    if name == _QUANTITY:
        text = "Quantity is a fixed-point representation of a number, such as 100m, 1.5Gi or 1e3."
        if dialect == 2:
            return {"description": text, "type": "string"}
        return {"description": text, "oneOf": [{"type": "string"}, {"type": "number"}]}
    text = "IntOrString is a type that can hold an int32 or a string."
    if dialect == 2:
        return {"description": text, "type": "string", "format": "int-or-string"}
    return {"description": text, "format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}


def _converted(raw: Any, dialect: int, references: set[str], field: str = "") -> Any:
    """A published JSON schema in OpenAPI's dialect."""
    if "$ref" in raw:
        name = str(raw["$ref"]).rsplit("/", 1)[-1]
        references.add(name)
        rest = {key: value for key, value in raw.items() if key != "$ref"}
        if dialect == 2:
            return {"$ref": f"#/definitions/{name}", **rest}
        reference = {"$ref": f"#/components/schemas/{name}"}
        return {"allOf": [reference], "default": {}, **rest} if rest else reference
    result: Json = {}
    for key, value in raw.items():
        if key in ("$schema", "$id", "$defs") or (key == "enum" and field in ("apiVersion", "kind")):
            continue
        if key == "properties":
            result[key] = {name: _converted(below, dialect, references, name) for name, below in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            result[key] = _converted(value, dialect, references)
        elif key == "type":
            result[key] = value[0] if isinstance(value, list) else value
        elif key != "oneOf":
            result[key] = value
    return result


def custom_name(resource: Resource) -> str:
    """How Kubernetes names a custom kind's definition: `com.example.v1.Widget`."""
    return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"


def _gvk(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _custom_schema(resource: Resource, dialect: int) -> Json:
    """The definition's schema, with what every kind has; version 2 shows no fields of a kind that allows any."""
    schema = dict(resource.custom.schema) if resource.custom is not None else {}
    gvk = {"x-kubernetes-group-version-kind": [_gvk(resource)]}
    if dialect == 2 and (not schema or schema.get("x-kubernetes-preserve-unknown-fields")):
        return {"type": "object", **gvk}
    where = "#/definitions" if dialect == 2 else "#/components/schemas"
    meta: Json = {"$ref": f"{where}/{META}"}
    common = raw_definition(definition_name("", "v1", "Namespace"))["properties"]
    result: Json = _custom_dialect(schema, dialect)
    properties = dict(result.get("properties") or {})
    for field in ("apiVersion", "kind"):
        properties[field] = {"type": "string", "description": common[field]["description"]}
    text = {"description": common["metadata"]["description"]}
    properties["metadata"] = {"allOf": [meta], **text} if dialect == 3 else {**meta, **text}
    return {**result, "type": "object", "properties": properties, **gvk}


_NOT_IN_V2 = frozenset(("oneOf", "anyOf", "not", "allOf", "nullable", "default", "x-kubernetes-validations"))


def _custom_dialect(schema: Any, dialect: int) -> Any:
    """Version 2 knows less: what it lacks is left out, so that old clients judge nothing wrongly.

    Source: apiextensions-apiserver pkg/controller/openapi/v2/conversion.go.
    """
    if dialect == 3 or not isinstance(schema, dict):
        return dict(schema) if isinstance(schema, dict) else schema
    free = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("nullable")
    left_out = _NOT_IN_V2 | ({"type", "items", "properties"} if free else frozenset())
    result: Json = {}
    for key, value in schema.items():
        if key in left_out:
            continue
        if key == "properties":
            result[key] = {name: _custom_dialect(below, dialect) for name, below in value.items()}
        elif key in ("items", "additionalProperties"):
            result[key] = _custom_dialect(value, dialect)
        elif key == "required":
            fields = schema.get("properties") or {}
            needed = [name for name in value if not (fields.get(name) or {}).get("nullable")]
            if needed:
                result[key] = needed
        else:
            result[key] = value
    return result


def _paths_of(resource: Resource, dialect: int) -> Json:
    base = f"/{_document_path(resource)}"
    collection = f"{base}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else (
        f"{base}/{resource.plural}"
    )  # fmt: skip
    name = custom_name(resource) if resource.custom is not None else definition_name(
        resource.group, resource.version, resource.kind
    )  # fmt: skip
    verbs = set(resource.verbs)
    paths: Json = {}
    on_collection = {"get": "list", "post": "create", "delete": "deletecollection"}
    on_item = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}
    for path, methods in ((collection, on_collection), (f"{collection}/{{name}}", on_item)):
        item = {
            method: _operation(resource, verb, method, name, dialect)
            for method, verb in methods.items()
            if verb in verbs
        }
        if item:
            paths[path] = item
    if resource.namespaced and "list" in verbs:
        paths[f"{base}/{resource.plural}"] = {"get": _operation(resource, "list", "get", name, dialect)}
    return paths


_ACTIONS = {"create": "post", "update": "put"}


def _operation(resource: Resource, verb: str, method: str, name: str, dialect: int) -> Json:
    where = "#/definitions" if dialect == 2 else "#/components/schemas"
    schema = {"$ref": f"{where}/{name}"}
    group = resource.group.split(".")[0].title() or "Core"
    operation: Json = {
        "description": f"{verb} {resource.kind}",
        "operationId": f"{verb}{group}{resource.version.title()}{resource.kind}",
        "responses": {"200": {"description": "OK"}},
        "x-kubernetes-action": _ACTIONS.get(verb, verb),
        "x-kubernetes-group-version-kind": _gvk(resource),
    }
    if verb in ("get", "create", "update", "patch"):
        operation["responses"]["200"] |= (
            {"schema": schema} if dialect == 2 else {"content": {"application/json": {"schema": schema}}}
        )
    if method in ("post", "put", "patch"):
        names = [key for key in _PARAMETERS if key != "force" or method == "patch"]
        operation["parameters"] = [_parameter(key, dialect) for key in names]
        if dialect == 3 and method != "patch":
            operation["requestBody"] = {"content": {"*/*": {"schema": schema}}, "required": True}
    return operation


def _parameter(name: str, dialect: int) -> Json:
    kind: Json = {"type": "boolean" if name == "force" else "string", "uniqueItems": True}
    described = {"name": name, "in": "query", "description": _PARAMETERS[name]}
    return {**described, **kind} if dialect == 2 else {**described, "schema": kind}
