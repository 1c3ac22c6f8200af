"""The rules for what steers pods to nodes: affinity, tolerations, spread constraints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.objects import names
from orchestrator.objects.validation.fields import Problems
from orchestrator.objects.validation.selectors import check_label_selector

EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")
_NODE_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")


def check_scheduling(problems: Problems, spec: Mapping[str, Any], path: str) -> None:
    if affinity := spec.get("affinity"):
        _check_affinity(problems, affinity, f"{path}.affinity")
    for at, toleration in enumerate(spec.get("tolerations") or ()):
        _check_toleration(problems, toleration, f"{path}.tolerations[{at}]")
    for at, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        _check_spread(problems, constraint, f"{path}.topologySpreadConstraints[{at}]")


def _check_affinity(problems: Problems, affinity: Mapping[str, Any], path: str) -> None:
    node = affinity.get("nodeAffinity") or {}
    if (required := node.get("requiredDuringSchedulingIgnoredDuringExecution")) is not None:
        where = f"{path}.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution"
        check_node_selector(problems, required, where)
    for at, term in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        where = f"{path}.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[{at}]"
        _check_weight(problems, term, where)
        _check_node_term(problems, term.get("preference") or {}, f"{where}.preference")
    for kind in ("podAffinity", "podAntiAffinity"):
        pod = affinity.get(kind) or {}
        for at, term in enumerate(pod.get("requiredDuringSchedulingIgnoredDuringExecution") or ()):
            _check_pod_term(problems, term, f"{path}.{kind}.requiredDuringSchedulingIgnoredDuringExecution[{at}]")
        for at, term in enumerate(pod.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
            where = f"{path}.{kind}.preferredDuringSchedulingIgnoredDuringExecution[{at}]"
            _check_weight(problems, term, where)
            _check_pod_term(problems, term.get("podAffinityTerm") or {}, f"{where}.podAffinityTerm")


def check_node_selector(problems: Problems, selector: Mapping[str, Any], path: str) -> None:
    terms = selector.get("nodeSelectorTerms") or ()
    if not terms:
        problems.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")
    for at, term in enumerate(terms):
        _check_node_term(problems, term, f"{path}.nodeSelectorTerms[{at}]")


def _check_weight(problems: Problems, term: Mapping[str, Any], path: str) -> None:
    weight = term.get("weight", 0)
    if not 1 <= weight <= 100:
        problems.invalid(f"{path}.weight", weight, "must be in the range 1-100")


def _check_node_term(problems: Problems, term: Mapping[str, Any], path: str) -> None:
    for field in ("matchExpressions", "matchFields"):
        for at, expression in enumerate(term.get(field) or ()):
            where = f"{path}.{field}[{at}]"
            operator, values = expression.get("operator"), expression.get("values") or ()
            if operator not in _NODE_OPERATORS:
                problems.not_supported(f"{where}.operator", operator, _NODE_OPERATORS)
            elif operator in ("In", "NotIn") and not values:
                problems.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'")
            elif operator in ("Exists", "DoesNotExist") and values:
                problems.forbidden(
                    f"{where}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
            elif operator in ("Gt", "Lt") and len(values) != 1:
                problems.required(f"{where}.values", "must be specified single value when `operator` is 'Lt' or 'Gt'")
            key = expression.get("key") or ""
            if field == "matchFields":
                if key != "metadata.name":
                    problems.not_supported(f"{where}.key", key, ("metadata.name",))
            else:
                problems.each(f"{where}.key", key, names.qualified_name_problems(key))


def _check_pod_term(problems: Problems, term: Mapping[str, Any], path: str) -> None:
    if (selector := term.get("labelSelector")) is not None:
        check_label_selector(problems, selector, f"{path}.labelSelector")
    key = term.get("topologyKey") or ""
    if not key:
        problems.required(f"{path}.topologyKey", "can not be empty")
    else:
        problems.each(f"{path}.topologyKey", key, names.qualified_name_problems(key))
    for at, namespace in enumerate(term.get("namespaces") or ()):
        problems.each(f"{path}.namespaces[{at}]", namespace, names.dns_label_problems(namespace))


def _check_toleration(problems: Problems, toleration: Mapping[str, Any], path: str) -> None:
    key, operator = toleration.get("key") or "", toleration.get("operator") or ""
    if key:
        problems.each(f"{path}.key", key, names.qualified_name_problems(key))
    elif operator != "Exists":
        problems.invalid(
            f"{path}.operator", operator, "operator must be Exists when `key` is empty, which means \"match all values "
            "and all keys\"",
        )  # fmt: skip
    if toleration.get("tolerationSeconds") is not None and toleration.get("effect") != "NoExecute":
        problems.invalid(
            f"{path}.effect",
            toleration.get("effect") or "",
            "effect must be 'NoExecute' when `tolerationSeconds` is set",
        )
    value = toleration.get("value") or ""
    if operator in ("", "Equal"):
        problems.each(f"{path}.operator", value, names.label_value_problems(value))
    elif operator == "Exists":
        if value:
            problems.invalid(f"{path}.operator", dict(toleration), "value must be empty when `operator` is 'Exists'")
    else:
        problems.not_supported(f"{path}.operator", operator, ("Equal", "Exists"))
    effect = toleration.get("effect")
    if effect and effect not in EFFECTS:
        problems.not_supported(f"{path}.effect", effect, EFFECTS)


def check_taint(problems: Problems, taint: Mapping[str, Any], path: str) -> None:
    key = taint.get("key") or ""
    problems.each(f"{path}.key", key, names.qualified_name_problems(key))
    value = taint.get("value") or ""
    problems.each(f"{path}.value", value, names.label_value_problems(value))
    problems.one_of(f"{path}.effect", taint.get("effect"), EFFECTS)


def _check_spread(problems: Problems, constraint: Mapping[str, Any], path: str) -> None:
    if constraint.get("maxSkew", 0) <= 0:
        problems.invalid(f"{path}.maxSkew", constraint.get("maxSkew", 0), "must be greater than zero")
    if not constraint.get("topologyKey"):
        problems.required(f"{path}.topologyKey", "can not be empty")
    when = constraint.get("whenUnsatisfiable") or ""
    if when not in ("DoNotSchedule", "ScheduleAnyway"):
        problems.not_supported(f"{path}.whenUnsatisfiable", when, ("DoNotSchedule", "ScheduleAnyway"))
    domains = constraint.get("minDomains")
    if domains is not None:
        if domains <= 0:
            problems.invalid(f"{path}.minDomains", domains, "must be greater than zero")
        if when != "DoNotSchedule":
            problems.invalid(
                f"{path}.minDomains",
                domains,
                f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}",
            )
    if (selector := constraint.get("labelSelector")) is not None:
        check_label_selector(problems, selector, f"{path}.labelSelector")
