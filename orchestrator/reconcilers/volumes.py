"""Claims and volumes: binding the one to the other, making local volumes, and taking them back.

A local volume is a folder on one node, under `volumes/` beside the server's data (or the class's parameter `path`); the
node's agent makes it when the first pod mounts it. Its data goes with its claim unless the class says `Retain`; on a
node other than the server's the folder stays behind, and the volume's event says so.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from orchestrator.errors import AlreadyExists, NotFound
from orchestrator.machinery.pods import is_finished
from orchestrator.machinery.reconciler import Reconciler, index_by_namespace
from orchestrator.objects.kinds import NODES, PERSISTENTVOLUMECLAIMS, PERSISTENTVOLUMES, PODS, STORAGECLASSES
from orchestrator.objects.meta import Key, Obj, annotations_of, is_deleting, key_of, uid_of
from orchestrator.reconcilers.volume_plan import (
    BIND_COMPLETED,
    BOUND_BY,
    LOCAL_CLASS,
    PROTECTION,
    PROVISIONER,
    capacity_of,
    choose_volume,
    claim_reference,
    default_class,
    is_claimed_by,
    local_folder,
    observe_claim,
    observe_volume,
    render_volume,
    requested,
)
from orchestrator.scheduler.snapshot import claims_of
from orchestrator.scheduler.volumes import NO_PROVISIONER, SELECTED_NODE, is_bound

COMPONENT = "persistentvolume-controller"
FALLBACK_ROOT = PurePosixPath("/var/lib/paas/volumes")


def volumes_root(settings: object) -> PurePosixPath:
    data = getattr(settings, "data", None)
    return PurePosixPath(Path(data).resolve().parent / "volumes") if data else FALLBACK_ROOT


class ClaimReconciler(Reconciler):
    name = "claim"
    workers = 4

    def setup(self) -> None:
        self.root = volumes_root(self.world.settings)
        self.claims = self.follow(PERSISTENTVOLUMECLAIMS)
        index_by_namespace(self.claims)
        self.volumes = self.follow(PERSISTENTVOLUMES, self._claims_for)
        self.classes = self.follow(STORAGECLASSES, lambda one: self._pending())
        self.nodes = self.informer(NODES)
        self.pods = self.follow(PODS, _claim_keys)
        self.pods.add_index("claim", lambda pod: [str(key) for key in _claim_keys(pod)])

    async def run(self) -> None:
        await self._ensure_class()
        await super().run()

    async def _ensure_class(self) -> None:
        if not len(self.classes):
            try:
                await self.api.create(STORAGECLASSES, LOCAL_CLASS)
            except AlreadyExists:
                return

    def _claims_for(self, volume: Obj) -> Iterable[Key]:
        reference = volume["spec"].get("claimRef")
        if reference:
            return [Key(reference.get("namespace") or "", reference.get("name") or "")]
        return self._pending()

    def _pending(self) -> list[Key]:
        return [key_of(claim) for claim in self.claims if not is_bound(claim)]

    async def reconcile(self, key: Key) -> None:
        claim = self.claims.get(key)
        if claim is None:
            return
        if is_deleting(claim):
            await self._unprotect(claim)
            return
        claim = await self._complete(claim)
        if claim["spec"].get("volumeName") and is_bound(claim):
            await self._check_bound(claim)
            return
        volume = await self._find_volume(claim)
        if volume is not None:
            await self._bind(claim, volume)

    async def _complete(self, claim: Obj) -> Obj:
        """Give it the default class, and the finalizer that keeps it while pods use it."""
        patch: dict[str, object] = {}
        if claim["spec"].get("storageClassName") is None and not claim["spec"].get("volumeName"):
            if (found := default_class(self.classes)) is not None:
                patch["spec"] = {"storageClassName": key_of(found).name}
        finalizers = claim["metadata"].get("finalizers") or []
        if PROTECTION not in finalizers:
            version = claim["metadata"]["resourceVersion"]
            patch["metadata"] = {"finalizers": [*finalizers, PROTECTION], "resourceVersion": version}
        if not patch:
            return claim
        key = key_of(claim)
        return await self.api.patch(PERSISTENTVOLUMECLAIMS, key.name, key.namespace, patch=patch)

    async def _unprotect(self, claim: Obj) -> None:
        finalizers = claim["metadata"].get("finalizers") or []
        key = key_of(claim)
        in_use = any(not is_finished(pod) for pod in self.pods.indexed("claim", str(key)))
        if PROTECTION in finalizers and not in_use:
            rest = [one for one in finalizers if one != PROTECTION]
            meta = {"finalizers": rest or None, "resourceVersion": claim["metadata"]["resourceVersion"]}
            await self.api.patch(PERSISTENTVOLUMECLAIMS, key.name, key.namespace, patch={"metadata": meta})

    async def _check_bound(self, claim: Obj) -> None:
        """Its volume may have gone, or the claim may want to grow."""
        volume = self.volumes.get(Key("", claim["spec"]["volumeName"]))
        if volume is None:
            status = {**claim["status"], "phase": "Lost"}
            message = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
            self.events.warning(claim, "ClaimLost", message, component=COMPONENT)
            await self.api.update_status(PERSISTENTVOLUMECLAIMS, claim, status)
            return
        if requested(claim) > capacity_of(volume) and annotations_of(volume).get(BOUND_BY):
            storage_class = self.classes.get(Key("", claim["spec"].get("storageClassName") or ""))
            if storage_class is not None and storage_class.get("allowVolumeExpansion"):
                size = claim["spec"]["resources"]["requests"]["storage"]
                patch = {"spec": {"capacity": {"storage": size}}}
                volume = await self.api.patch(PERSISTENTVOLUMES, key_of(volume).name, patch=patch)
                await self.api.update_status(PERSISTENTVOLUMECLAIMS, claim, observe_claim(claim, volume))

    async def _find_volume(self, claim: Obj) -> Obj | None:
        if name := claim["spec"].get("volumeName"):
            volume = self.volumes.get(Key("", name))
            if volume is None or (volume["spec"].get("claimRef") and not is_claimed_by(volume, claim)):
                return None
            return volume
        storage_class = self.classes.get(Key("", claim["spec"].get("storageClassName") or ""))
        waits = storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
        node = self.nodes.get(Key("", annotations_of(claim).get(SELECTED_NODE) or ""))
        volume = choose_volume(claim, list(self.volumes), node, waits=waits)
        if volume is not None:
            return volume
        if storage_class is None:
            message = "no persistent volumes available for this claim and no storage class is set"
            if name := claim["spec"].get("storageClassName"):
                message = f'storageclass.storage.k8s.io "{name}" not found'
            self.events.normal(claim, "FailedBinding", message, component=COMPONENT)
        elif waits and node is None:
            message = "waiting for first consumer to be created before binding"
            self.events.normal(claim, "WaitForFirstConsumer", message, component=COMPONENT)
        elif storage_class["provisioner"] == PROVISIONER:
            return await self._provision(claim, storage_class, node)
        elif storage_class["provisioner"] != NO_PROVISIONER:
            self._await_external(claim, storage_class["provisioner"])
        return None

    async def _provision(self, claim: Obj, storage_class: Obj, node: Obj | None) -> Obj | None:
        if node is None:  # immediate binding: any node will do, the pods follow the volume
            node = min(self.nodes, key=lambda one: key_of(one).name, default=None)
        if node is None:
            self.events.warning(
                claim, "ProvisioningFailed", "no node is there to hold a local volume", component=COMPONENT
            )
            return None
        volume = render_volume(claim, storage_class, node, self.root)
        name = key_of(volume).name
        try:
            volume = await self.api.create(PERSISTENTVOLUMES, volume)
        except AlreadyExists:
            return await self.api.get(PERSISTENTVOLUMES, name)
        message = f"Successfully provisioned volume {name}"
        self.events.normal(claim, "ProvisioningSucceeded", message, component=PROVISIONER)
        return volume

    def _await_external(self, claim: Obj, provisioner: str) -> None:
        message = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the "
            "system administrator. If volume creation is delayed, please verify that the provisioner is running and "
            "correctly registered."
        )
        self.events.normal(claim, "ExternalProvisioning", message, component=COMPONENT)

    async def _bind(self, claim: Obj, volume: Obj) -> None:
        """Volume first, then claim: whoever dies in between leaves a volume that is set aside for this claim."""
        key, name = key_of(claim), key_of(volume).name
        if (volume["spec"].get("claimRef") or {}).get("uid") != uid_of(claim):
            patch = {
                "metadata": {
                    "annotations": {BOUND_BY: "yes"},
                    "resourceVersion": volume["metadata"]["resourceVersion"],
                },
                "spec": {"claimRef": claim_reference(claim)},
            }
            volume = await self.api.patch(PERSISTENTVOLUMES, name, patch=patch)
        volume = await self.api.update_status(PERSISTENTVOLUMES, volume, observe_volume(volume, claim))
        if claim["spec"].get("volumeName") != name:
            patch = {
                "metadata": {"annotations": {BIND_COMPLETED: "yes", BOUND_BY: "yes"}},
                "spec": {"volumeName": name},
            }
            claim = await self.api.patch(PERSISTENTVOLUMECLAIMS, key.name, key.namespace, patch=patch)
        await self.api.update_status(PERSISTENTVOLUMECLAIMS, claim, observe_claim(claim, volume))


class VolumeReconciler(Reconciler):
    name = "volume"
    workers = 2

    def setup(self) -> None:
        self.root = volumes_root(self.world.settings)
        self.volumes = self.follow(PERSISTENTVOLUMES)
        self.claims = self.follow(PERSISTENTVOLUMECLAIMS, _volume_keys)
        self.classes = self.informer(STORAGECLASSES)

    async def reconcile(self, key: Key) -> None:
        volume = self.volumes.get(key)
        if volume is None:
            return
        reference = volume["spec"].get("claimRef") or {}
        claim = self.claims.get(Key(reference.get("namespace") or "", reference.get("name") or ""))
        if claim is not None and reference.get("uid") and uid_of(claim) != reference["uid"]:
            claim = None
        if not is_deleting(volume):
            volume = await self.api.update_status(PERSISTENTVOLUMES, volume, observe_volume(volume, claim))
        released = (volume.get("status") or {}).get("phase") == "Released"
        if released and volume["spec"].get("persistentVolumeReclaimPolicy") == "Delete":
            await self._reclaim(volume)

    async def _reclaim(self, volume: Obj) -> None:
        parameters = [(one.get("parameters") or {}).get("path") for one in self.classes]
        roots = [self.root, *(PurePosixPath(path) for path in parameters if path)]
        folder = local_folder(volume, roots)
        if folder is None:
            status = {**(volume.get("status") or {}), "phase": "Failed"}
            status["message"] = "this volume was not made here, so its data is not ours to delete"
            self.events.warning(volume, "VolumeFailedDelete", status["message"], component=COMPONENT)
            await self.api.update_status(PERSISTENTVOLUMES, volume, status)
            return
        removed = await asyncio.to_thread(_remove_folder, Path(folder))
        if not removed:
            message = f"{folder} is not on this machine; if another node holds it, remove it there"
            self.events.normal(volume, "VolumeFolderElsewhere", message, component=COMPONENT)
        try:
            await self.api.delete(PERSISTENTVOLUMES, volume)
        except NotFound:
            return


def _remove_folder(folder: Path) -> bool:
    """Whether it was there. A link in its place is removed, never followed."""
    if folder.is_symlink():
        folder.unlink()
        return True
    if not folder.exists():
        return False
    shutil.rmtree(folder)
    return True


def _claim_keys(pod: Obj) -> list[Key]:
    return [Key(key_of(pod).namespace, name) for name in claims_of(pod)]


def _volume_keys(claim: Obj) -> list[Key]:
    name = claim["spec"].get("volumeName")
    return [Key("", name)] if name else []
