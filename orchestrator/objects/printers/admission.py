"""Webhook configurations and admission policies."""

from __future__ import annotations

from typing import Any

from orchestrator.objects.meta import Obj
from orchestrator.objects.printers.cells import UNSET, Printer, age_cell
from orchestrator.objects.selectors import label_selector_from_object

WEBHOOKS = Printer(
    ("Name:name", "Webhooks:integer", "Age"),
    lambda obj, now: [obj["metadata"]["name"], len(obj.get("webhooks") or ()), age_cell(obj, now)],
)


def _policy(obj: Obj, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    kind = spec.get("paramKind")
    shown = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET
    return [obj["metadata"]["name"], len(spec.get("validations") or ()), shown, age_cell(obj, now)]


def _binding(obj: Obj, now: float) -> list[Any]:
    spec = obj.get("spec") or {}
    reference, shown = spec.get("paramRef") or {}, UNSET
    if reference.get("name"):
        shown = "/".join(filter(None, (reference.get("namespace"), reference["name"])))
    elif "selector" in reference:
        shown = str(label_selector_from_object(reference["selector"]))
    return [obj["metadata"]["name"], spec.get("policyName", ""), shown, age_cell(obj, now)]


POLICY = Printer(("Name:name", "Validations:integer", "ParamKind", "Age"), _policy)
BINDING = Printer(("Name:name", "PolicyName", "ParamRef", "Age"), _binding)
