"""Rows of custom resources: the columns their definition asks for."""

from __future__ import annotations

from typing import Any

from orchestrator.objects import jsonpath
from orchestrator.objects.custom import CustomType
from orchestrator.objects.meta import Obj
from orchestrator.objects.printers.cells import Printer, column, name_of, since

_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def _asked(custom: CustomType) -> list[dict[str, Any]]:
    return [dict(item) for item in custom.columns] or [_AGE]


def columns(custom: CustomType) -> list[dict[str, Any]]:
    result = [column("Name:name")]
    for asked in _asked(custom):
        result.append(
            {
                "name": asked["name"],
                "type": asked.get("type", "string"),
                "format": asked.get("format", ""),
                "description": asked.get("description")
                or f"Custom resource definition column from JSONPath {asked.get('jsonPath', '')}.",
                "priority": asked.get("priority", 0),
            }
        )
    return result


def printer(custom: CustomType) -> Printer:
    readers = [(asked.get("type", "string"), jsonpath.parse(asked.get("jsonPath", ""))) for asked in _asked(custom)]

    def cells(obj: Obj, now: float) -> list[Any]:
        return [name_of(obj), *(_cell(type_, path.find(obj), now) for type_, path in readers)]

    return Printer((), cells)


def _cell(type_: str, found: list[Any], now: float) -> Any:
    if not found:
        return None
    value = found[0]
    match type_:
        case "integer":
            return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "number":
            return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
        case "date":
            return since(value, now) if isinstance(value, str) else None
    if len(found) > 1:
        return ",".join(jsonpath.text_of(item) for item in found)
    return jsonpath.text_of(value)
