"""Which objects a workload owns: those that name it, those it adopts, those it lets go.

Source: kubernetes pkg/controller/controller_ref_manager.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.errors import Conflict, Invalid, NotFound
from orchestrator.machinery.api import Api
from orchestrator.machinery.informer import Informer
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj, is_deleting, key_of, labels_of, owner_reference, uid_of
from orchestrator.objects.selectors import LabelSelector


@dataclass
class Claim:
    """`owned` stay, `adopt` gain the owner, `release` lose it."""

    owned: list[Obj] = field(default_factory=list)
    adopt: list[Obj] = field(default_factory=list)
    release: list[Obj] = field(default_factory=list)


def plan_claim(owner: Obj, selector: LabelSelector, named: list[Obj], orphans: list[Obj]) -> Claim:
    """`named` name `owner` as their controller, `orphans` name none and live in its namespace."""
    claim = Claim()
    for obj in named:
        if selector.matches(labels_of(obj)):
            claim.owned.append(obj)
        elif not is_deleting(owner):
            claim.release.append(obj)
    if not is_deleting(owner):
        claim.adopt = [obj for obj in orphans if not is_deleting(obj) and selector.matches(labels_of(obj))]
    return claim


async def claim_objects(
    api: Api, owner_resource: Resource, owner: Obj, selector: LabelSelector, resource: Resource, informer: Informer
) -> list[Obj]:
    """The objects of `resource` that `owner` owns now, after adopting and releasing."""
    claim = plan_claim(
        owner,
        selector,
        informer.indexed("controller", uid_of(owner)),
        informer.indexed("orphans", key_of(owner).namespace),
    )
    if claim.adopt:
        fresh = await api.get(owner_resource, *reversed(key_of(owner)))
        if uid_of(fresh) != uid_of(owner) or is_deleting(fresh):
            claim.adopt = []
    for obj in claim.release:
        rest = [ref for ref in obj["metadata"].get("ownerReferences") or () if ref["uid"] != uid_of(owner)]
        await _set_owners(api, resource, obj, rest)
    for obj in claim.adopt:
        references = [*(obj["metadata"].get("ownerReferences") or ()), owner_reference(owner)]
        if (adopted := await _set_owners(api, resource, obj, references)) is not None:
            claim.owned.append(adopted)
    return claim.owned


async def _set_owners(api: Api, resource: Resource, obj: Obj, references: list[dict[str, object]]) -> Obj | None:
    """None when the object is gone, or is no longer the one that was seen: then its event brings the owner back."""
    meta = {
        "uid": uid_of(obj),
        "resourceVersion": obj["metadata"]["resourceVersion"],
        "ownerReferences": references or None,
    }
    key = key_of(obj)
    try:
        return await api.patch(resource, key.name, key.namespace, patch={"metadata": meta})
    except (NotFound, Conflict, Invalid):
        return None
