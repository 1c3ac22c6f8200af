"""Collecting what is wrong with an object's fields, in Kubernetes' words.

Source: apimachinery pkg/util/validation/field/errors.go and api/errors.NewInvalid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from orchestrator import errors
from orchestrator.objects.kinds import Resource

IMMUTABLE = "field is immutable"


class Problems:
    """The problems found so far; each method adds one."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[tuple[str, str, str]] = []

    def add(self, reason: str, path: str, text: str) -> None:
        self.found.append((reason, path, text))

    def required(self, path: str, detail: str = "") -> None:
        self.add("FieldValueRequired", path, f"Required value: {detail}" if detail else "Required value")

    def invalid(self, path: str, value: Any, detail: str) -> None:
        self.add("FieldValueInvalid", path, f"Invalid value: {shown(value)}: {detail}")

    def type_invalid(self, path: str, value: Any, detail: str) -> None:
        self.add("FieldValueTypeInvalid", path, f"Invalid value: {shown(value)}: {detail}")

    def forbidden(self, path: str, detail: str) -> None:
        self.add("FieldValueForbidden", path, f"Forbidden: {detail}")

    def duplicate(self, path: str, value: Any) -> None:
        self.add("FieldValueDuplicate", path, f"Duplicate value: {shown(value)}")

    def not_found(self, path: str, value: Any) -> None:
        self.add("FieldValueNotFound", path, f"Not found: {shown(value)}")

    def too_long(self, path: str, limit: int) -> None:
        self.add("FieldValueTooLong", path, f"Too long: may not be more than {limit} bytes")

    def too_many(self, path: str, count: int, limit: int) -> None:
        self.add("FieldValueTooMany", path, f"Too many: {count}: must have at most {limit} items")

    def not_supported(self, path: str, value: Any, allowed: Iterable[str]) -> None:
        listed = ", ".join(f'"{item}"' for item in sorted(allowed))
        self.add("FieldValueNotSupported", path, f"Unsupported value: {shown(value)}: supported values: {listed}")

    def each(self, path: str, value: Any, sentences: Iterable[str]) -> None:
        """One "Invalid value" for every sentence, as `names.*_problems` gives them."""
        for sentence in sentences:
            self.invalid(path, value, sentence)

    # The checks below are used by many kinds.

    def one_of(self, path: str, value: Any, allowed: Sequence[str]) -> None:
        if value in (None, ""):
            self.required(path)
        elif value not in allowed:
            self.not_supported(path, value, allowed)

    def not_negative(self, path: str, value: Any) -> None:
        if value is not None and value < 0:
            self.invalid(path, value, "must be greater than or equal to 0")

    def unchanged(self, path: str, new: Any, old: Any, detail: str = IMMUTABLE) -> None:
        if new != old:
            self.invalid(path, new, detail)

    def raise_for(self, resource: Resource, obj: Mapping[str, Any]) -> None:
        """Raises: Invalid when anything was found."""
        if self.found:
            raise invalid(resource, (obj.get("metadata") or {}).get("name") or "", self.found)


def shown(value: Any) -> str:
    """A value as Go prints it in these messages: strings quoted, the rest as JSON."""
    return "null" if value is None else orjson.dumps(value).decode()


def invalid(resource: Resource, name: str, found: Sequence[tuple[str, str, str]]) -> errors.Invalid:
    """The error of `(reason, path, text)` problems."""
    texts = list(dict.fromkeys(f"{path}: {text}" for _, path, text in found))
    summary = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    qualified = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return errors.Invalid(
        f'{qualified} "{name}" is invalid: {summary}',
        kind=resource.kind,
        group=resource.group,
        name=name,
        causes=[{"reason": reason, "message": text, "field": path} for reason, path, text in found],
    )
