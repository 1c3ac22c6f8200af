"""Which volume a claim gets, and what a provisioned one looks like: pure functions.

Source: kubernetes pkg/controller/volume/persistentvolume.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from orchestrator.objects.meta import Obj, annotations_of, is_deleting, key_of, labels_of, uid_of
from orchestrator.objects.quantity import parse_quantity
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.scheduler.volumes import volume_fits

PROVISIONER = "paas.io/local"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
BOUND_BY = "pv.kubernetes.io/bound-by-controller"
BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
PROTECTION = "kubernetes.io/pvc-protection"
HOSTNAME = "kubernetes.io/hostname"

LOCAL_CLASS: Obj = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "local", "annotations": {DEFAULT_CLASS: "true"}},
    "provisioner": PROVISIONER,
    "reclaimPolicy": "Delete",
    "volumeBindingMode": "WaitForFirstConsumer",
    "allowVolumeExpansion": True,
}


def default_class(classes: Iterable[Obj]) -> Obj | None:
    """The newest class marked as default."""
    marked = [one for one in classes if annotations_of(one).get(DEFAULT_CLASS) == "true" and not is_deleting(one)]
    return max(marked, key=lambda one: one["metadata"].get("creationTimestamp", ""), default=None)


def requested(claim: Obj) -> int:
    """Nanos of storage."""
    asked = ((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage")
    return parse_quantity(asked).nanos if asked else 0


def capacity_of(volume: Obj) -> int:
    return parse_quantity((volume["spec"].get("capacity") or {}).get("storage") or "0").nanos


def is_claimed_by(volume: Obj, claim: Obj) -> bool:
    """Whether the volume is set aside for this claim, by whoever made it or by us."""
    reference = volume["spec"].get("claimRef")
    if not reference:
        return False
    key = key_of(claim)
    same = reference.get("namespace") == key.namespace and reference.get("name") == key.name
    return same and reference.get("uid") in (None, "", uid_of(claim))


def choose_volume(claim: Obj, volumes: Sequence[Obj], node: Obj | None, *, waits: bool) -> Obj | None:
    """The volume set aside for the claim, or the smallest free one that does; on `node` when there is one."""
    for volume in volumes:
        if is_claimed_by(volume, claim) and not is_deleting(volume):
            return volume
    if waits and node is None:
        return None
    fitting = [volume for volume in volumes if _does(volume, claim) and (node is None or _is_on(volume, node))]
    return min(fitting, key=lambda volume: (capacity_of(volume), key_of(volume).name), default=None)


def _is_on(volume: Obj, node: Obj) -> bool:
    return volume_fits(volume, key_of(node).name, labels_of(node))


def _does(volume: Obj, claim: Obj) -> bool:
    spec, wanted = volume["spec"], claim["spec"]
    if spec.get("claimRef") or is_deleting(volume) or (volume.get("status") or {}).get("phase") != "Available":
        return False
    if (spec.get("storageClassName") or "") != (wanted.get("storageClassName") or ""):
        return False
    if not set(wanted.get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
        return False
    if (spec.get("volumeMode") or "Filesystem") != (wanted.get("volumeMode") or "Filesystem"):
        return False
    if wanted.get("selector") is not None:
        if not label_selector_from_object(wanted["selector"]).matches(labels_of(volume)):
            return False
    return capacity_of(volume) >= requested(claim)


def claim_reference(claim: Obj) -> dict[str, Any]:
    key = key_of(claim)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "namespace": key.namespace,
        "name": key.name,
        "uid": uid_of(claim),
        "resourceVersion": claim["metadata"].get("resourceVersion", ""),
    }


def render_volume(claim: Obj, storage_class: Obj, node: Obj, root: PurePosixPath) -> Obj:
    """A folder of `node`, for this claim alone."""
    name = f"pvc-{uid_of(claim)}"
    parameters = storage_class.get("parameters") or {}
    hostname = labels_of(node).get(HOSTNAME) or key_of(node).name
    only = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [hostname]}]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "accessModes": list(claim["spec"].get("accessModes") or ["ReadWriteOnce"]),
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": key_of(storage_class).name,
            "mountOptions": list(storage_class.get("mountOptions") or ()),
            "claimRef": claim_reference(claim),
            "local": {"path": str(PurePosixPath(parameters.get("path") or root) / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [only]}},
        },
    }


def observe_claim(claim: Obj, volume: Obj) -> dict[str, Any]:
    """The status of a bound claim."""
    return {
        **{key: value for key, value in (claim.get("status") or {}).items() if key == "conditions"},
        "phase": "Bound",
        "accessModes": list(volume["spec"].get("accessModes") or ()),
        "capacity": dict(volume["spec"].get("capacity") or {}),
    }


def observe_volume(volume: Obj, claim: Obj | None) -> dict[str, Any]:
    """`claim`: what `claimRef` names, if that very object still exists."""
    old = volume.get("status") or {}
    reference = volume["spec"].get("claimRef") or {}
    phase = "Available"
    if reference.get("uid"):
        phase = "Bound" if claim is not None else "Released"
    if phase == "Released" and old.get("phase") == "Failed":
        return old
    if old.get("phase") == phase:
        return old
    return {key: value for key, value in old.items() if key not in ("message", "reason")} | {"phase": phase}


def local_folder(volume: Obj, roots: Sequence[PurePosixPath]) -> PurePosixPath | None:
    """The folder of a volume that we provisioned, if it lies where we make them."""
    if annotations_of(volume).get(PROVISIONED_BY) != PROVISIONER:
        return None
    path = PurePosixPath((volume["spec"].get("local") or {}).get("path") or "/")
    ours = path.name == key_of(volume).name and ".." not in path.parts and path.parent in roots
    return path if ours else None
