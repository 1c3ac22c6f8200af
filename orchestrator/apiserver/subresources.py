"""POST to a subresource, and `scale`: small verbs that end in a change of their object."""

from __future__ import annotations

from typing import Any

from orchestrator import errors
from orchestrator.apiserver import delete, refusals, tokens, update
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import Call
from orchestrator.apiserver.webhooks import conversion
from orchestrator.apiserver.webhooks.request import Request
from orchestrator.objects import kinds
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj, clone, is_deleting
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.store.record import Record

SUCCESS: Obj = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


async def create_subresource(api: Api, call: Call, body: Obj) -> Obj:
    """Raises: NotFound, Conflict, TooManyRequests, BadRequest."""
    if (plan := api.concerned(call, "CREATE")) is not None and api.hooks is not None:
        request = Request(call, "CREATE", call.resource, None, None, call.name)
        group, version, kind = request.kind_in(call.resource)
        request.obj = {"kind": kind, "apiVersion": f"{group}/{version}" if group else version, **body}
        await api.hooks.admit(plan, request)
        body = request.obj
    match call.resource.storage_key, call.subresource:
        case "pods", "binding":
            return await bind(api, call, body)
        case "pods", "eviction":
            return await evict(api, call, body)
        case "serviceaccounts", "token":
            return tokens.request_token(api, call, body)
    raise errors.MethodNotAllowed("the server does not allow this method on the requested resource")


def _existing(api: Api, call: Call) -> Record:
    record = api.store.latest(call.resource.storage_key, call.key)
    if record is None:
        raise refusals.not_found(call.resource, call.name)
    return record


async def bind(api: Api, call: Call, body: Obj) -> Obj:
    """Give the pod to a node, once."""
    target = body.get("target") or {}
    node = target.get("name")
    if not node or target.get("kind", "Node") != "Node":
        cause = {"field": "target.name", "reason": "FieldValueRequired", "message": "Required value"}
        raise refusals.invalid(call.resource, call.name, [cause])
    old = _existing(api, call)
    uid = (body.get("metadata") or {}).get("uid")
    if uid and uid != old.obj["metadata"]["uid"]:
        raise _binding_conflict(call, f"Precondition failed: UID in precondition: {uid}")
    if is_deleting(old.obj):
        raise _binding_conflict(call, f"pod {call.name} is being deleted, cannot be assigned to a host")
    if bound := (old.obj.get("spec") or {}).get("nodeName"):
        raise _binding_conflict(call, f'pod {call.name} is already assigned to node "{bound}"')
    new = {**old.obj, "spec": {**old.obj["spec"], "nodeName": node}, "metadata": dict(old.obj["metadata"])}
    if annotations := (body.get("metadata") or {}).get("annotations"):
        new["metadata"]["annotations"] = {**(new["metadata"].get("annotations") or {}), **annotations}
    scheduled = {
        "type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": api.timestamp(),
    }  # fmt: skip
    status = dict(old.obj.get("status") or {})
    status["conditions"] = [c for c in status.get("conditions") or () if c.get("type") != "PodScheduled"] + [scheduled]
    new["status"] = status
    if not call.dry_run:
        await api.store.update(old.resource, old.key, new, expect=old.revision)
    return SUCCESS


def _binding_conflict(call: Call, why: str) -> errors.Conflict:
    return errors.Conflict(
        f'Operation cannot be fulfilled on pods/binding "{call.name}": {why}', name=call.name, kind="pods/binding"
    )


async def evict(api: Api, call: Call, body: Obj) -> Obj:
    """Delete the pod if its disruption budgets allow it now."""
    pod = _existing(api, call)
    options = delete.DeleteOptions.parse(body.get("deleteOptions") or {})
    budgets = _budgets_of(api, pod) if _counts_for_budgets(pod.obj) else []
    if len(budgets) > 1:
        raise errors.ApiError(
            "Internal error occurred: This pod has more than one PodDisruptionBudget, which the eviction subresource "
            "does not support."
        )
    dry_run = call.dry_run or bool((body.get("deleteOptions") or {}).get("dryRun"))
    for budget in budgets:
        if not _is_ready(pod.obj) and _lets_unready_go(budget.obj):
            continue
        await _spend(api, budget, pod, dry_run)
    one = Call("delete", call.resource, call.namespace, call.name, user=call.user, dry_run=dry_run, internal=True)
    await delete.delete(api, one, options)
    return SUCCESS


def _counts_for_budgets(pod: Obj) -> bool:
    return not is_deleting(pod) and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed", "Pending")


def _is_ready(pod: Obj) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _lets_unready_go(budget: Obj) -> bool:
    spec, status = budget.get("spec") or {}, budget.get("status") or {}
    if spec.get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    return int(status.get("currentHealthy") or 0) >= int(status.get("desiredHealthy") or 0) > 0


def _budgets_of(api: Api, pod: Record) -> list[Record]:
    labels = pod.obj["metadata"].get("labels") or {}
    return [
        record
        for record in api.store.list(kinds.PODDISRUPTIONBUDGETS.storage_key, pod.key.namespace)
        if label_selector_from_object((record.obj.get("spec") or {}).get("selector")).matches(labels)
    ]


async def _spend(api: Api, budget: Record, pod: Record, dry_run: bool) -> None:
    """Take one disruption from the budget. Raises: TooManyRequests when none is left."""
    current = api.store.latest(budget.resource, budget.key)
    if current is None:
        return
    status = dict(current.obj.get("status") or {})
    name, generation = budget.key.name, current.obj["metadata"].get("generation", 0)
    observed = int(status.get("observedGeneration") or 0) >= int(generation)
    if not observed or int(status.get("disruptionsAllowed") or 0) < 1:
        why = (
            f"The disruption budget {name} needs {status.get('desiredHealthy', 0)} healthy pods and has "
            f"{status.get('currentHealthy', 0)} currently"
            if observed
            else f"The disruption budget {name} is still being processed by the server."
        )
        raise errors.TooManyRequests(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            causes=[{"reason": "DisruptionBudget", "message": why}],
            retry_after=None if observed else 10,
        )
    status["disruptionsAllowed"] -= 1
    status["disruptedPods"] = {**(status.get("disruptedPods") or {}), pod.key.name: api.timestamp()}
    if not dry_run:
        new = {**current.obj, "status": status}
        await api.store.update(current.resource, current.key, new, expect=current.revision)


# --- scale


def scale_of(resource: Resource, obj: Obj) -> Obj:
    """The autoscaling/v1 Scale that stands for the object."""
    spec, status, meta = obj.get("spec") or {}, obj.get("status") or {}, obj["metadata"]
    paths = getattr(resource.custom, "scale", None) or {}
    if paths:
        replicas = _at(obj, paths.get("specReplicasPath", "")) or 0
        current = _at(obj, paths.get("statusReplicasPath", "")) or 0
        selector = _at(obj, paths.get("labelSelectorPath", "")) or ""
    else:
        replicas, current = spec.get("replicas", 0), status.get("replicas", 0)
        selector = _selector_text(resource, spec.get("selector"))
    kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    scale: Obj = {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: meta[field] for field in kept if field in meta},
        "spec": {"replicas": replicas} if replicas else {},
        "status": {"replicas": current},
    }
    if selector:
        scale["status"]["selector"] = selector
    return scale


def _selector_text(resource: Resource, selector: Any) -> str:
    if resource.kind == "ReplicationController":
        return ",".join(f"{key}={value}" for key, value in sorted((selector or {}).items()))
    return str(label_selector_from_object(selector))


def _at(obj: Any, path: str) -> Any:
    for part in path.strip(".").split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj


async def update_scale(api: Api, call: Call, scale: Obj) -> Obj:
    """Set the object's replicas to what the Scale says."""
    return await update.persistently(lambda: _update_scale(api, call, scale))


async def _update_scale(api: Api, call: Call, scale: Obj) -> Obj:
    old = await conversion.current(api, call, _existing(api, call))
    if (plan := api.concerned(call, "UPDATE")) is not None and api.hooks is not None:
        resource = call.view or call.resource
        request = Request(call, "UPDATE", resource, scale, scale_of(call.resource, old.obj), call.name)
        await api.hooks.admit(plan, request)
        update.require_unchanged(api, call, old)
        scale = request.obj or scale
    meta = scale.get("metadata") or {}
    version = meta.get("resourceVersion")
    if version and version != old.obj["metadata"]["resourceVersion"]:
        raise refusals.modified(call.resource, call.name)
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
        message = f"Invalid value: {replicas!r}: must be greater than or equal to 0"
        cause = {"field": "spec.replicas", "reason": "FieldValueInvalid", "message": message}
        raise refusals.invalid(call.resource, call.name, [cause])
    path = (getattr(call.resource.custom, "scale", None) or {}).get("specReplicasPath", ".spec.replicas")
    new = clone(with_value(old.obj, path.strip(".").split("."), replicas))
    plain = Call("update", call.resource, call.namespace, call.name, user=call.user, dry_run=call.dry_run)
    plain.internal = True
    plain.field_manager, plain.tracked_subresource = call.field_manager, "scale"
    return scale_of(call.resource, (await update.write(api, plain, old, new)).obj)


def with_value(obj: Obj, path: list[str], value: Any) -> Obj:
    """A copy of `obj`, sharing what it can, with `value` at `path`."""
    head, *rest = path
    return {**obj, head: with_value(obj.get(head) or {}, rest, value) if rest else value}
