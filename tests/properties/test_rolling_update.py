"""A rolling update never oversteps maxSurge and maxUnavailable, at any instant, whatever the order of things."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.machinery.pods import is_active, is_available
from orchestrator.objects.kinds import DEPLOYMENTS, PODS
from orchestrator.objects.meta import is_deleting, key_of
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.deployment_plan import SetView, limits_of, plan_rolling
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler
from tests.orchestrator.world import deployment, plane


def check(world, limits, min_ready):
    now = world.clock.now()
    pods = [one for one in world.pods(app="web") if is_active(one)]
    available = sum(is_available(one, min_ready, now) for one in pods)
    assert len(pods) <= limits.most, f"{len(pods)} pods, {limits.most} allowed"
    assert available >= limits.least, f"{available} available, {limits.least} needed"


async def kubelet_step(world, chance):
    """One thing happens to one pod: it starts, gets ready, or ends."""
    pods = world.pods(app="web")
    chance.shuffle(pods)
    for one in pods:
        if is_deleting(one):
            await world.api.delete(PODS, key_of(one).name, "default", grace_period=0)
            return True
        phase = (one.get("status") or {}).get("phase")
        if phase == "Pending":
            await world.set_pod(one, ready=False)
            return True
        if not any(c["type"] == "Ready" and c["status"] == "True" for c in one["status"]["conditions"]):
            await world.set_pod(one)
            return True
    return False


def watched(world, limits, min_ready):
    """Look at the world after every single write."""
    world.api.after_write(lambda change: check(world, limits, min_ready))


@pytest.mark.parametrize("seed", range(12))
async def test_limits_hold_after_every_write(seed):
    chance = random.Random(seed)
    replicas = chance.randint(1, 9)
    surge = chance.choice([0, 1, 2, "25%", "50%", "100%"])
    unavailable = chance.choice([0, 1, 2, "25%", "50%"])
    if str(surge).rstrip("%") == "0" and str(unavailable).rstrip("%") == "0":
        surge = 1
    min_ready = chance.choice([0, 0, 5])
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
    wish = deployment(replicas=replicas, strategy=rolling, minReadySeconds=min_ready)
    async with plane(DeploymentReconciler, ReplicaSetReconciler) as world:
        await world.api.create(DEPLOYMENTS, wish)
        await world.run_pods()
        await world.advance(min_ready + 1)
        watched(world, limits_of(wish), min_ready)
        for version in range(2, 5):
            template = {"spec": {"containers": [{"name": "main", "image": f"registry.test/app:{version}"}]}}
            await world.api.patch(DEPLOYMENTS, "web", "default", patch={"spec": {"template": template}})
            for _ in range(chance.randint(0, 12)):  # the next version may come before this one is through
                await world.settle() if chance.random() < 0.7 else None
                await kubelet_step(world, chance)
                if chance.random() < 0.3:
                    await world.advance(chance.randint(1, 6))
        for _ in range(400):
            await world.settle()
            if not await kubelet_step(world, chance):
                before = world.clock.elapsed
                await world.advance(min_ready + 1)
                if not await kubelet_step(world, chance) and before:
                    break
        images = [one["spec"]["containers"][0]["image"] for one in world.pods(app="web") if is_active(one)]
        assert images == ["registry.test/app:4"] * replicas


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
