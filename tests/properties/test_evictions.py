"""Evictions never leave fewer healthy pods than a disruption budget asks for, however many come at once."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import NotFound, TooManyRequests
from orchestrator.machinery.pods import is_ready
from orchestrator.objects.kinds import PODDISRUPTIONBUDGETS, PODS, REPLICASETS
from orchestrator.objects.meta import is_deleting, key_of
from orchestrator.reconcilers.deployment_plan import int_or_percent
from orchestrator.reconcilers.disruption import DisruptionReconciler
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler
from tests.orchestrator.world import plane
from tests.properties.rollouts import COUNT_OR_PERCENT, SCHEDULES, Rollout, steps, template


def needed(rule: str, limit: Any, replicas: int) -> int:
    amount = int_or_percent(limit, replicas, default=0, up=True)
    return amount if rule == "minAvailable" else max(0, replicas - amount)


@SCHEDULES
@given(
    replicas=st.integers(1, 6), rule=st.sampled_from(["minAvailable", "maxUnavailable"]), limit=COUNT_OR_PERCENT,
    schedule=steps("evict", "evict", "lose").map(lambda all: [step for step in all if step[0] != "image"]),
)  # fmt: skip
def test_budgets_hold_at_every_eviction(replicas, rule, limit, schedule):
    asyncio.run(evict_at_random(replicas, rule, limit, schedule))


async def evict_at_random(replicas: int, rule: str, limit: Any, schedule) -> None:
    async with plane(ReplicaSetReconciler, DisruptionReconciler) as world:
        rollout = Rollout(world, REPLICASETS, "web", 0, calm=True)
        least = needed(rule, limit, replicas)
        done = []

        async def evict(number: int) -> None:
            """Several at once, before anybody can have looked at the first."""
            pods = [pod for pod in rollout.pods() if is_ready(pod) and not is_deleting(pod)]
            chosen = [pods[(number + step) % len(pods)] for step in range(1 + number % 3)] if pods else []
            before = healthy()
            answers = await asyncio.gather(*map(evict_one, {key_of(pod): pod for pod in chosen}.values()))
            if any(answers):
                done.append(number)
                rollout._note("" if healthy() >= least else f"{healthy()} healthy, {least} needed")
                rollout._note("" if before > least else f"of {before} healthy pods one was evicted, {least} needed")

        async def evict_one(pod) -> bool:
            key = key_of(pod)
            rollout.taken.add(pod["metadata"]["uid"])
            body = {"metadata": {"name": key.name, "namespace": key.namespace}}
            try:
                await world.api.create_subresource(PODS, key.name, key.namespace, "eviction", body)
            except (TooManyRequests, NotFound):
                return False
            return True

        def healthy() -> int:
            return sum(is_ready(pod) and not is_deleting(pod) for pod in world.pods(app="web"))

        await rollout.wish({"replicas": replicas, "template": template(1, app="web")})
        selector = {"matchLabels": {"app": "web"}}
        budget = {"metadata": {"name": "b", "namespace": "default"}, "spec": {"selector": selector, rule: limit}}
        await world.api.create(PODDISRUPTIONBUDGETS, budget)
        await rollout.come_to_rest()
        for step in schedule:
            await rollout.do(step, {"evict": evict, "lose": rollout.lose})
        await rollout.come_to_rest()
        rollout.judge(schedule)
        assert len(rollout.available()) == replicas
        if replicas > least:
            await evict(0)
            assert done and done[-1] == 0, "a budget with room for one refused it"
