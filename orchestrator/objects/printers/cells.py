"""What rows of every kind are made of: columns, ages, lists, selectors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from orchestrator.objects.meta import Obj

NONE = "<none>"
UNKNOWN = "<unknown>"
UNSET = "<unset>"


class Printer(NamedTuple):
    """How one kind is printed.

    A column reads `Title`, `Title:integer` or, for the object's name, `Title:name`; a trailing `*` shows it only in
    wide output.
    """

    columns: tuple[str, ...]
    cells: Callable[[Obj, float], list[Any]]
    conditions: Callable[[Obj], list[dict[str, str]]] | None = None


def column(text: str) -> dict[str, Any]:
    """The column definition that `text` stands for."""
    title, _, kind = text.removesuffix("*").partition(":")
    return {
        "name": title,
        "type": kind if kind in ("integer", "boolean") else "string",
        "format": "name" if kind == "name" else "",
        "description": f"{title} of the object.",
        "priority": 1 if text.endswith("*") else 0,
    }


@lru_cache(maxsize=8192)
def epoch(stamp: str) -> float:
    """Seconds of the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(stamp).timestamp()


def since(stamp: str | None, now: float) -> str:
    """How long ago, as kubectl says it: `5m12s`; `<unknown>` without a time."""
    if not stamp:
        return UNKNOWN
    try:
        return duration(now - epoch(stamp))
    except ValueError:
        return "<invalid>"


def age_cell(obj: Obj, now: float) -> str:
    return since(obj["metadata"].get("creationTimestamp"), now)


def timestamp(obj: Obj) -> str:
    return obj["metadata"].get("creationTimestamp") or UNKNOWN


def duration(seconds: float) -> str:
    """Source: apimachinery pkg/util/duration.HumanDuration."""
    total = int(seconds)
    if total < -1:
        return "<invalid>"
    if total < 120:
        return f"{max(total, 0)}s"
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    if days < 2920:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def some(items: Iterable[str], limit: int = 3, empty: str = NONE, separator: str = ",") -> str:
    """The first `limit` items and how many more there are."""
    listed = list(items)
    if not listed:
        return empty
    text = separator.join(listed[:limit])
    return text if len(listed) <= limit else f"{text} + {len(listed) - limit} more..."


def joined(items: Iterable[str], empty: str = NONE) -> str:
    return ",".join(items) or empty


def labels_text(labels: Mapping[str, str] | None) -> str:
    return joined(f"{key}={value}" for key, value in sorted((labels or {}).items()))


_OPERATORS = {"In": "in", "NotIn": "notin"}


def selector_text(selector: Mapping[str, Any] | None) -> str:
    """A LabelSelector object as one would write it: `app=web,tier in (a,b)`."""
    parts = [f"{key}={value}" for key, value in ((selector or {}).get("matchLabels") or {}).items()]
    for expression in (selector or {}).get("matchExpressions") or ():
        key, operator = expression.get("key", ""), expression.get("operator", "")
        if operator in _OPERATORS:
            parts.append(f"{key} {_OPERATORS[operator]} ({','.join(sorted(expression.get('values') or ()))})")
        else:
            parts.append(f"!{key}" if operator == "DoesNotExist" else key)
    return joined(sorted(parts))


def containers_cells(template: Mapping[str, Any]) -> list[str]:
    """The CONTAINERS and IMAGES cells of a workload."""
    containers = (template.get("spec") or {}).get("containers") or ()
    return [",".join(c.get("name", "") for c in containers), ",".join(c.get("image", "") for c in containers)]


def name_of(obj: Obj) -> str:
    return str(obj["metadata"].get("name") or "")


def spec_of(obj: Obj) -> dict[str, Any]:
    return obj.get("spec") or {}


def status_of(obj: Obj) -> dict[str, Any]:
    return obj.get("status") or {}


def condition(obj: Obj, type_: str) -> Mapping[str, Any] | None:
    for item in status_of(obj).get("conditions") or ():
        if item.get("type") == type_:
            return item  # type: ignore[no-any-return]
    return None
