"""The rules for LabelSelector objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.objects import names
from orchestrator.objects.validation.fields import Problems


def check_label_selector(problems: Problems, selector: Mapping[str, Any], path: str) -> None:
    for key, value in (selector.get("matchLabels") or {}).items():
        problems.each(f"{path}.matchLabels", key, names.qualified_name_problems(key))
        problems.each(f"{path}.matchLabels", value, names.label_value_problems(value))
    for at, expression in enumerate(selector.get("matchExpressions") or ()):
        where = f"{path}.matchExpressions[{at}]"
        operator, values = expression.get("operator"), expression.get("values") or ()
        if operator in ("In", "NotIn"):
            if not values:
                problems.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'")
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                problems.forbidden(
                    f"{where}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
        else:
            problems.invalid(f"{where}.operator", operator or "", "not a valid selector operator")
        key = expression.get("key") or ""
        problems.each(f"{where}.key", key, names.qualified_name_problems(key))
        for place, value in enumerate(values):
            problems.each(f"{where}.values[{place}]", value, names.label_value_problems(value))
