"""Which writes a rule, a selector or a condition means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.webhooks.request import Request
from orchestrator.objects import kinds
from orchestrator.objects.cel import BUDGET, CelError, Evaluation, Rule, compile_rule
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Key, Obj
from orchestrator.objects.selectors import LabelSelector, label_selector_from_object

EXEMPT_GROUP = "admissionregistration.k8s.io"
"""Configurations and policies: nobody may be locked out of mending them."""
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Which writes a webhook or policy is for."""

    rules: Sequence[Mapping[str, Any]]
    excluded: Sequence[Mapping[str, Any]]
    equivalent: bool
    namespaces: LabelSelector
    objects: LabelSelector

    @classmethod
    def of(cls, match: Mapping[str, Any], rules: str = "resourceRules") -> Scope:
        return cls(
            match.get(rules) or (),
            match.get("excludeResourceRules") or (),
            match.get("matchPolicy") != "Exact",
            label_selector_from_object(match.get("namespaceSelector") or {}),
            label_selector_from_object(match.get("objectSelector") or {}),
        )

    def resource_for(
        self, operation: str, resource: Resource, subresource: str, equivalents: Sequence[Resource], name: str = ""
    ) -> Resource | None:
        """The version in which the rules mean the resource; None when they don't.

        `equivalents` are its other versions; `name` is only looked at by rules of policies, which may list names.
        """

        def matches(rules: Iterable[Mapping[str, Any]], candidate: Resource) -> bool:
            return any(rule_matches(rule, operation, candidate, subresource, name) for rule in rules)

        others = equivalents if self.equivalent else ()
        if any(matches(self.excluded, candidate) for candidate in (resource, *others)):
            return None
        if matches(self.rules, resource):
            return resource
        for rule in self.rules:
            for candidate in others:
                if rule_matches(rule, operation, candidate, subresource, name):
                    return candidate
        return None

    def may_mean(self, operation: str, resource: Resource, subresource: str, equivalents: Sequence[Resource]) -> bool:
        """Whether the rules mean the resource, for some names of objects at least."""
        candidates = (resource, *(equivalents if self.equivalent else ()))
        return any(rule_matches(r, operation, c, subresource, None) for r in self.rules for c in candidates)

    def leaves_out(
        self, operation: str, resource: Resource, subresource: str, equivalents: Sequence[Resource], name: str
    ) -> bool:
        """Whether the rules, if there are any, don't mean the resource, or others exclude it."""
        if self.rules:
            return self.resource_for(operation, resource, subresource, equivalents, name) is None
        others = (resource, *(equivalents if self.equivalent else ()))
        return any(rule_matches(r, operation, c, subresource, name) for r in self.excluded for c in others)

    def selects(self, api: Api, request: Request) -> bool:
        """Whether namespace and object have the labels asked for. Raises: NotFound, for a namespace that is gone."""
        return self._selects_namespace(api, request) and self._selects_object(request)

    def _selects_namespace(self, api: Api, request: Request) -> bool:
        if self.namespaces.is_everything or not request.namespace:
            return True
        if request.resource == kinds.NAMESPACES and request.obj is not None and not request.subresource:
            return self.namespaces.matches(_labels(request.obj))
        record = api.store.latest(kinds.NAMESPACES.storage_key, Key("", request.namespace))
        if record is None:
            raise refusals.not_found(kinds.NAMESPACES, request.namespace)
        return self.namespaces.matches(_labels(record.obj))

    def _selects_object(self, request: Request) -> bool:
        if self.objects.is_everything:
            return True
        with_labels = [obj for obj in (request.obj, request.old) if obj is not None and "metadata" in obj]
        return any(self.objects.matches(_labels(obj)) for obj in with_labels)


def _labels(obj: Obj) -> Mapping[str, str]:
    return (obj.get("metadata") or {}).get("labels") or {}


def rule_matches(
    rule: Mapping[str, Any], operation: str, resource: Resource, subresource: str, name: str | None = ""
) -> bool:
    """`name` is None for an object of any name."""
    return (
        _scope_matches(rule.get("scope"), resource)
        and _has(rule.get("operations"), operation)
        and _has(rule.get("apiGroups"), resource.group)
        and _has(rule.get("apiVersions"), resource.version)
        and any(_resource_matches(text, resource.plural, subresource) for text in rule.get("resources") or ())
        and (name is None or not rule.get("resourceNames") or name in rule["resourceNames"])
    )


def _scope_matches(scope: Any, resource: Resource) -> bool:
    return scope in (None, "", "*") or (scope == "Namespaced") == resource.namespaced


def _has(values: Any, value: str) -> bool:
    return bool(values) and ("*" in values or value in values)


def _resource_matches(text: str, plural: str, subresource: str) -> bool:
    resource, _, sub = text.partition("/")
    return resource in ("*", plural) and sub in ("*", subresource)


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """matchConditions, compiled."""

    rules: tuple[tuple[str, Rule], ...]

    @classmethod
    def of(cls, conditions: Iterable[Mapping[str, Any]], names: Names) -> Conditions:
        return cls(tuple((c["name"], compile_rule(c["expression"].strip(), names)) for c in conditions))

    def hold(self, names: Mapping[str, Any], *, fails: bool) -> bool:
        """Whether all of them are true; one that is false outweighs one that breaks.

        `fails`: whether a broken one refuses the write. Raises: CelError for those that do.
        """
        evaluation, broken = Evaluation(BUDGET), []
        for name, rule in self.rules:
            try:
                value = rule.evaluate(names, evaluation)
            except CelError as error:
                broken.append(f"expression '{rule.text}' resulted in error: {error}")
                continue
            if value is False:
                return False
            if value is not True:
                broken.append(f"match condition {name} is neither true nor false")
        if broken and fails:
            raise CelError(broken[0] if len(broken) == 1 else f"[{', '.join(broken)}]")
        return not broken
