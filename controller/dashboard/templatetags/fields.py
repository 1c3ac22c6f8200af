"""A form's field as every page shows it: label, hint, what was typed, and its own complaint, tied together for screen
readers.
"""

from __future__ import annotations

from typing import Any

from django import template

register = template.Library()


@register.inclusion_tag("dashboard/parts/field.html", takes_context=True)
def field(context: template.Context, target: str, name: str, label: str, **how: Any) -> dict[str, Any]:
    """The field `name` of the form that is sent to `target`.

    Of `how`: value, hint, kind (an input's type, `textarea`), choices of (value, label) for a select, place
    (placeholder), least and most (of a number), longest (characters), rows, mono, needed, secret (typed text is never
    shown again), offers (the id of a datalist).
    """
    request = context["request"]
    mine = request.method == "POST" and request.path == target
    entered = context.get("entered") or {}
    value = entered.get(name, "") if mine and not how.get("secret") else how.get("value")
    return {
        **how,
        "name": name,
        "label": label,
        "id": f"{target.strip('/').replace('/', '-')}-{name}",
        "shown": "" if value is None else str(value),
        "wrong": getattr(request, "complaints", {}).get(name) if mine else None,
    }
