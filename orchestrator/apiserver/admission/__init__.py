"""What the cluster as a whole adds to a write or refuses, after the object itself is in order.

Each step is a function `(api, call, obj, old)` that changes `obj` in place or raises; `old` is None on creation. They
only look at the store's memory, so that nothing can happen between the decision and the write.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.apiserver.admission import (
    account_tokens,
    claims,
    escalation,
    limits,
    namespaces,
    node_limits,
    pods,
    quotas,
    services,
)
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects.meta import Obj

Step = Callable[[Api, Call, Obj, Obj | None], None]

_ON_CREATE: dict[str, tuple[Step, ...]] = {
    "pods": (
        pods.set_service_account, pods.set_priority, pods.tolerate_short_outages, limits.apply_limit_ranges,
    ),
    "secrets": (account_tokens.fill_token,),
    "services": (services.allocate,),
    "persistentvolumeclaims": (claims.set_storage_class, limits.apply_limit_ranges),
    "nodes": (node_limits.restrict_node,),
    "leases.coordination.k8s.io": (node_limits.restrict_node,),
}  # fmt: skip
_RBAC = ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
_ON_CREATE |= {f"{plural}.rbac.authorization.k8s.io": (escalation.refuse_escalation,) for plural in _RBAC}
_ON_UPDATE: dict[str, tuple[Step, ...]] = {
    "secrets": (account_tokens.fill_token,),
    "services": (services.allocate, quotas.enforce_quotas),
    "persistentvolumeclaims": (quotas.enforce_quotas,),
    "nodes": (node_limits.restrict_node,),
    "leases.coordination.k8s.io": (node_limits.restrict_node,),
}
_ON_UPDATE |= {f"{plural}.rbac.authorization.k8s.io": (escalation.refuse_escalation,) for plural in _RBAC}


_BEFORE_WEBHOOKS = frozenset((
    pods.set_service_account, pods.set_priority, pods.tolerate_short_outages, limits.apply_limit_ranges,
    claims.set_storage_class,
))  # fmt: skip
"""Steps whose outcome webhooks are shown; addresses and tokens are only given to what they let through."""


def admit_early(api: Api, call: Call, obj: Obj) -> None:
    """What precedes the webhooks that a new object is shown to; `admit_create` follows when they have changed it."""
    namespaces.require_live_namespace(api, call, obj, None)
    for step in _ON_CREATE.get(call.resource.storage_key, ()):
        if step in _BEFORE_WEBHOOKS:
            step(api, call, obj, None)


def admit_create(api: Api, call: Call, obj: Obj) -> None:
    namespaces.require_live_namespace(api, call, obj, None)
    for step in _ON_CREATE.get(call.resource.storage_key, ()):
        step(api, call, obj, None)


def admit_valid(api: Api, call: Call, obj: Obj) -> None:
    """The last word on a new object, once it is known to be valid: only then can it be counted."""
    quotas.enforce_quotas(api, call, obj, None)


def admit_update(api: Api, call: Call, obj: Obj, old: Obj) -> None:
    if not call.subresource:
        for step in _ON_UPDATE.get(call.resource.storage_key, ()):
            step(api, call, obj, old)


def admit_delete(api: Api, call: Call, old: Obj) -> None:
    namespaces.protect_system_namespaces(api, call, old)
