"""Webhook configurations and admission policies. Source: kubernetes pkg/apis/admissionregistration/v1/defaults.go."""

from __future__ import annotations

from typing import Any

from orchestrator.objects.meta import Obj

_PORT = 443
_TIMEOUT = 10  # seconds


def default_mutating(obj: Obj) -> None:
    default_webhooks(obj)
    for hook in obj.get("webhooks") or ():
        hook.setdefault("reinvocationPolicy", "Never")


def default_webhooks(obj: Obj) -> None:
    for hook in obj.get("webhooks") or ():
        hook.setdefault("failurePolicy", "Fail")
        hook.setdefault("timeoutSeconds", _TIMEOUT)
        default_client(hook.get("clientConfig") or {})
        _default_match(hook, hook.get("rules"))


def default_client(config: dict[str, Any]) -> None:
    if service := config.get("service"):
        service.setdefault("port", _PORT)


def _default_match(match: dict[str, Any], rules: Any) -> None:
    match.setdefault("matchPolicy", "Equivalent")
    match.setdefault("namespaceSelector", {})
    match.setdefault("objectSelector", {})
    for rule in rules or ():
        rule.setdefault("scope", "*")


def default_policy(obj: Obj) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    _default_resources(spec.get("matchConstraints"))


def default_binding(obj: Obj) -> None:
    _default_resources(obj.setdefault("spec", {}).get("matchResources"))


def _default_resources(match: Any) -> None:
    if match is not None:
        _default_match(match, (*(match.get("resourceRules") or ()), *(match.get("excludeResourceRules") or ())))
