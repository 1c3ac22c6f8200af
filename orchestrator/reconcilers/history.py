"""ControllerRevisions: the templates a StatefulSet or DaemonSet has had, for rolling and for `kubectl rollout undo`.

Source: kubernetes pkg/controller/history/controller_history.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from orchestrator.errors import AlreadyExists
from orchestrator.machinery.api import Api
from orchestrator.machinery.informer import Informer
from orchestrator.machinery.pods import created_at, template_hash
from orchestrator.objects.kinds import CONTROLLERREVISIONS
from orchestrator.objects.meta import Obj, annotations_of, key_of, labels_of, owner_reference, uid_of

HASH = "controller-revision-hash"
_OWN_ANNOTATIONS = {"kubectl.kubernetes.io/last-applied-configuration"}


def data_of(owner: Obj) -> dict[str, Any]:
    """What a revision keeps: a patch that puts the template back. Clients compare its bytes: keys are in order."""
    return {"spec": {"template": _in_order({**owner["spec"]["template"], "$patch": "replace"})}}


def _in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_order(value[key]) for key in sorted(value)}
    return [_in_order(each) for each in value] if isinstance(value, list) else value


def ordered(revisions: Iterable[Obj]) -> list[Obj]:
    return sorted(revisions, key=lambda one: (one.get("revision", 0), created_at(one), one["metadata"]["name"]))


def equal_revision(owner: Obj, revisions: Sequence[Obj]) -> Obj | None:
    """The newest revision that holds the owner's template."""
    wanted = data_of(owner)
    return next((one for one in reversed(ordered(revisions)) if one.get("data") == wanted), None)


def render_revision(owner: Obj, number: int, collisions: int | None) -> Obj:
    name_hash = template_hash(data_of(owner), collisions)
    meta = owner["metadata"]
    labels = {**(owner["spec"]["template"].get("metadata", {}).get("labels") or {}), HASH: name_hash}
    annotations = {key: value for key, value in annotations_of(owner).items() if key not in _OWN_ANNOTATIONS}
    rendered: Obj = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": f"{meta['name']}-{name_hash}",
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [owner_reference(owner)],
        },
        "data": data_of(owner),
        "revision": number,
    }
    if annotations:
        rendered["metadata"]["annotations"] = annotations
    return rendered


def hash_of(revision: Obj) -> str:
    return labels_of(revision).get(HASH, "")


def plan_trim(revisions: Sequence[Obj], in_use: set[str], limit: int) -> list[Obj]:
    """The oldest revisions beyond `limit` that no pod runs; `in_use` are names."""
    unused = [one for one in ordered(revisions) if one["metadata"]["name"] not in in_use]
    return unused[: max(0, len(unused) - limit)]


async def current_revision(api: Api, informer: Informer, owner: Obj) -> Obj:
    """The revision of the owner's template, made or renumbered as needed."""
    revisions = informer.indexed("controller", uid_of(owner))
    highest = max((one.get("revision", 0) for one in revisions), default=0)
    found = equal_revision(owner, revisions)
    if found is not None:
        if found.get("revision", 0) < highest:
            key = key_of(found)
            found = await api.patch(CONTROLLERREVISIONS, key.name, key.namespace, patch={"revision": highest + 1})
        return found
    collisions = (owner.get("status") or {}).get("collisionCount")
    while True:
        wanted = render_revision(owner, highest + 1, collisions)
        try:
            return await api.create(CONTROLLERREVISIONS, wanted)
        except AlreadyExists:
            present = await api.get(CONTROLLERREVISIONS, *reversed(key_of(wanted)))
            if present.get("data") == wanted["data"]:
                return present
            collisions = (collisions or 0) + 1
