"""A StatefulSet's pods come in order and are replaced from the highest down to the partition, no more at once than may
be missing, whatever the order of things.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.objects.kinds import STATEFULSETS
from orchestrator.objects.meta import Obj
from orchestrator.reconcilers.deployment_plan import int_or_percent
from orchestrator.reconcilers.statefulset import StatefulSetReconciler
from tests.orchestrator.world import plane
from tests.properties.rollouts import SCHEDULES, Rollout, steps, template


class Stateful:
    """What is wished now, and what a write may not do. Judged in calm schedules: in others the world may have changed
    between a decision and its write, here as in Kubernetes.
    """

    def __init__(self, rollout: Rollout, replicas: int, ordered: bool, limit: Any) -> None:
        self.rollout, self.replicas, self.ordered, self.limit = rollout, replicas, ordered, limit
        self.partition = 0
        rollout.on_create, rollout.on_removal = self.judge_create, self.judge_removal

    def serving(self, but: Obj | None = None) -> set[int]:
        return {ordinal(pod) for pod in self.rollout.available() if but is None or pod["metadata"] != but["metadata"]}

    def judge_create(self, pod: Obj) -> str:
        number = ordinal(pod)
        if not self.rollout.is_calm:
            return ""
        if number >= self.replicas:
            return f"pod {number} of {self.replicas}"
        if self.ordered and not set(range(number)) <= self.serving():
            return f"pod {number} was made while of those below it only {self.serving()} served"
        return ""

    def judge_removal(self, pod: Obj) -> str:
        number = ordinal(pod)
        if not self.rollout.is_calm:
            return ""
        if number >= self.replicas:
            highest = max(map(ordinal, self.rollout.active()), default=-1)
            return f"pod {number} went before pod {highest}" if self.ordered and highest > number else ""
        if number < self.partition:
            return f"pod {number} was replaced below the partition {self.partition}"
        missing = set(range(self.replicas)) - self.serving()
        if not self.rollout.is_available(pod):
            return ""
        if self.limit is None:
            above = missing & set(range(number + 1, self.replicas))
            return f"pod {number} was replaced while {above} did not serve" if above else ""
        most = max(1, int_or_percent(self.limit, self.replicas, default=1, up=False))
        return f"{missing} did not serve, {most} may be missing" if len(missing) > most else ""

    async def scale(self, number: int) -> None:
        self.replicas = number % 6
        await self.rollout.patch({"replicas": self.replicas})

    async def part(self, number: int) -> None:
        self.partition = number % 5
        await self.rollout.patch({"updateStrategy": {"rollingUpdate": {"partition": self.partition}}})


def ordinal(pod: Obj) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


@SCHEDULES
@given(
    replicas=st.integers(2, 5), policy=st.sampled_from(["OrderedReady", "Parallel"]),
    limit=st.sampled_from([None, None, None, 1, 2, "50%"]), min_ready=st.sampled_from([0, 5]), calm=st.booleans(),
    partition=st.sampled_from([0, 1, 1, 2]),     schedule=steps("scale", "part", "lose", "image"),
)  # fmt: skip
def test_order_partition_and_limit_hold_at_every_write(replicas, policy, limit, min_ready, calm, partition, schedule):
    asyncio.run(roll(replicas, policy, limit, min_ready, calm, partition, schedule))


async def roll(replicas: int, policy: str, limit: Any, min_ready: int, calm: bool, partition: int, schedule) -> None:
    async with plane(StatefulSetReconciler) as world:
        rollout = Rollout(world, STATEFULSETS, "db", min_ready, calm)
        wished = Stateful(rollout, replicas, policy == "OrderedReady", limit)
        rolling = {"maxUnavailable": limit} if limit is not None else {}
        await rollout.wish({
            "replicas": replicas, "serviceName": "db", "podManagementPolicy": policy, "minReadySeconds": min_ready,
            "template": template(1, app="db"), "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        })  # fmt: skip
        if calm:  # begun from a set that is all there, most schedules come to replacing pods
            await rollout.come_to_rest()
            await wished.part(partition)
        for step in schedule:
            await rollout.do(step, {"scale": wished.scale, "part": wished.part, "lose": rollout.lose})
        await wished.part(0)
        await rollout.wish_image(2)
        await rollout.repair()
        await rollout.come_to_rest()
        rollout.judge(schedule)
        assert rollout.images() == [2] * wished.replicas
