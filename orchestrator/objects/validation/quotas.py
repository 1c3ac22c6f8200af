"""The rules for ResourceQuotas: amounts, and which scopes go with which resources and with each other.

Source: kubernetes pkg/apis/core/validation/validation.go, ValidateResourceQuota.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.objects import names, quantity
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation.containers import check_amount
from orchestrator.objects.validation.fields import Problems

_COMPUTE = frozenset(("cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"))
_CLAIMS = frozenset(("persistentvolumeclaims", "requests.storage"))
_STANDARD = _COMPUTE | _CLAIMS | {
    "pods", "services", "replicationcontrollers", "secrets", "configmaps", "resourcequotas", "services.nodeports",
    "services.loadbalancers", "ephemeral-storage", "requests.ephemeral-storage", "limits.ephemeral-storage",
}  # fmt: skip
_SCOPES = {
    "Terminating": _COMPUTE | {"pods"},
    "NotTerminating": _COMPUTE | {"pods"},
    "NotBestEffort": _COMPUTE | {"pods"},
    "PriorityClass": _COMPUTE | {"pods"},
    "CrossNamespacePodAffinity": _COMPUTE | {"pods"},
    "BestEffort": frozenset(("pods",)),
    "VolumeAttributesClass": _CLAIMS,
}
"""Scope -> the resources of Kubernetes' own that it can narrow."""
_OPPOSITES = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})


def check_quota(problems: Problems, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    for name, amount in (spec.get("hard") or {}).items():
        problems.each(f"spec.hard[{name}]", name, names.qualified_name_problems(name))
        check_amount(problems, amount, f"spec.hard[{name}]")
        if not name.endswith(("cpu", "memory", "storage")) and "/" not in name:
            if quantity.parse_quantity(amount).nanos % quantity.NANO:
                problems.invalid(f"spec.hard[{name}]", amount, "must be an integer")
    _check_scopes(problems, spec, list(spec.get("scopes") or ()), "spec.scopes")
    terms = (spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    path = "spec.scopeSelector.matchExpressions"
    _check_scopes(problems, spec, [term.get("scopeName") for term in terms], path)
    for at, term in enumerate(terms):
        _check_term(problems, term, f"{path}[{at}]")


def _check_scopes(problems: Problems, spec: Mapping[str, Any], scopes: list[Any], path: str) -> None:
    for scope in scopes:
        if scope not in _SCOPES:
            problems.invalid(path, scopes, "unsupported scope")
            continue
        for name in spec.get("hard") or ():
            if name in _STANDARD and name not in _SCOPES[scope]:
                problems.invalid(path, scopes, "unsupported scope applied to resource")
    if any(pair <= set(scopes) for pair in _OPPOSITES):
        problems.invalid(path, scopes, "conflicting scopes")


def _check_term(problems: Problems, term: Mapping[str, Any], path: str) -> None:
    scope, operator, values = term.get("scopeName"), term.get("operator"), term.get("values") or ()
    if scope not in ("PriorityClass", "VolumeAttributesClass") and scope in _SCOPES and operator != "Exists":
        problems.invalid(f"{path}.operator", operator, "must be 'Exist' when scope is any of Terminating, "
                         "NotTerminating, BestEffort, NotBestEffort and CrossNamespacePodAffinity")  # fmt: skip
    if operator in ("In", "NotIn"):
        if not values:
            problems.required(
                f"{path}.values", "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            )
    elif operator in ("Exists", "DoesNotExist"):
        if values:
            problems.invalid(f"{path}.values", list(values), "must be no value when `operator` is 'Exists' or "
                             "'DoesNotExist' for scope selector")  # fmt: skip
    else:
        problems.invalid(f"{path}.operator", operator, "not a valid selector operator")


def check_quota_update(problems: Problems, new: Obj, old: Obj) -> None:
    problems.unchanged("spec.scopes", (new.get("spec") or {}).get("scopes"), (old.get("spec") or {}).get("scopes"))
