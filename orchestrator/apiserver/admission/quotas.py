"""No object may take its namespace over a ResourceQuota.

What is used is counted from the objects themselves, queued ones included, at the moment of the write: two writes can
never both take the last place. `status.used`, which users read, follows a little later.
"""

from __future__ import annotations

from orchestrator.apiserver import refusals
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.objects import kinds
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Key, Obj
from orchestrator.objects.quantity import format_quantity, parse_quantity
from orchestrator.objects.quotas import Usage, in_scope, usage_of

_COMPUTE = ("cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory")


def enforce_quotas(api: Api, call: Call, obj: Obj, old: Obj | None) -> None:
    """Raises: Forbidden, naming the quota, what was asked, used and allowed."""
    if not call.resource.namespaced or call.subresource:
        return
    quotas = api.store.list(kinds.RESOURCEQUOTAS.storage_key, call.namespace)
    if not quotas:
        return
    asked, before = usage_of(call.resource, obj), usage_of(call.resource, old) if old is not None else {}
    growth = {name: nanos - before.get(name, 0) for name, nanos in asked.items() if nanos > before.get(name, 0)}
    for record in quotas:
        if _speaks_of(record.obj, call.resource, obj):
            _enforce(api, call, obj, record.obj, growth, asked)


def _speaks_of(quota: Obj, resource: Resource, obj: Obj) -> bool:
    scoped = bool(quota["spec"].get("scopes") or quota["spec"].get("scopeSelector"))
    return not scoped or (resource.storage_key == kinds.PODS.storage_key and in_scope(quota, obj))


def _enforce(api: Api, call: Call, obj: Obj, quota: Obj, growth: Usage, asked: Usage) -> None:
    hard = {name: parse_quantity(limit) for name, limit in (quota["spec"].get("hard") or {}).items()}
    name, quota_name = obj["metadata"].get("name", ""), quota["metadata"]["name"]
    if call.resource.storage_key == kinds.PODS.storage_key:
        unsaid = sorted(resource for resource in hard if resource in _COMPUTE and resource not in asked)
        if unsaid:
            containers = ",".join(sorted(c["name"] for c in obj["spec"]["containers"]))
            listed = "; ".join(f"{resource} for: {containers}" for resource in unsaid)
            raise refusals.forbidden(call.resource, name, f"failed quota: {quota_name}: must specify {listed}")
    concerned = sorted(resource for resource in hard if resource in growth)
    if not concerned:
        return
    used = _used(api, call, quota, concerned, Key(call.namespace, name))
    base = {resource: used[resource] + asked[resource] - growth[resource] for resource in concerned}
    over = [resource for resource in concerned if base[resource] + growth[resource] > hard[resource].nanos]
    if over:

        def told(amounts: Usage) -> str:
            return ",".join(f"{r}={format_quantity(amounts[r], hard[r].form)}" for r in over)

        limited = told({resource: quantity.nanos for resource, quantity in hard.items()})
        raise refusals.forbidden(
            call.resource,
            name,
            f"exceeded quota: {quota_name}, requested: {told(growth)}, used: {told(base)}, limited: {limited}",
        )


def _used(api: Api, call: Call, quota: Obj, names: list[str], own: Key) -> Usage:
    """What all other objects of this kind in the namespace use."""
    used = dict.fromkeys(names, 0)
    for record in api.store.list_latest(call.resource.storage_key):
        if record.key.namespace != own.namespace or record.key == own:
            continue
        if not _speaks_of(quota, call.resource, record.obj):
            continue
        usage = usage_of(call.resource, record.obj)
        for name in names:
            used[name] += usage.get(name, 0)
    return used
