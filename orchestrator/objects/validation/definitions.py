"""The rules for CustomResourceDefinitions: names, versions, and that every schema is structural.

Source: apiextensions-apiserver pkg/apis/apiextensions/validation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.objects import jsonpath, names
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation.fields import Problems
from orchestrator.objects.validation.rules import check_definition_rules
from orchestrator.objects.validation.webhooks import check_client, check_review_versions

_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_LIST_TYPES = ("atomic", "map", "set")


def check_definition(problems: Problems, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    naming = spec.get("names") or {}
    group = spec.get("group") or ""
    expected = f"{naming.get('plural', '')}.{group}"
    if obj["metadata"].get("name") != expected:
        problems.invalid("metadata.name", obj["metadata"].get("name") or "", 'must be spec.names.plural+"."+spec.group')
    if not group:
        problems.required("spec.group")
    else:
        problems.each("spec.group", group, names.dns_subdomain_problems(group))
        if "." not in group:
            problems.invalid("spec.group", group, "should be a domain with at least one dot")
    problems.one_of("spec.scope", spec.get("scope"), ("Cluster", "Namespaced"))
    _check_names(problems, naming)
    _check_versions(problems, spec)
    _check_conversion(problems, spec.get("conversion") or {})


def _check_conversion(problems: Problems, conversion: Mapping[str, Any]) -> None:
    path, strategy = "spec.conversion", conversion.get("strategy")
    webhook = conversion.get("webhook") or {}
    if strategy not in (None, "None", "Webhook"):
        problems.not_supported(f"{path}.strategy", strategy, ("None", "Webhook"))
    elif strategy != "Webhook":
        if webhook:
            problems.forbidden(f"{path}.webhook", "should not be set when strategy is not set to Webhook")
    elif webhook.get("clientConfig") is None:
        problems.required(f"{path}.webhook.clientConfig", "required when strategy is set to Webhook")
    else:
        check_client(problems, webhook["clientConfig"], f"{path}.webhook.clientConfig")
        versions = webhook.get("conversionReviewVersions") or ()
        check_review_versions(problems, versions, f"{path}.webhook.conversionReviewVersions")


def _check_names(problems: Problems, naming: Mapping[str, Any]) -> None:
    for field in ("plural", "singular", "kind", "listKind"):
        value = naming.get(field) or ""
        if not value:
            if field in ("plural", "kind"):
                problems.required(f"spec.names.{field}")
            continue
        found = names.dns_1035_label_problems(value.lower())
        if found:
            problems.invalid(f"spec.names.{field}", value, ",".join(found))
    for field in ("shortNames", "categories"):
        for at, value in enumerate(naming.get(field) or ()):
            problems.each(f"spec.names.{field}[{at}]", value, names.dns_1035_label_problems(value))
    if naming.get("kind") and naming.get("kind") == naming.get("listKind"):
        problems.invalid("spec.names.listKind", naming["listKind"], "kind and listKind may not be the same")


def _check_versions(problems: Problems, spec: Mapping[str, Any]) -> None:
    versions = spec.get("versions") or ()
    if not versions:
        problems.required("spec.versions")
        return
    stored = [version for version in versions if version.get("storage")]
    if len(stored) != 1:
        problems.invalid(
            "spec.versions",
            [v.get("name") for v in versions],
            "must have exactly one version marked as storage version",
        )
    seen: set[str] = set()
    for at, version in enumerate(versions):
        path = f"spec.versions[{at}]"
        name = version.get("name") or ""
        problems.each(f"{path}.name", name, names.dns_1035_label_problems(name))
        if name in seen:
            problems.invalid(f"{path}.name", name, "must be unique")
        seen.add(name)
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            problems.required(f"{path}.schema.openAPIV3Schema", "schemas are required")
        else:
            _check_root(problems, schema, f"{path}.schema.openAPIV3Schema")
        _check_columns(problems, version.get("additionalPrinterColumns") or (), f"{path}.additionalPrinterColumns")
        if scale := (version.get("subresources") or {}).get("scale"):
            _check_scale(problems, scale, f"{path}.subresources.scale")


def _check_columns(problems: Problems, columns: Any, path: str) -> None:
    for at, column in enumerate(columns):
        where = f"{path}[{at}]"
        if not column.get("name"):
            problems.required(f"{where}.name")
        problems.one_of(f"{where}.type", column.get("type"), _COLUMN_TYPES)
        if not column.get("jsonPath"):
            problems.required(f"{where}.jsonPath")
            continue
        try:
            jsonpath.parse(column["jsonPath"])
        except ValueError as problem:
            problems.invalid(f"{where}.jsonPath", column["jsonPath"], str(problem))


def _check_scale(problems: Problems, scale: Mapping[str, Any], path: str) -> None:
    for field, base, needed in (
        ("specReplicasPath", ".spec.", True), ("statusReplicasPath", ".status.", True),
        ("labelSelectorPath", (".spec.", ".status."), False),
    ):  # fmt: skip
        value = scale.get(field) or ""
        if not value:
            if needed:
                problems.required(f"{path}.{field}")
        elif not value.startswith(base):
            problems.invalid(
                f"{path}.{field}",
                value,
                f"should be a json path under {base if isinstance(base, str) else '.spec or .status'}",
            )


def _check_root(problems: Problems, schema: Mapping[str, Any], path: str) -> None:
    if schema.get("type") != "object":
        problems.invalid(f"{path}.type", schema.get("type") or "", 'must be "object" at the root')
    meta = (schema.get("properties") or {}).get("metadata") or {}
    for key in meta:
        if key not in ("type", "description", "properties"):
            problems.forbidden(
                f"{path}.properties[metadata]",
                "must not specify anything other than name and generateName, but metadata is implicitly specified",
            )
            break
    _check_schema(problems, schema, path, 0)


def _check_schema(problems: Problems, schema: Any, path: str, depth: int) -> None:
    """Structural: every value has a type, outside of the logical combinations."""
    if not isinstance(schema, Mapping):
        problems.invalid(path, schema, "must be a schema object")
        return
    if depth > 100:
        problems.invalid(path, "", "must not be nested deeper than 100 levels")
        return
    kind = schema.get("type") or ""
    loose = schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string")
    if not kind and not loose:
        problems.required(f"{path}.type", "must not be empty for specified object fields" if depth else "")
    elif kind and kind not in _TYPES:
        problems.not_supported(f"{path}.type", kind, _TYPES)
    for field in ("$ref", "definitions", "dependencies", "patternProperties", "id", "additionalItems"):
        if schema.get(field):
            problems.forbidden(f"{path}.{field}", f"{field} is not supported")
    if schema.get("uniqueItems"):
        problems.forbidden(
            f"{path}.uniqueItems", "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        )
    if schema.get("properties") and schema.get("additionalProperties") not in (None, False):
        problems.forbidden(f"{path}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if kind == "array" and not isinstance(schema.get("items"), Mapping):
        problems.required(f"{path}.items", "must be specified")
    if pattern := schema.get("pattern"):
        try:
            re.compile(pattern.replace(r"\z", r"\Z"))
        except re.error as problem:
            problems.invalid(f"{path}.pattern", pattern, f"must be a valid regular expression, but isn't: {problem}")
    _check_list_type(problems, schema, path)
    check_definition_rules(problems, schema, path)
    for name, below in (schema.get("properties") or {}).items():
        _check_schema(problems, below, f"{path}.properties[{name}]", depth + 1)
    if isinstance(schema.get("items"), Mapping):
        _check_schema(problems, schema["items"], f"{path}.items", depth + 1)
    if isinstance(schema.get("additionalProperties"), Mapping):
        _check_schema(problems, schema["additionalProperties"], f"{path}.additionalProperties", depth + 1)


def _check_list_type(problems: Problems, schema: Mapping[str, Any], path: str) -> None:
    kind = schema.get("x-kubernetes-list-type")
    if kind is None:
        return
    if kind not in _LIST_TYPES:
        problems.not_supported(f"{path}.x-kubernetes-list-type", kind, _LIST_TYPES)
    if kind == "map":
        keys = schema.get("x-kubernetes-list-map-keys") or ()
        if not keys:
            problems.required(
                f"{path}.x-kubernetes-list-map-keys", "must not be empty if x-kubernetes-list-type is map"
            )
        known = ((schema.get("items") or {}).get("properties")) or {}
        for at, key in enumerate(keys):
            if key not in known:
                problems.invalid(
                    f"{path}.x-kubernetes-list-map-keys[{at}]", key, "entries must all be names of item properties"
                )


def check_definition_update(problems: Problems, new: Obj, old: Obj) -> None:
    spec, before = new.get("spec") or {}, old.get("spec") or {}
    problems.unchanged("spec.group", spec.get("group"), before.get("group"))
    problems.unchanged("spec.scope", spec.get("scope"), before.get("scope"))
    naming, had = spec.get("names") or {}, before.get("names") or {}
    for field in ("kind", "plural"):
        problems.unchanged(f"spec.names.{field}", naming.get(field), had.get(field))
    served = {version.get("name") for version in spec.get("versions") or ()}
    for at, name in enumerate((old.get("status") or {}).get("storedVersions") or ()):
        if name not in served:
            problems.invalid(f"status.storedVersions[{at}]", name, "must appear in spec.versions")
