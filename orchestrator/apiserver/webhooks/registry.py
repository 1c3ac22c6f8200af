"""The webhooks and policies there are, and which of them a kind of write concerns.

Read from the store when it has changed, so that a write asks for what is registered at that moment; a server without
any looks at three numbers.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestrator import errors
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.webhooks.matching import EXEMPT_GROUP, Conditions, Scope
from orchestrator.apiserver.webhooks.policies import Binding, Policy
from orchestrator.objects import kinds
from orchestrator.objects.cel import CelSyntaxError
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation.webhooks import CONDITION_NAMES

log = logging.getLogger(__name__)

_SOURCES = (kinds.MUTATINGWEBHOOKS.storage_key, kinds.VALIDATINGWEBHOOKS.storage_key)
_POLICIES, _BINDINGS = kinds.ADMISSIONPOLICIES.storage_key, kinds.ADMISSIONPOLICYBINDINGS.storage_key


@dataclass(frozen=True, slots=True, eq=False)
class Hook:
    """One webhook of a configuration."""

    name: str
    client: Mapping[str, Any]
    scope: Scope
    conditions: Conditions
    fails: bool
    """Whether a write is refused when the webhook can't be asked."""
    timeout: float
    side_effects: bool
    again: bool
    """Whether it wants to see what later webhooks make of the object."""
    version: str
    """The AdmissionReview version it is spoken to in."""

    @classmethod
    def of(cls, hook: Mapping[str, Any]) -> Hook:
        """Raises: CelSyntaxError, BadRequest for what an older server let through."""
        return cls(
            hook["name"],
            hook.get("clientConfig") or {},
            Scope.of(hook, "rules"),
            Conditions.of(hook.get("matchConditions") or (), CONDITION_NAMES),
            hook.get("failurePolicy") != "Ignore",
            float(hook.get("timeoutSeconds") or 10),
            hook.get("sideEffects") not in ("None", "NoneOnDryRun"),
            hook.get("reinvocationPolicy") == "IfNeeded",
            next((v for v in hook.get("admissionReviewVersions") or () if v in ("v1", "v1beta1")), "v1"),
        )


class Invocation(NamedTuple):
    """A webhook that a write may concern, and the version in which it wants to see the object."""

    hook: Hook
    resource: Resource


class Plan(NamedTuple):
    """Who is asked about a kind of write, as far as its URL tells."""

    mutating: tuple[Invocation, ...]
    validating: tuple[Invocation, ...]
    policies: tuple[Policy, ...]
    equivalents: tuple[Resource, ...]
    """The other versions of the resource."""


_Where = tuple[str, str, str, str, str]


class Registry:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._seen: tuple[int, ...] = ()
        self._hooks: tuple[tuple[Hook, ...], ...] = ((), ())
        self._policies: tuple[Policy, ...] = ()
        self._plans: dict[_Where, Plan | None] = {}

    def plan(self, operation: str, resource: Resource, subresource: str) -> Plan | None:
        """None when nobody is to be asked. `resource` is the version that the client asked for."""
        changed = self._api.store.changed
        mutating, validating, policies = changed(_SOURCES[0]), changed(_SOURCES[1]), changed(_POLICIES)
        if not mutating and not validating and not policies:
            return None
        now = (mutating, validating, policies, changed(_BINDINGS), self._api.kinds.version)
        if now != self._seen:
            self._hooks = tuple(tuple(self._read(source)) for source in _SOURCES)
            self._policies = tuple(self._read_policies())
            self._plans = {}
            self._seen = now
        where = (operation, resource.group, resource.version, resource.plural, subresource)
        if where not in self._plans:
            self._plans[where] = self._made(operation, resource, subresource)
        return self._plans[where]

    def _read(self, source: str) -> list[Hook]:
        return [hook for record in self._api.store.list(source) for hook in _compiled(record.obj)]

    def _read_policies(self) -> Iterator[Policy]:
        """Those that are bound; the others say nothing."""
        store, bound = self._api.store, defaultdict[str, list[Binding]](list)
        for record in store.list(_BINDINGS):
            bound[record.obj["spec"].get("policyName") or ""].append(Binding.of(record.obj))
        for record in store.list(_POLICIES):
            if bindings := bound.get(record.key.name):
                try:
                    yield Policy.of(record.obj, tuple(bindings))
                except (CelSyntaxError, errors.BadRequest, KeyError) as bad:
                    log.warning("policy %s is not asked: %s", record.key.name, bad)

    def _made(self, operation: str, resource: Resource, subresource: str) -> Plan | None:
        if resource.group == EXEMPT_GROUP:
            return None
        others = tuple(k for k in self._api.kinds if k.storage_key == resource.storage_key and k != resource)
        asked: list[tuple[Invocation, ...]] = []
        for hooks in self._hooks:
            found = [(h, h.scope.resource_for(operation, resource, subresource, others)) for h in hooks]
            asked.append(tuple(Invocation(hook, version) for hook, version in found if version is not None))
        judging = tuple(p for p in self._policies if p.scope.may_mean(operation, resource, subresource, others))
        mutating, validating = asked
        return Plan(mutating, validating, judging, others) if mutating or validating or judging else None


def _compiled(configuration: Obj) -> list[Hook]:
    hooks = []
    for hook in configuration.get("webhooks") or ():
        try:
            hooks.append(Hook.of(hook))
        except (CelSyntaxError, errors.BadRequest, KeyError) as bad:
            log.warning("webhook %s of %s is not asked: %s", hook.get("name"), configuration["metadata"]["name"], bad)
    return hooks
