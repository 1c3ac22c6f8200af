"""StatefulSets: pods with names, claims and an order of their own."""

from __future__ import annotations

from orchestrator.errors import AlreadyExists, ApiError, NotFound
from orchestrator.machinery.reconciler import Reconciler, gather_or_first_error
from orchestrator.objects.kinds import CONTROLLERREVISIONS, PERSISTENTVOLUMECLAIMS, PODS, STATEFULSETS
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of, labels_of, uid_of
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.reconcilers.history import HASH, current_revision, plan_trim
from orchestrator.reconcilers.ownership import claim_objects
from orchestrator.reconcilers.replicaset import next_availability
from orchestrator.reconcilers.statefulset_plan import (
    Plan,
    claim_owners,
    observe_statefulset,
    ordinal_of,
    plan_statefulset,
    render_claims,
    render_pod,
)

COMPONENT = "statefulset-controller"


class StatefulSetReconciler(Reconciler):
    """A pod's label `controller-revision-hash` holds the whole name of its revision, as in Kubernetes."""

    name = "statefulset"

    def setup(self) -> None:
        self.sets = self.follow(STATEFULSETS)
        self.pods = self.follow_owned(PODS, "StatefulSet")
        self.revisions = self.follow_owned(CONTROLLERREVISIONS, "StatefulSet")
        self.claims = self.informer(PERSISTENTVOLUMECLAIMS)

    async def reconcile(self, key: Key) -> float | None:
        statefulset = self.sets.get(key)
        if statefulset is None:
            return None
        selector = label_selector_from_object(statefulset["spec"].get("selector"))
        pods = await claim_objects(self.api, STATEFULSETS, statefulset, selector, PODS, self.pods)
        if is_deleting(statefulset):
            return None
        update = await current_revision(self.api, self.revisions, statefulset)
        current = self._current(statefulset, update)
        names = current["metadata"]["name"], update["metadata"]["name"]
        await self._settle_claim_owners(statefulset, pods)
        now = self.clock.now()  # of the whole turn: what becomes available after it is still to come
        plan = plan_statefulset(statefulset, pods, *names, now)
        await self._apply(statefulset, plan, {names[0]: current, names[1]: update})
        pods = self.pods.indexed("controller", uid_of(statefulset))
        statefulset = self.sets.with_newest_status(statefulset)
        collisions = (statefulset.get("status") or {}).get("collisionCount")
        status = observe_statefulset(statefulset, pods, *names, collisions, now)
        try:
            await self.api.update_status(STATEFULSETS, statefulset, status)
        except NotFound:
            return None
        await self._trim(statefulset, pods, names)
        if plan.create or plan.delete:
            return 0.0
        return next_availability(pods, statefulset["spec"].get("minReadySeconds") or 0, now)

    def _current(self, statefulset: Obj, update: Obj) -> Obj:
        """The revision the set came from; the update's own when there is none."""
        name = (statefulset.get("status") or {}).get("currentRevision")
        return self.revisions.get(Key(key_of(statefulset).namespace, name)) or update if name else update

    async def _apply(self, statefulset: Obj, plan: Plan, revisions: dict[str, Obj]) -> None:
        await gather_or_first_error(self._delete_pod(statefulset, pod) for pod in plan.delete)
        for ordinal, revision in plan.create:
            await self._create_pod(statefulset, ordinal, revisions[revision])

    async def _create_pod(self, statefulset: Obj, ordinal: int, revision: Obj) -> None:
        template = {key: value for key, value in revision["data"]["spec"]["template"].items() if key != "$patch"}
        pod = render_pod(statefulset, template, ordinal, revision["metadata"]["name"])
        name, owner = pod["metadata"]["name"], statefulset["metadata"]["name"]
        try:
            await self._create_claims(statefulset, ordinal)
            await self.api.create(PODS, pod)
        except AlreadyExists:
            raise
        except ApiError as error:
            message = f"create Pod {name} in StatefulSet {owner} failed error: {error.message}"
            self.events.warning(statefulset, "FailedCreate", message, component=COMPONENT)
            raise
        message = f"create Pod {name} in StatefulSet {owner} successful"
        self.events.normal(statefulset, "SuccessfulCreate", message, component=COMPONENT)

    async def _create_claims(self, statefulset: Obj, ordinal: int) -> None:
        for claim in render_claims(statefulset, ordinal):
            key = key_of(claim)
            if self.claims.get(key) is not None:
                continue
            if owners := claim_owners(statefulset, None, ordinal):
                claim["metadata"]["ownerReferences"] = owners
            try:
                await self.api.create(PERSISTENTVOLUMECLAIMS, claim)
            except AlreadyExists:
                continue
            message = (
                f"create Claim {key.name} Pod {statefulset['metadata']['name']}-{ordinal} in StatefulSet "
                f"{statefulset['metadata']['name']} success"
            )
            self.events.normal(statefulset, "SuccessfulCreate", message, component=COMPONENT)

    async def _settle_claim_owners(self, statefulset: Obj, pods: list[Obj]) -> None:
        """Keep on each claim the owner that its retention policy gives it."""
        for pod in pods:
            ordinal = ordinal_of(statefulset, pod)
            if ordinal is None:
                continue
            wanted = claim_owners(statefulset, pod, ordinal)
            for rendered in render_claims(statefulset, ordinal):
                claim = self.claims.get(key_of(rendered))
                if claim is not None:
                    await self._set_claim_owners(statefulset, pod, claim, wanted)

    async def _set_claim_owners(self, statefulset: Obj, pod: Obj, claim: Obj, wanted: list[dict[str, object]]) -> None:
        present = claim["metadata"].get("ownerReferences") or []
        ours = {uid_of(statefulset), uid_of(pod)}
        references = [one for one in present if one["uid"] not in ours] + wanted
        if references != present:
            key = key_of(claim)
            meta = {"ownerReferences": references or None, "resourceVersion": claim["metadata"]["resourceVersion"]}
            await self.api.patch(PERSISTENTVOLUMECLAIMS, key.name, key.namespace, patch={"metadata": meta})

    async def _delete_pod(self, statefulset: Obj, pod: Obj) -> None:
        if await self.api.delete(PODS, pod):
            message = (
                f"delete Pod {pod['metadata']['name']} in StatefulSet {statefulset['metadata']['name']} successful"
            )
            self.events.normal(statefulset, "SuccessfulDelete", message, component=COMPONENT)

    async def _trim(self, statefulset: Obj, pods: list[Obj], names: tuple[str, str]) -> None:
        limit = statefulset["spec"].get("revisionHistoryLimit")
        in_use = {*names, *(labels_of(pod).get(HASH, "") for pod in pods)}
        revisions = self.revisions.indexed("controller", uid_of(statefulset))
        for one in plan_trim(revisions, in_use, 10 if limit is None else int(limit)):
            await self.api.delete(CONTROLLERREVISIONS, one)
