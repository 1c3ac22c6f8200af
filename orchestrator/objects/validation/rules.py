"""The rules a definition writes itself: `x-kubernetes-validations`, in the Common Expression Language.

Source: apiextensions-apiserver pkg/apiserver/schema/cel/validation.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.objects.cel import BUDGET, CelError, CelSyntaxError, Evaluation, compile_rule
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation.fields import Problems

KEYWORD = "x-kubernetes-validations"
REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_SKIPPED = (
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation"
)
_MISSING = object()


def check_rules(problems: Problems, schema: Mapping[str, Any], obj: Obj, old: Obj | None) -> None:
    """Runs every rule, once the object is otherwise fine."""
    if problems.found:
        problems.add("FieldValueInvalid", "<nil>", f'Invalid value: "null": {_SKIPPED}')
        return
    walk = _Walk(problems)
    walk.value(schema, _visible(obj), _MISSING if old is None else _visible(old), "")


def _visible(obj: Obj) -> Obj:
    """Of metadata, rules see the name alone."""
    meta = {key: value for key, value in obj["metadata"].items() if key in ("name", "generateName")}
    return {**obj, "metadata": meta}


class _Walk:
    """One pass over an object and, beside it, the object it replaces."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.evaluation = Evaluation(BUDGET)

    def value(self, schema: Any, value: Any, old: Any, path: str) -> None:
        if not isinstance(schema, Mapping) or value is None:
            return
        for rule in schema.get(KEYWORD) or ():
            self._rule(rule, schema, value, old, path)
        if isinstance(value, dict):
            self._fields(schema, value, old if isinstance(old, dict) else {}, path)
        elif isinstance(value, list) and "items" in schema:
            before = _by_keys(schema, old) if isinstance(old, list) else {}
            for at, item in enumerate(value):
                self.value(schema["items"], item, before.get(_key(schema, item), _MISSING), f"{path}[{at}]")

    def _fields(self, schema: Mapping[str, Any], value: Obj, old: Obj, path: str) -> None:
        properties, others = schema.get("properties") or {}, schema.get("additionalProperties")
        for key, item in value.items():
            below = properties.get(key, others)
            self.value(below, item, old.get(key, _MISSING), f"{path}.{key}".lstrip("."))

    def _rule(self, rule: Mapping[str, Any], schema: Mapping[str, Any], value: Any, old: Any, path: str) -> None:
        text = rule.get("rule") or ""
        try:
            compiled = compile_rule(text)
            if compiled.uses_old and old is _MISSING:
                return
            names = {"self": value} if old is _MISSING else {"self": value, "oldSelf": old}
            if compiled.evaluate(names, self.evaluation) is True:
                return
            detail = self._message(rule, names)
        except (CelError, CelSyntaxError) as problem:
            detail = f"rule evaluation error: {problem} evaluating rule: {text}"
        reason = rule.get("reason") or "FieldValueInvalid"
        self._report(reason, f"{path}{rule.get('fieldPath') or ''}".lstrip("."), schema.get("type") or "", detail)

    def _message(self, rule: Mapping[str, Any], names: Mapping[str, Any]) -> str:
        if written := rule.get("messageExpression"):
            try:
                text = compile_rule(written).evaluate(names, self.evaluation)
            except CelError:
                text = ""
            if isinstance(text, str) and text.strip():
                return text.strip()
        return rule.get("message") or f"failed rule: {' '.join((rule.get('rule') or '').split())}"

    def _report(self, reason: str, path: str, kind: str, detail: str) -> None:
        match reason:
            case "FieldValueRequired":
                self.problems.required(path, detail)
            case "FieldValueForbidden":
                self.problems.forbidden(path, detail)
            case "FieldValueDuplicate":
                self.problems.duplicate(path, kind)
            case _:
                self.problems.invalid(path, kind, detail)


def _key(schema: Mapping[str, Any], item: Any) -> Any:
    """What tells an item of a map-like list from its siblings; other lists have no memory of their items."""
    if schema.get("x-kubernetes-list-type") != "map" or not isinstance(item, dict):
        return None
    return tuple(str(item.get(key)) for key in schema.get("x-kubernetes-list-map-keys") or ())


def _by_keys(schema: Mapping[str, Any], items: list[Any]) -> dict[Any, Any]:
    return {key: item for item in items if (key := _key(schema, item)) is not None}


def check_definition_rules(problems: Problems, schema: Mapping[str, Any], path: str) -> None:
    """That the rules at one place of a definition's schema compile."""
    for at, rule in enumerate(schema.get(KEYWORD) or ()):
        where = f"{path}.{KEYWORD}[{at}]"
        for field in ("rule", "messageExpression"):
            text = rule.get(field)
            if not text:
                if field == "rule":
                    problems.required(f"{where}.rule", "rule is not specified")
                continue
            try:
                compile_rule(text)
            except CelSyntaxError as problem:
                problems.invalid(f"{where}.{field}", text, f"compilation failed: ERROR: <input>:1:1: {problem}")
        if rule.get("reason") not in (None, "", *REASONS):
            problems.not_supported(f"{where}.reason", rule["reason"], REASONS)
