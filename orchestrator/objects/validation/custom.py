"""Whether a custom resource fits the schema of its definition.

Source: apiextensions-apiserver pkg/apiserver/validation and kube-openapi's validation errors.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from orchestrator.objects.custom import CustomType
from orchestrator.objects.meta import Obj
from orchestrator.objects.patch import same_json
from orchestrator.objects.validation import rules
from orchestrator.objects.validation.fields import Problems, shown

_MAX_DEPTH = 100


def check_custom(problems: Problems, custom: CustomType, obj: Obj, old: Obj | None = None) -> None:
    rest = {key: value for key, value in obj.items() if key not in ("apiVersion", "kind", "metadata")}
    schema = {key: value for key, value in custom.schema.items() if key not in ("type", "required")}
    properties = schema.get("properties") or {}
    schema["properties"] = {k: v for k, v in properties.items() if k not in ("apiVersion", "kind", "metadata")}
    for name in custom.schema.get("required") or ():
        if name not in obj:
            problems.required(name)
    _check(problems, schema, rest, "", 0)
    if (name := obj["metadata"].get("name")) and (limits := (properties.get("metadata") or {}).get("properties")):
        if name_schema := limits.get("name"):
            _check(problems, name_schema, name, "metadata.name", 0)
    if custom.has_rules:
        rules.check_rules(problems, custom.schema, obj, old)


def check_custom_update(problems: Problems, custom: CustomType, new: Obj, old: Obj) -> None:
    """What was wrong before and has not changed is let through, so that a tightened schema locks nothing up."""
    before, after = Problems(), Problems()
    check_custom(after, custom, new, old)
    if after.found:
        check_custom(before, custom, old)
        kept = set(before.found)
        problems.found += [found for found in after.found if found not in kept]


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    return {float: "number", str: "string", list: "array", dict: "object"}[type(value)]


def _check(problems: Problems, schema: Mapping[str, Any], value: Any, path: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        problems.invalid(path, "", f"must not be nested deeper than {_MAX_DEPTH} levels")
        return
    if value is None and schema.get("nullable"):
        return
    if not _check_type(problems, schema, value, path):
        return
    allowed = schema.get("enum")
    if allowed is not None and not any(same_json(value, item) for item in allowed):
        listed = ", ".join(shown(item) for item in allowed)
        problems.add("FieldValueNotSupported", path, f"Unsupported value: {shown(value)}: supported values: {listed}")
    if isinstance(value, str):
        _check_string(problems, schema, value, path)
    elif isinstance(value, bool):
        pass
    elif isinstance(value, int | float):
        _check_number(problems, schema, value, path)
    elif isinstance(value, list):
        _check_list(problems, schema, value, path, depth)
    elif isinstance(value, dict):
        _check_object(problems, schema, value, path, depth)
    _check_combinations(problems, schema, value, path, depth)


def _check_type(problems: Problems, schema: Mapping[str, Any], value: Any, path: str) -> bool:
    kind = _type_of(value)
    if schema.get("x-kubernetes-int-or-string"):
        if kind in ("integer", "string"):
            return True
        wanted = "integer,string"
    else:
        wanted = schema.get("type") or ""
        if not wanted or kind == wanted or (wanted == "number" and kind == "integer"):
            return True
        if wanted == "integer" and kind == "number" and float(value).is_integer():
            return True
    problems.type_invalid(path, kind, f'{path or "body"} in body must be of type {wanted}: "{kind}"')
    return False


def _check_string(problems: Problems, schema: Mapping[str, Any], value: str, path: str) -> None:
    low, high = schema.get("minLength"), schema.get("maxLength")
    if low is not None and len(value) < low:
        problems.invalid(path, value, f"{path} in body should be at least {low} chars long")
    if high is not None and len(value) > high:
        problems.add("FieldValueTooLong", path, f"Too long: may not be more than {high} bytes")
    pattern = schema.get("pattern")
    if pattern and not _pattern(pattern).search(value):
        problems.invalid(path, value, f"{path} in body should match '{pattern}'")
    form = schema.get("format")
    if form in _FORMATS and not _FORMATS[form](value):
        problems.invalid(path, value, f"{path} in body must be of type {form}: {shown(value)}")


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text.replace(r"\z", r"\Z"))
    except re.error:
        return re.compile("")


def _parses(parse: Callable[[str], Any]) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            parse(value)
        except ValueError:
            return False
        return True

    return check


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(value) is not None


_FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": _matches(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)"),
    "date": _matches(r"\d{4}-\d\d-\d\d"),
    "duration": _matches(r"-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d|w))+"),
    "uuid": _matches(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"),
    "email": _matches(r"[^@\s]+@[^@\s]+"),
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "cidr": _parses(lambda value: ipaddress.ip_network(value, strict=False)),
    "uri": _matches(r"[A-Za-z][A-Za-z0-9+.-]*:.+|/.*"),
    "byte": _matches(r"([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"),
}


def _check_number(problems: Problems, schema: Mapping[str, Any], value: int | float, path: str) -> None:
    low, high, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if low is not None:
        exclusive = bool(schema.get("exclusiveMinimum"))
        if value < low or (exclusive and value == low):
            word = "greater than" if exclusive else "greater than or equal to"
            problems.invalid(path, value, f"{path} in body should be {word} {low}")
    if high is not None:
        exclusive = bool(schema.get("exclusiveMaximum"))
        if value > high or (exclusive and value == high):
            word = "less than" if exclusive else "less than or equal to"
            problems.invalid(path, value, f"{path} in body should be {word} {high}")
    if step and value % step:
        problems.invalid(path, value, f"{path} in body should be a multiple of {step}")
    if schema.get("format") == "int32" and not -(2**31) <= value < 2**31:
        problems.invalid(path, value, f"{path} in body must be of type int32: {shown(str(value))}")


def _check_list(problems: Problems, schema: Mapping[str, Any], value: list[Any], path: str, depth: int) -> None:
    low, high = schema.get("minItems"), schema.get("maxItems")
    if low is not None and len(value) < low:
        problems.invalid(path, len(value), f"{path} in body should have at least {low} items")
    if high is not None and len(value) > high:
        problems.too_many(path, len(value), high)
    items = schema.get("items")
    if isinstance(items, Mapping):
        for at, item in enumerate(value):
            _check(problems, items, item, f"{path}[{at}]", depth + 1)
    kind = schema.get("x-kubernetes-list-type")
    if kind in ("set", "map"):
        keys = schema.get("x-kubernetes-list-map-keys") or ()
        seen: set[str] = set()
        for at, item in enumerate(value):
            if kind == "map" and isinstance(item, dict):
                item = {key: item.get(key) for key in keys}
            if (text := shown(item)) in seen:
                problems.duplicate(f"{path}[{at}]", item)
            seen.add(text)


def _check_object(problems: Problems, schema: Mapping[str, Any], value: dict[str, Any], path: str, depth: int) -> None:
    properties = schema.get("properties") or {}
    for name in schema.get("required") or ():
        if name not in value:
            problems.required(f"{path}.{name}".lstrip("."))
    if schema.get("x-kubernetes-embedded-resource"):
        _check_embedded(problems, value, path)
    low, high = schema.get("minProperties"), schema.get("maxProperties")
    if low is not None and len(value) < low:
        problems.invalid(path, len(value), f"{path} in body should have at least {low} properties")
    if high is not None and len(value) > high:
        problems.too_many(path, len(value), high)
    values = schema.get("additionalProperties")
    for key, item in value.items():
        below = f"{path}.{key}".lstrip(".")
        if key in properties:
            _check(problems, properties[key], item, below, depth + 1)
        elif isinstance(values, Mapping):
            _check(problems, values, item, below, depth + 1)


def _check_embedded(problems: Problems, value: Mapping[str, Any], path: str) -> None:
    """Source: apiextensions-apiserver pkg/apiserver/schema/objectmeta/validation.go."""
    for name in ("apiVersion", "kind"):
        if name not in value:
            problems.required(f"{path}.{name}", "must not be empty")
        elif not isinstance(value[name], str) or not value[name]:
            problems.invalid(f"{path}.{name}", value[name], "must be a string that is not empty")


def _fits(schema: Mapping[str, Any], value: Any, path: str, depth: int) -> bool:
    tried = Problems()
    _check(tried, schema, value, path, depth + 1)
    return not tried.found


def _check_combinations(problems: Problems, schema: Mapping[str, Any], value: Any, path: str, depth: int) -> None:
    for part in schema.get("allOf") or ():
        _check(problems, part, value, path, depth + 1)
    anyone, one, inverse = schema.get("anyOf"), schema.get("oneOf"), schema.get("not")
    where = path or "<nil>"
    if anyone and not any(_fits(part, value, path, depth) for part in anyone):
        problems.invalid(path, value, f"{where} in body must validate at least one schema (anyOf)")
    if one:
        count = sum(_fits(part, value, path, depth) for part in one)
        if count != 1:
            found = "Found none valid" if not count else f"Found {count} valid alternatives"
            problems.invalid(path, value, f"{where} in body must validate one and only one schema (oneOf). {found}")
    if inverse and _fits(inverse, value, path, depth):
        problems.invalid(path, value, f"{where} in body must not validate the schema (not)")
