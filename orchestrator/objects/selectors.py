"""Label and field selectors: parsed once, matched against many objects.

Sources: apimachinery pkg/labels/selector.go, pkg/fields/selector.go and each kind's strategy for its fields.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator import errors
from orchestrator.objects import names
from orchestrator.objects.kinds import Resource

Operator = Literal["in", "notin", "exists", "!", "gt", "lt"]


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "in":
                return value is not None and value in self.values
            case "notin":
                return value is None or value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
        try:
            number, bound = int(value or ""), int(next(iter(self.values)))
        except ValueError:
            return False
        return number > bound if self.operator == "gt" else number < bound

    def __str__(self) -> str:
        values = sorted(self.values)
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{values[0]}"
            case "in" if len(values) == 1:
                return f"{self.key}={values[0]}"
        return f"{self.key} {self.operator} ({','.join(values)})"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All of `requirements` must hold; none at all matches everything, `NOTHING` matches nothing."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        if self.nothing:
            return False
        labels = labels or {}
        return all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def is_everything(self) -> bool:
        return not self.requirements and not self.nothing

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)

_TOKEN = re.compile(r"\s*(?:(!=|==|=|!|>|<|\(|\)|,)|([^\s!=<>(),]+))")


def parse_label_selector(text: str) -> LabelSelector:
    """The selector written as `app=web,tier in (a,b),!old`. Raises: BadRequest."""
    if not text.strip():
        return EVERYTHING
    return LabelSelector(tuple(_LabelParser(text).parse()))


class _LabelParser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens(text)
        self.at = 0

    def _tokens(self, text: str) -> list[str]:
        tokens, position = [], 0
        text = text.rstrip()
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                raise self._error(f"found '{text[position]}', expected: identifier")
            tokens.append(found.group(1) or found.group(2))
            position = found.end()
        return tokens

    def _error(self, why: str) -> errors.BadRequest:
        return errors.BadRequest(f"unable to parse requirement: {why}")

    def _peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        self.at += 1
        return token

    def parse(self) -> Iterable[Requirement]:
        while True:
            yield self._requirement()
            token = self._next()
            if not token:
                return
            if token != ",":
                raise self._error(f"found '{token}', expected: ',' or 'end of string'")
            if not self._peek():
                raise self._error("found '', expected: identifier after ','")

    def _requirement(self) -> Requirement:
        absent = self._peek() == "!"
        if absent:
            self._next()
        key = self._next()
        if not key or key in "!=<>(),":
            raise self._error(f"found '{key}', expected: !, identifier, or 'end of string'")
        if problems := names.qualified_name_problems(key):
            raise self._error(f'key: Invalid value: "{key}": {"; ".join(problems)}')
        if absent:
            return Requirement(key, "!")
        return self._operation(key)

    def _operation(self, key: str) -> Requirement:
        token = self._peek()
        if token in ("", ","):
            return Requirement(key, "exists")
        self._next()
        match token:
            case "=" | "==":
                return Requirement(key, "in", frozenset([self._exact_value(key)]))
            case "!=":
                return Requirement(key, "notin", frozenset([self._exact_value(key)]))
            case ">" | "<":
                value = self._exact_value(key)
                if not re.fullmatch(r"[+-]?\d+", value):
                    raise self._error(
                        f"values[0][{key}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, "
                        "the value must be an integer"
                    )
                return Requirement(key, "gt" if token == ">" else "lt", frozenset([value]))
            case "in" | "notin":
                return Requirement(key, "in" if token == "in" else "notin", self._set_values(key))
        raise self._error(f"found '{token}', expected: in, notin, =, ==, !=, gt, lt")

    def _exact_value(self, key: str) -> str:
        if self._peek() in ("", ","):
            return ""
        return self._checked(key, self._next())

    def _set_values(self, key: str) -> frozenset[str]:
        if (token := self._next()) != "(":
            raise self._error(f"found '{token}', expected: '('")
        values: set[str] = set()
        expecting = True
        while True:
            token = self._next()
            if token == ")":
                if expecting:
                    values.add("")
                return frozenset(values)
            if token == ",":
                if expecting:
                    values.add("")
                expecting = True
            elif not token or not expecting or token in "!=<>(":
                raise self._error(f"found '{token}', expected: ',', ')' or identifier")
            else:
                values.add(self._checked(key, token))
                expecting = False

    def _checked(self, key: str, value: str) -> str:
        if problems := names.label_value_problems(value):
            raise self._error(f'values[0][{key}]: Invalid value: "{value}": {"; ".join(problems)}')
        return value


_OPERATORS: dict[str, Operator] = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def label_selector_from_object(selector: Mapping[str, Any] | None) -> LabelSelector:
    """The selector of a LabelSelector object: absent matches nothing, empty everything. Raises: BadRequest."""
    if selector is None:
        return NOTHING
    requirements = [
        Requirement(key, "in", frozenset([value])) for key, value in (selector.get("matchLabels") or {}).items()
    ]
    for expression in selector.get("matchExpressions") or ():
        operator = _OPERATORS.get(expression.get("operator", ""))
        if operator is None:
            raise errors.BadRequest(f'"{expression.get("operator", "")}" is not a valid label selector operator')
        values = frozenset(expression.get("values") or ())
        if operator in ("in", "notin") and not values:
            raise errors.BadRequest(
                f"values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty"
                f" (key {expression.get('key', '')})"
            )
        requirements.append(Requirement(expression.get("key", ""), operator, values))
    return LabelSelector(tuple(requirements))


def label_selector_from_map(labels: Mapping[str, str] | None) -> LabelSelector:
    """The selector of a Service or ReplicationController: every label equal; none at all matches nothing."""
    if not labels:
        return NOTHING
    return LabelSelector(tuple(Requirement(key, "in", frozenset([value])) for key, value in labels.items()))


@dataclass(frozen=True, slots=True)
class FieldTerm:
    field: str
    value: str
    negated: bool
    read: Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class FieldSelector:
    terms: tuple[FieldTerm, ...] = ()

    def matches(self, obj: Mapping[str, Any]) -> bool:
        return all((term.read(obj) == term.value) != term.negated for term in self.terms)

    @property
    def is_everything(self) -> bool:
        return not self.terms

    @property
    def exact(self) -> dict[str, str]:
        """The fields asked for by equality, for a shorter way to the objects."""
        return {term.field: term.value for term in self.terms if not term.negated}


_FIELD_TERM = re.compile(r"([^=!]+?)(!=|==|=)(.*)", re.DOTALL)
_UNESCAPE = re.compile(r"\\([\\,=])")


def parse_field_selector(resource: Resource, text: str) -> FieldSelector:
    """The selector written as `metadata.name=x,status.phase!=Running`. Raises: BadRequest."""
    terms = []
    for part in re.split(r"(?<!\\),", text):
        if not part.strip():
            continue
        found = _FIELD_TERM.fullmatch(part)
        if found is None:
            raise errors.BadRequest(f"invalid selector: '{text}'; can't understand '{part}'")
        field, operator, value = found.groups()
        read = field_reader(resource, field)
        if read is None:
            raise errors.BadRequest(f'field label not supported: "{field}"')
        terms.append(FieldTerm(field, _UNESCAPE.sub(r"\1", value), operator == "!=", read))
    return FieldSelector(tuple(terms))


def field_reader(resource: Resource, field: str) -> Callable[[Mapping[str, Any]], str] | None:
    """How `field` is read from objects of `resource`; None when its kind does not offer it."""
    if field == "metadata.name":
        return _read_name
    if field == "metadata.namespace" and resource.namespaced:
        return _read_namespace
    if special := _READERS.get((resource.storage_key, field)):
        return special
    paths = _selectable_fields(resource)
    return _path_reader(paths[field], _DEFAULTS.get((resource.storage_key, field), "")) if field in paths else None


def _selectable_fields(resource: Resource) -> Mapping[str, str]:
    if resource.custom is not None:
        return {path.lstrip("."): path.lstrip(".") for path in resource.custom.selectable_fields}
    return _FIELDS.get(resource.storage_key, {})


def _read_name(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("name") or "")


def _read_namespace(obj: Mapping[str, Any]) -> str:
    return str(obj["metadata"].get("namespace") or "")


def _path_reader(path: str, default: str) -> Callable[[Mapping[str, Any]], str]:
    keys = path.split(".")

    def read(obj: Mapping[str, Any]) -> str:
        value: Any = obj
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None or value == "":
            return default
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)

    return read


def _read_event_source(obj: Mapping[str, Any]) -> str:
    return str((obj.get("source") or {}).get("component") or obj.get("reportingComponent") or "")


def _read_event_reporter(obj: Mapping[str, Any]) -> str:
    return str(obj.get("reportingComponent") or obj.get("reportingController") or "")


def _read_event_involved(part: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda obj: str((obj.get("involvedObject") or obj.get("regarding") or {}).get(part) or "")


def _same(*paths: str) -> dict[str, str]:
    return {path: path for path in paths}


_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_FIELDS: dict[str, dict[str, str]] = {
    "pods": _same(
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName",
    ),
    "nodes": _same("spec.unschedulable"),
    "namespaces": _same("status.phase") | {"name": "metadata.name"},
    "secrets": _same("type"),
    "services": _same("spec.clusterIP", "spec.type"),
    "events": _same("reason", "type", "reportingComponent") | {"reportingController": "reportingComponent"},
    "replicationcontrollers": _same("status.replicas"),
    "replicasets.apps": _same("status.replicas"),
    "jobs.batch": {"status.successful": "status.succeeded"},
    "customresourcedefinitions.apiextensions.k8s.io": {},
}  # fmt: skip
_DEFAULTS = {
    ("nodes", "spec.unschedulable"): "false",
    ("pods", "spec.hostNetwork"): "false",
    ("replicationcontrollers", "status.replicas"): "0",
    ("replicasets.apps", "status.replicas"): "0",
    ("jobs.batch", "status.successful"): "0",
}
_READERS: dict[tuple[str, str], Callable[[Mapping[str, Any]], str]] = {
    ("events", "source"): _read_event_source,
    **{("events", label): _read_event_reporter for label in ("reportingComponent", "reportingController")},
    **{
        ("events", f"{prefix}.{part}"): _read_event_involved(part)
        for prefix in ("involvedObject", "regarding")
        for part in _INVOLVED
    },
}
