"""A rolling update never oversteps maxSurge and maxUnavailable, at any instant, whatever the order of things."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.objects.kinds import DEPLOYMENTS, REPLICASETS
from orchestrator.objects.meta import Obj
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.deployment_plan import SetView, limits_of, plan_rolling
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler
from orchestrator.store.record import Change
from tests.orchestrator.world import deployment, plane
from tests.properties.rollouts import COUNT_OR_PERCENT, SCHEDULES, Rollout, is_zero, steps, template

REACTION = 4  # changes of pods that may come between a decision and the write that it leads to
DEADLINE = 30  # seconds without progress; schedules pass it now and then


@SCHEDULES
@given(
    replicas=st.integers(1, 9), surge=COUNT_OR_PERCENT, unavailable=COUNT_OR_PERCENT, min_ready=st.sampled_from([0, 5]),
    calm=st.booleans(),     schedule=steps("pause", "resume", "lose", "scale"),
)  # fmt: skip
def test_limits_hold_at_every_write(replicas, surge, unavailable, min_ready, calm, schedule):
    if is_zero(surge) and is_zero(unavailable):
        surge = 1
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    wish = deployment(replicas=replicas, strategy=rolling, minReadySeconds=min_ready,
                      progressDeadlineSeconds=DEADLINE, template=template(1, app="web"))  # fmt: skip
    asyncio.run(roll(wish, min_ready, calm, schedule))


class Decided:
    """What was known when sets were last made smaller. In hectic schedules the world goes on between that and the end
    of the pods they choose, here as in Kubernetes: a pod that was to go because it was ill may get well, and another
    one may fall ill. In calm ones it can't, and the limit holds as it is.
    """

    def __init__(self, rollout: Rollout) -> None:
        self.rollout = rollout
        self.known, self.recent, self.mishaps = [], [], 0
        rollout.on_mishap = self._mishap
        rollout.world.api.after_write(self._written)

    def floor(self, least: int) -> int:
        return least if self.rollout.is_calm else min([least, *self.known]) - self.mishaps

    def _mishap(self) -> None:
        self.mishaps += 1

    def _written(self, change: Change) -> None:
        if change.record.resource == REPLICASETS.storage_key and change.previous is not None:
            if change.record.obj["spec"]["replicas"] < change.previous.obj["spec"]["replicas"]:
                self.known += [*self.recent[-REACTION:], len(self.rollout.available())]
            return
        self.recent.append(len(self.rollout.available()))
        if self._is_carried_out():
            self.known, self.mishaps = [], 0

    def _is_carried_out(self) -> bool:
        hashes = [pod["metadata"]["labels"]["pod-template-hash"] for pod in self.rollout.active()]
        return all(
            hashes.count(one.obj["metadata"]["labels"]["pod-template-hash"]) == one.obj["spec"]["replicas"]
            for one in self.rollout.world.api.store.list(REPLICASETS.storage_key)
        )


async def roll(wish: Obj, min_ready: int, calm: bool, schedule) -> None:
    async with plane(DeploymentReconciler, ReplicaSetReconciler) as world:
        rollout = Rollout(world, DEPLOYMENTS, "web", min_ready, calm)
        sizes = [wish["spec"]["replicas"]]  # every number that was ever asked for

        def limits(size):
            return limits_of({**wish, "spec": {**wish["spec"], "replicas": size}})

        def too_many(pod):
            count, most = len(rollout.active()), max(limits(size).most for size in sizes)
            return f"{count} pods, {most} allowed" if count > most else ""

        def too_few(pod):
            count, least = len(rollout.available()), min(limits(size).least for size in sizes)
            least = decided.floor(least)
            return f"{count} available, {least} needed" if rollout.is_available(pod) and count < least else ""

        async def scale(number):
            sizes.append(1 + number % 9)
            await rollout.patch({"replicas": sizes[-1]})

        decided = Decided(rollout)
        rollout.on_create, rollout.on_removal = too_many, too_few
        await world.api.create(DEPLOYMENTS, wish)
        more = {
            "pause": lambda _: rollout.patch({"paused": True}),
            "resume": lambda _: rollout.patch({"paused": False}),
            "lose": rollout.lose,
            "scale": scale,
        }
        for step in schedule:
            await rollout.do(step, more)
        await rollout.patch({"paused": False})
        await rollout.wish_image(2)
        await rollout.come_to_rest()
        rollout.judge(schedule)
        assert rollout.images() == [2] * sizes[-1]
        status = (await world.api.get(DEPLOYMENTS, "web", "default"))["status"]
        progressing = next(one for one in status["conditions"] if one["type"] == "Progressing")
        assert (progressing["status"], progressing["reason"]) == ("True", "NewReplicaSetAvailable")


def sets():
    return st.tuples(st.integers(0, 10), st.integers(0, 4), st.integers(0, 12)).map(
        lambda t: {"size": t[0], "active": t[0] + t[1], "available": min(t[2], t[0] + t[1])}
    )


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=400)
@given(
    desired=st.integers(0, 10), surge=st.integers(0, 5), unavailable=st.integers(0, 5), new=sets(),
    olds=st.lists(sets(), max_size=3),
)  # fmt: skip
def test_a_plan_never_asks_for_more_than_is_allowed_nor_gives_up_what_is_needed(desired, surge, unavailable, new, olds):
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    limits = limits_of(deployment(replicas=desired, strategy=rolling))

    def view(name, state):
        return SetView({"metadata": {"name": name}, "spec": {}}, **state)

    new_view = view("new", new)
    old_views = [view(f"old{n}", state) for n, state in enumerate(olds)]
    sizes = plan_rolling(limits, new_view, old_views)
    before = sum(one.room for one in (new_view, *old_views))
    after_new = sizes.get("new", new_view.size)
    grown = sum(max(sizes.get(one.name, one.size), one.room) for one in (new_view, *old_views))
    assert grown <= max(limits.most, before)
    assert after_new <= max(desired, 0)
    assert all(0 <= sizes.get(one.name, one.size) <= one.size for one in old_views)
    kept_before = sum(one.kept for one in (new_view, *old_views))
    kept_after = min(new_view.available, max(after_new, 0)) + sum(
        min(one.available, sizes.get(one.name, one.size)) for one in old_views
    )
    if new_view.size <= desired:
        assert kept_after >= min(limits.least, kept_before)
