"""The rules for ValidatingAdmissionPolicies and their bindings.

Source: kubernetes pkg/apis/admissionregistration/validation. Types that don't fit are found when an expression runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.objects import names
from orchestrator.objects.cel import CelSyntaxError, compile_rule
from orchestrator.objects.cel.syntax import walk
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation import webhooks
from orchestrator.objects.validation.fields import Problems
from orchestrator.objects.validation.selectors import check_label_selector

REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
ACTIONS = ("Audit", "Deny", "Warn")
_NAMES = ("object", "oldObject", "request", "namespaceObject", "authorizer", "variables")
_NOT_FOUND = ("Allow", "Deny")
_IDENTIFIER = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_RESERVED = frozenset((
    "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
    "let", "loop", "package", "namespace", "return", "var", "void", "while",
))  # fmt: skip
_MAX_ANNOTATIONS = 20


def names_of(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """What the expressions of a policy may speak of."""
    return (*_NAMES, "params") if spec.get("paramKind") else _NAMES


def check_policy(problems: Problems, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    known = names_of(spec)
    policy = spec.get("failurePolicy")
    problems.one_of("spec.failurePolicy", policy, webhooks.FAILURE_POLICIES)
    if spec.get("paramKind"):
        _check_param_kind(problems, spec["paramKind"])
    constraints = spec.get("matchConstraints")
    if constraints is None:
        problems.required("spec.matchConstraints")
    else:
        _check_match(problems, constraints, "spec.matchConstraints")
        if not constraints.get("resourceRules"):
            problems.required("spec.matchConstraints.resourceRules")
    webhooks.check_conditions(problems, spec.get("matchConditions") or (), known, "spec.matchConditions")
    variables = _check_variables(problems, spec.get("variables") or (), known)
    validations, annotations = spec.get("validations") or (), spec.get("auditAnnotations") or ()
    if not validations and not annotations:
        for field in ("validations", "auditAnnotations"):
            problems.required(f"spec.{field}", "validations or auditAnnotations must contain at least one item")
    for at, validation in enumerate(validations):
        _check_validation(problems, validation, known, variables, f"spec.validations[{at}]")
    _check_annotations(problems, annotations, known, variables)


def _check_param_kind(problems: Problems, kind: Mapping[str, Any]) -> None:
    path, version = "spec.paramKind", kind.get("apiVersion") or ""
    if not version:
        problems.required(f"{path}.apiVersion")
    elif version.count("/") > 1:
        problems.invalid(f"{path}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    else:
        group, _, number = version.rpartition("/")
        if group:
            problems.each(f"{path}.apiVersion", group, names.dns_subdomain_problems(group))
        problems.each(f"{path}.apiVersion", number, names.dns_1035_label_problems(number))
    name = kind.get("kind") or ""
    if not name:
        problems.required(f"{path}.kind")
    elif found := names.dns_1035_label_problems(name.lower()):
        problems.invalid(f"{path}.kind", name, f"may have mixed case, but should otherwise match: {','.join(found)}")


def _check_match(problems: Problems, match: Mapping[str, Any], path: str) -> None:
    problems.one_of(f"{path}.matchPolicy", match.get("matchPolicy"), webhooks.MATCH_POLICIES)
    for field in ("namespaceSelector", "objectSelector"):
        check_label_selector(problems, match.get(field) or {}, f"{path}.{field}")
    for field in ("resourceRules", "excludeResourceRules"):
        for at, rule in enumerate(match.get(field) or ()):
            where = f"{path}.{field}[{at}]"
            listed = rule.get("resourceNames") or ()
            for place, name in enumerate(listed):
                problems.each(f"{where}.resourceNames[{place}]", name, names.path_segment_problems(name))
                if name in listed[:place]:
                    problems.duplicate(f"{where}.resourceNames[{place}]", name)
            webhooks.check_rule(problems, rule, where, webhooks.check_resources)


def _check_variables(problems: Problems, variables: Sequence[Mapping[str, Any]], known: tuple[str, ...]) -> set[str]:
    """The variables' names; each may only use those before it."""
    defined: set[str] = set()
    for at, variable in enumerate(variables):
        where, name = f"spec.variables[{at}]", variable.get("name") or ""
        if not name.strip():
            problems.required(f"{where}.name", "name is not specified")
        elif not _IDENTIFIER.fullmatch(name) or name in _RESERVED:
            problems.invalid(f"{where}.name", name, "name is not a valid CEL identifier")
        elif name in defined:
            problems.duplicate(f"{where}.name", name)
        _check_expression(problems, variable.get("expression") or "", known, defined, f"{where}.expression")
        defined.add(name)
    return defined


def _check_expression(
    problems: Problems, text: str, known: tuple[str, ...], variables: set[str], path: str
) -> None:  # fmt: skip
    if not text.strip():
        problems.required(path, "expression is not specified")
        return
    try:
        rule = compile_rule(text.strip(), known)
    except CelSyntaxError as problem:
        problems.invalid(path, text, f"compilation failed: ERROR: <input>:1:1: {problem}")
        return
    for node in walk(rule.expression):
        if node[0] == "field" and node[1] == ("ident", "variables") and node[2] not in variables:
            problems.invalid(path, text, f"compilation failed: ERROR: <input>:1:1: undefined field '{node[2]}'")


def _check_validation(
    problems: Problems, validation: Mapping[str, Any], known: tuple[str, ...], variables: set[str], path: str
) -> None:
    _check_expression(problems, validation.get("expression") or "", known, variables, f"{path}.expression")
    message, written = validation.get("message") or "", validation.get("messageExpression") or ""
    if written and not written.strip():
        problems.invalid(f"{path}.messageExpression", written, "must be non-empty if specified")
    elif written:
        without = tuple(name for name in known if name != "authorizer")
        _check_expression(problems, written, without, variables, f"{path}.messageExpression")
    if message and not message.strip():
        problems.invalid(f"{path}.message", message, "message must be non-empty if specified")
    elif "\n" in message.strip() or "\r" in message.strip():
        problems.invalid(f"{path}.message", message, "message must not contain line breaks")
    if (reason := validation.get("reason")) and reason not in REASONS:
        problems.not_supported(f"{path}.reason", reason, REASONS)


def _check_annotations(
    problems: Problems, annotations: Sequence[Mapping[str, Any]], known: tuple[str, ...], variables: set[str]
) -> None:
    path, seen = "spec.auditAnnotations", set()
    if len(annotations) > _MAX_ANNOTATIONS:
        problems.invalid(path, list(annotations), f"must not have more than {_MAX_ANNOTATIONS} auditAnnotations")
    for at, annotation in enumerate(annotations):
        key = annotation.get("key") or ""
        problems.each(f"{path}[{at}].key", key, names.qualified_name_problems(key))
        if key in seen:
            problems.duplicate(f"{path}[{at}].key", key)
        seen.add(key)
        expression = annotation.get("valueExpression") or ""
        if not expression.strip():
            problems.required(f"{path}[{at}].valueExpression", "valueExpression is not specified")
        else:
            _check_expression(problems, expression, known, variables, f"{path}[{at}].valueExpression")


def check_binding(problems: Problems, obj: Obj) -> None:
    spec = obj.get("spec") or {}
    name = spec.get("policyName") or ""
    if not name:
        problems.required("spec.policyName")
    else:
        problems.each("spec.policyName", name, names.dns_subdomain_problems(name))
    if spec.get("paramRef") is not None:
        _check_reference(problems, spec["paramRef"])
    if spec.get("matchResources") is not None:
        _check_match(problems, spec["matchResources"], "spec.matchResources")
    _check_actions(problems, spec.get("validationActions") or ())


def _check_reference(problems: Problems, reference: Mapping[str, Any]) -> None:
    path, name, selector = "spec.paramRef", reference.get("name") or "", reference.get("selector")
    if name:
        problems.each(f"{path}.name", name, names.path_segment_problems(name))
    if selector is not None:
        check_label_selector(problems, selector, f"{path}.selector")
    if name and selector is not None:
        for field in ("name", "selector"):
            problems.forbidden(f"{path}.{field}", "name and selector are mutually exclusive")
    elif not name and selector is None:
        problems.required(path, "one of name or selector must be specified")
    problems.one_of(f"{path}.parameterNotFoundAction", reference.get("parameterNotFoundAction"), _NOT_FOUND)


def _check_actions(problems: Problems, actions: Sequence[str]) -> None:
    path = "spec.validationActions"
    for at, action in enumerate(actions):
        if action not in ACTIONS:
            problems.not_supported(f"{path}[{at}]", action, ACTIONS)
        if action in actions[:at]:
            problems.duplicate(f"{path}[{at}]", action)
    if {"Deny", "Warn"} <= set(actions):
        why = "must not contain both Deny and Warn (repeating the same validation failure information in the API "
        problems.invalid(path, list(actions), f"{why}response and headers serves no purpose)")
    if not actions:
        problems.required(path, "at least one validation action is required")
