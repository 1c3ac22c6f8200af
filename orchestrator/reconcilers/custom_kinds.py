"""Every kind that has objects: the built-in ones, and those that CustomResourceDefinitions add while we run."""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.objects.kinds import BUILT_IN, Resource
from orchestrator.objects.meta import Obj, is_deleting


def deletable_kinds(custom: Iterable[Resource] = ()) -> list[Resource]:
    """One resource for each kind of stored object, whatever the versions it is served in."""
    kinds: dict[str, Resource] = {}
    for resource in (*BUILT_IN, *custom):
        if "delete" in resource.verbs and "list" in resource.verbs and "watch" in resource.verbs:
            kinds.setdefault(resource.storage_key, resource)
    return list(kinds.values())


def custom_kind(definition: Obj) -> Resource | None:
    """The kind that `definition` serves, in the version it stores; None until it is established."""
    conditions = (definition.get("status") or {}).get("conditions") or ()
    if not any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions):
        return None
    if is_deleting(definition):
        return None
    spec = definition["spec"]
    served = [one for one in spec["versions"] if one.get("served")]
    if not served:
        return None
    version = next((one for one in served if one.get("storage")), served[0])
    return Resource(
        spec["group"],
        version["name"],
        spec["names"]["plural"],
        spec["names"]["kind"],
        namespaced=spec.get("scope") == "Namespaced",
        subresources=tuple(version.get("subresources") or ()),
    )


def served_custom_kinds(definitions: Iterable[Obj]) -> list[Resource]:
    return [kind for definition in definitions if (kind := custom_kind(definition)) is not None]
