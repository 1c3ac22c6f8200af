"""The rules for webhook configurations, and for the client configurations that definitions share with them.

Source: kubernetes pkg/apis/admissionregistration/validation, apiserver pkg/util/webhook/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from orchestrator.objects import names
from orchestrator.objects.cel import CelSyntaxError, compile_rule
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation.fields import Problems
from orchestrator.objects.validation.selectors import check_label_selector

FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
REVIEW_VERSIONS = ("v1", "v1beta1")
CONDITION_NAMES = ("object", "oldObject", "request", "authorizer")
"""What expressions of match conditions may speak of."""
_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_SCOPES = ("*", "Cluster", "Namespaced")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_REINVOCATION = ("IfNeeded", "Never")
_MAX_CONDITIONS = 64
_MAX_TIMEOUT = 30  # seconds
_FORM = "; desired format: https://host[/path]"


def check_webhooks(problems: Problems, obj: Obj) -> None:
    seen: set[str] = set()
    for at, hook in enumerate(obj.get("webhooks") or ()):
        path = f"webhooks[{at}]"
        _check_hook(problems, hook, path)
        name = hook.get("name") or ""
        if name in seen:
            problems.duplicate(f"{path}.name", name)
        seen.add(name)


def _check_hook(problems: Problems, hook: Mapping[str, Any], path: str) -> None:
    _check_full_name(problems, hook.get("name") or "", f"{path}.name")
    for at, rule in enumerate(hook.get("rules") or ()):
        check_rule(problems, rule, f"{path}.rules[{at}]", check_resources)
    _check_choice(problems, hook, path, "failurePolicy", FAILURE_POLICIES)
    _check_choice(problems, hook, path, "matchPolicy", MATCH_POLICIES)
    _check_choice(problems, hook, path, "reinvocationPolicy", _REINVOCATION)
    if not hook.get("sideEffects"):
        problems.required(f"{path}.sideEffects", f"must specify one of {', '.join(_SIDE_EFFECTS)}")
    _check_choice(problems, hook, path, "sideEffects", _SIDE_EFFECTS)
    timeout = hook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= _MAX_TIMEOUT:
        problems.invalid(f"{path}.timeoutSeconds", timeout, "the timeout value must be between 1 and 30 seconds")
    for field in ("namespaceSelector", "objectSelector"):
        check_label_selector(problems, hook.get(field) or {}, f"{path}.{field}")
    check_client(problems, hook.get("clientConfig") or {}, f"{path}.clientConfig")
    check_conditions(problems, hook.get("matchConditions") or (), CONDITION_NAMES, f"{path}.matchConditions")
    check_review_versions(problems, hook.get("admissionReviewVersions") or (), f"{path}.admissionReviewVersions")


def _check_choice(problems: Problems, hook: Mapping[str, Any], path: str, field: str, allowed: Sequence[str]) -> None:
    if (value := hook.get(field)) and value not in allowed:
        problems.not_supported(f"{path}.{field}", value, allowed)


def _check_full_name(problems: Problems, name: str, path: str) -> None:
    if not name:
        problems.required(path)
        return
    problems.each(path, name, names.dns_subdomain_problems(name))
    if len(name.split(".")) < 3:
        problems.invalid(path, name, "should be a domain with at least three segments separated by dots")


def check_review_versions(problems: Problems, versions: Sequence[str], path: str) -> None:
    if not versions:
        problems.required(path, f"must specify one of {', '.join(REVIEW_VERSIONS)}")
        return
    for at, version in enumerate(versions):
        if version in versions[:at]:
            problems.invalid(f"{path}[{at}]", version, "duplicate version")
            continue
        problems.each(f"{path}[{at}]", version, names.dns_1035_label_problems(version))
    if not set(versions) & set(REVIEW_VERSIONS):
        problems.invalid(path, list(versions), f"must include at least one of {', '.join(REVIEW_VERSIONS)}")


def check_client(problems: Problems, config: Mapping[str, Any], path: str) -> None:
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        problems.required(path, "exactly one of url or service is required")
    elif url is not None:
        _check_url(problems, url, f"{path}.url")
    else:
        _check_service(problems, service or {}, f"{path}.service")


def _check_url(problems: Problems, url: str, path: str) -> None:
    try:
        parts = urlsplit(url)
    except ValueError as problem:
        problems.required(path, f"url must be a valid URL: {problem}{_FORM}")
        return
    if parts.scheme != "https":
        problems.invalid(path, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}")
    if not parts.netloc.rpartition("@")[2]:
        problems.invalid(path, "", f"host must be provided{_FORM}")
    if "@" in parts.netloc:
        problems.invalid(path, parts.netloc.rpartition("@")[0], "user information is not permitted in the URL")
    if parts.fragment:
        problems.invalid(path, parts.fragment, "fragments are not permitted in the URL")
    if parts.query:
        problems.invalid(path, parts.query, "query parameters are not permitted in the URL")


def _check_service(problems: Problems, service: Mapping[str, Any], path: str) -> None:
    for field in ("name", "namespace"):
        if not service.get(field):
            problems.required(f"{path}.{field}", f"service {field} is required")
    port = service.get("port")
    if port is not None and not 1 <= port <= 65535:
        problems.invalid(f"{path}.port", port, "port is not valid: must be between 1 and 65535, inclusive")
    where = service.get("path") or ""
    if where in ("", "/"):
        return
    if not where.startswith("/"):
        problems.invalid(f"{path}.path", where, "must start with a '/'")
    for at, step in enumerate(where[1:].removesuffix("/").split("/")):
        if not step:
            problems.invalid(f"{path}.path", where, f"segment[{at}] may not be empty")
            continue
        for sentence in names.dns_subdomain_problems(step):
            problems.invalid(f"{path}.path", where, f"segment[{at}]: {sentence}")


def check_rule(
    problems: Problems, rule: Mapping[str, Any], path: str, check: Callable[[Problems, Sequence[str], str], None]
) -> None:
    """`check` judges the resources."""
    operations = rule.get("operations") or ()
    if not operations:
        problems.required(f"{path}.operations")
    if len(operations) > 1 and "*" in operations:
        why = "if '*' is present, must not specify other operations"
        problems.invalid(f"{path}.operations", list(operations), why)
    for at, operation in enumerate(operations):
        if operation not in _OPERATIONS:
            problems.not_supported(f"{path}.operations[{at}]", operation, _OPERATIONS)
    for field, word in (("apiGroups", "API groups"), ("apiVersions", "API versions")):
        values = rule.get(field) or ()
        if not values:
            problems.required(f"{path}.{field}")
        if len(values) > 1 and "*" in values:
            problems.invalid(f"{path}.{field}", list(values), f"if '*' is present, must not specify other {word}")
    for at, version in enumerate(rule.get("apiVersions") or ()):
        if not version:
            problems.required(f"{path}.apiVersions[{at}]")
    check(problems, rule.get("resources") or (), f"{path}.resources")
    _check_choice(problems, rule, path, "scope", _SCOPES)


def check_resources(problems: Problems, resources: Sequence[str], path: str) -> None:
    if not resources:
        problems.required(path)
    every_sub: set[str] = set()
    every_resource: set[str] = set()
    for at, text in enumerate(resources):
        if not text:
            problems.required(f"{path}[{at}]")
        resource, slash, sub = text.partition("/")
        if not slash:
            continue
        if resource in every_sub:
            problems.invalid(f"{path}[{at}]", text, f"if '{resource}/*' is present, must not specify {text}")
        if sub in every_resource:
            problems.invalid(f"{path}[{at}]", text, f"if '*/{sub}' is present, must not specify {text}")
        if sub == "*":
            every_sub.add(resource)
        if resource == "*":
            every_resource.add(sub)
    if len(resources) > 1 and "*/*" in resources:
        problems.invalid(path, list(resources), "if '*/*' is present, must not specify other resources")
    if "*" in resources and any(text and text != "*" and "/" not in text for text in resources):
        why = "if '*' is present, must not specify other resources without subresources"
        problems.invalid(path, list(resources), why)


def check_conditions(
    problems: Problems, conditions: Sequence[Mapping[str, Any]], variables: tuple[str, ...], path: str
) -> None:
    if len(conditions) > _MAX_CONDITIONS:
        problems.too_many(path, len(conditions), _MAX_CONDITIONS)
    seen: set[str] = set()
    for at, condition in enumerate(conditions):
        where, name = f"{path}[{at}]", condition.get("name") or ""
        expression = (condition.get("expression") or "").strip()
        if not expression:
            problems.required(f"{where}.expression")
        else:
            check_expression(problems, expression, variables, f"{where}.expression")
        if not name:
            problems.required(f"{where}.name")
        else:
            problems.each(f"{where}.name", name, names.qualified_name_problems(name))
        if name and name in seen:
            problems.duplicate(f"{where}.name", name)
        seen.add(name)


def check_expression(problems: Problems, expression: str, variables: tuple[str, ...], path: str) -> None:
    try:
        compile_rule(expression, variables)
    except CelSyntaxError as problem:
        problems.invalid(path, expression, f"compilation failed: ERROR: <input>:1:1: {problem}")
