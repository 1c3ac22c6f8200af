"""ValidatingAdmissionPolicies: expressions that judge a write, as their bindings apply them.

Source: apiserver pkg/admission/plugin/policy/validating/{dispatcher,validator}.go, .../policy/generic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestrator import errors
from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.webhooks import conversion
from orchestrator.apiserver.webhooks.matching import Conditions, Scope
from orchestrator.apiserver.webhooks.request import Request
from orchestrator.objects import kinds
from orchestrator.objects.cel import BUDGET, CelError, Evaluation, Rule, compile_rule
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Key, Obj
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.objects.validation.policies import names_of

_CODES = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}


class Validation(NamedTuple):
    rule: Rule
    message: str
    written: Rule | None
    """messageExpression."""
    reason: str


class Denial(NamedTuple):
    message: str
    reason: str = "Invalid"


class Misconfigured(Exception):
    """A policy or binding asks for parameters that can't be had."""


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    name: str
    scope: Scope | None
    reference: Mapping[str, Any] | None
    actions: Sequence[str]

    @classmethod
    def of(cls, obj: Obj) -> Binding:
        spec = obj["spec"]
        match = spec.get("matchResources")
        scope = None if match is None else Scope.of(match)
        return cls(obj["metadata"]["name"], scope, spec.get("paramRef"), spec.get("validationActions") or ())


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A policy with its bindings."""

    name: str
    scope: Scope
    fails: bool
    kind: Mapping[str, Any] | None
    conditions: Conditions
    variables: Mapping[str, Rule]
    validations: tuple[Validation, ...]
    bindings: tuple[Binding, ...]

    @classmethod
    def of(cls, obj: Obj, bindings: tuple[Binding, ...]) -> Policy:
        """Raises: CelSyntaxError, BadRequest for what an older server let through."""
        spec = obj["spec"]
        known = names_of(spec)

        def compiled(text: str) -> Rule:
            return compile_rule(text.strip(), known)

        return cls(
            obj["metadata"]["name"],
            Scope.of(spec.get("matchConstraints") or {}),
            spec.get("failurePolicy") != "Ignore",
            spec.get("paramKind"),
            Conditions.of(spec.get("matchConditions") or (), known),
            {v["name"]: compiled(v["expression"]) for v in spec.get("variables") or ()},
            tuple(
                Validation(
                    compiled(v["expression"]),
                    (v.get("message") or "").strip(),
                    compiled(v["messageExpression"]) if v.get("messageExpression") else None,
                    v.get("reason") or "Invalid",
                )
                for v in spec.get("validations") or ()
            ),
            bindings,
        )


class _Variables(dict[str, Any]):
    """`variables`: each worked out when it is first asked for."""

    def __init__(self, rules: Mapping[str, Rule], names: Mapping[str, Any], evaluation: Evaluation) -> None:
        super().__init__()
        self._rules, self._evaluation = rules, evaluation
        self._names = {**names, "variables": self}

    def __contains__(self, name: object) -> bool:
        return name in self._rules

    def __missing__(self, name: str) -> Any:
        value = self[name] = self._rules[name].evaluate(self._names, self._evaluation)
        return value

    def get(self, name: str, default: Any = None) -> Any:
        return self[name] if name in self._rules else default


async def judge(
    api: Api, policies: Sequence[Policy], request: Request, equivalents: Sequence[Resource]
) -> None:  # fmt: skip
    """Warns of what bindings want warned of. Raises: ApiError for the first denial."""
    denial: tuple[Policy, Binding, Denial] | None = None
    for policy in policies:
        resource = policy.scope.resource_for(
            request.operation, request.resource, request.subresource, equivalents, request.name
        )
        if resource is None or not policy.scope.selects(api, request):
            continue
        for binding in policy.bindings:
            if not _is_bound(api, binding, request, equivalents):
                continue
            for found in await _denials(api, policy, binding, request, resource):
                if "Warn" in binding.actions:
                    request.call.warnings.append(
                        f"Validation failed for ValidatingAdmissionPolicy '{policy.name}' with binding "
                        f"'{binding.name}': {found.message}"
                    )
                if "Deny" in binding.actions and denial is None:
                    denial = policy, binding, found
    if denial is not None:
        raise _refusal(request, *denial)


def _is_bound(api: Api, binding: Binding, request: Request, equivalents: Sequence[Resource]) -> bool:
    scope = binding.scope
    if scope is None:
        return True
    where = (request.operation, request.resource, request.subresource, equivalents, request.name)
    return not scope.leaves_out(*where) and scope.selects(api, request)


async def _denials(
    api: Api, policy: Policy, binding: Binding, request: Request, resource: Resource
) -> list[Denial]:  # fmt: skip
    try:
        parameters = await _parameters(api, policy, binding, request)
    except Misconfigured as wrong:
        return [Denial(f"failed to configure binding: {wrong}")] if policy.fails else []
    found: list[Denial] = []
    objects = await _objects(api, request, resource)
    for parameter in parameters:
        names = {**objects, "params": parameter}
        evaluation = Evaluation(BUDGET)
        names["variables"] = _Variables(policy.variables, names, evaluation)
        try:
            if not policy.conditions.hold(names, fails=policy.fails):
                continue
        except CelError as broken:
            found.append(Denial(str(broken)))
            continue
        for validation in policy.validations:
            if (denial := _judged(policy, validation, names, evaluation)) is not None:
                found.append(denial)
    return found


def _judged(
    policy: Policy, validation: Validation, names: Mapping[str, Any], evaluation: Evaluation
) -> Denial | None:  # fmt: skip
    text = validation.rule.text
    try:
        if validation.rule.evaluate(names, evaluation) is True:
            return None
    except CelError as broken:
        return Denial(f"expression '{text}' resulted in error: {broken}") if policy.fails else None
    message = validation.message or f"failed expression: {text.strip()}"
    if validation.written is not None:
        try:
            written = validation.written.evaluate(names, evaluation)
        except CelError:
            written = None
        if isinstance(written, str) and written.strip() and "\n" not in written.strip():
            message = written.strip()
    return Denial(message, validation.reason)


async def _objects(api: Api, request: Request, resource: Resource) -> dict[str, Any]:
    """What expressions are shown of the write, in the version that the policy names."""
    obj, old = request.obj, request.old
    if request.has_own_kind:
        obj = None if obj is None else await conversion.convert_one(api, obj, resource, complete=False)
        old = None if old is None else await conversion.convert_one(api, old, resource, complete=False)
    namespace = api.store.latest(kinds.NAMESPACES.storage_key, Key("", request.namespace))
    of_itself = request.resource == kinds.NAMESPACES or not request.namespace
    return {
        "object": obj,
        "oldObject": old,
        "request": request.describe(resource),
        "namespaceObject": None if of_itself or namespace is None else namespace.obj,
        "authorizer": request.authorizer(api),
    }


async def _parameters(api: Api, policy: Policy, binding: Binding, request: Request) -> list[Obj | None]:
    """The objects that expressions see as `params`, one after the other; one None where there is nothing to see.

    Raises: Misconfigured.
    """
    reference = binding.reference
    if policy.kind is None or reference is None:
        return [None]
    version, kind = policy.kind.get("apiVersion") or "", policy.kind.get("kind") or ""
    resource = api.kinds.by_kind(version, kind)
    if resource is None:
        raise Misconfigured(f"failed to find resource referenced by paramKind: '{version}, Kind={kind}'")
    namespace = reference.get("namespace") or ""
    if not resource.namespaced:
        if namespace:
            raise Misconfigured("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    elif not namespace:
        namespace = request.namespace
        if not namespace:
            raise Misconfigured(
                "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            )
    storage = resource.storage_key
    if name := reference.get("name"):
        record = api.store.latest(storage, Key(namespace, name))
        records = [] if record is None else [record]
    else:
        selector = label_selector_from_object(reference.get("selector"))
        listed = api.store.list(storage, namespace)
        records = [r for r in listed if selector.matches(r.obj["metadata"].get("labels") or {})]
    if not records and reference.get("parameterNotFoundAction") == "Deny":
        raise Misconfigured("no params found for policy binding with `Deny` parameterNotFoundAction")
    return [*await conversion.convert(api, [record.obj for record in records], resource)]


def _refusal(request: Request, policy: Policy, binding: Binding, denial: Denial) -> errors.ApiError:
    message = (
        f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}' denied request: {denial.message}"
    )
    refused: errors.ApiError = refusals.forbidden(request.resource, request.name, message)
    refused.causes = [{"message": message}]
    refused.reason, refused.code = denial.reason, _CODES.get(denial.reason, 422)
    return refused
