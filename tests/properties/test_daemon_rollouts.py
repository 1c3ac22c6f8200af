"""A DaemonSet's update leaves no more nodes without a serving pod, and starts no more second pods, than it may."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.objects.kinds import DAEMONSETS
from orchestrator.objects.meta import Obj
from orchestrator.reconcilers.daemonset import DaemonSetReconciler
from orchestrator.reconcilers.daemonset_plan import node_of
from orchestrator.reconcilers.deployment_plan import int_or_percent
from tests.orchestrator.world import plane
from tests.properties.rollouts import COUNT_OR_PERCENT, SCHEDULES, Rollout, is_zero, steps, template


class Daemons:
    def __init__(self, rollout: Rollout, nodes: int, surge: Any, unavailable: Any) -> None:
        self.rollout, self.nodes = rollout, nodes
        self.surge = int_or_percent(surge, nodes, default=0, up=True)
        self.unavailable = int_or_percent(unavailable, nodes, default=1, up=True)
        rollout.on_create, rollout.on_removal = self.judge_create, self.judge_removal

    def judge_create(self, pod: Obj) -> str:
        homes = [node_of(one) for one in self.rollout.active()]
        double = [home for home in set(homes) if homes.count(home) > 1]
        if any(homes.count(home) > 2 for home in double):
            return "three pods on a node"
        return f"second pods on {double}, {self.surge} allowed" if len(double) > self.surge else ""

    def judge_removal(self, pod: Obj) -> str:
        if not self.rollout.is_calm or not self.rollout.is_available(pod):
            return ""
        serving = {node_of(one) for one in self.rollout.available()}
        if self.surge:
            return "" if node_of(pod) in serving else f"{node_of(pod)} lost the pod that served it"
        missing = self.nodes - len(serving)
        return f"{missing} nodes are not served, {self.unavailable} may be" if missing > self.unavailable else ""


@SCHEDULES
@given(
    nodes=st.integers(1, 5), limit=COUNT_OR_PERCENT.filter(lambda limit: not is_zero(limit)), surging=st.booleans(),
    min_ready=st.sampled_from([0, 5]), calm=st.booleans(), schedule=steps("lose"),
)  # fmt: skip
def test_limits_hold_at_every_write(nodes, limit, surging, min_ready, calm, schedule):
    surge, unavailable = (limit, 0) if surging else (0, limit)
    asyncio.run(roll(nodes, surge, unavailable, min_ready, calm, schedule))


async def roll(nodes: int, surge: Any, unavailable: Any, min_ready: int, calm: bool, schedule) -> None:
    async with plane(DaemonSetReconciler) as world:
        for number in range(nodes):
            await world.add_node(f"n{number}")
        rollout = Rollout(world, DAEMONSETS, "ds", min_ready, calm)
        Daemons(rollout, nodes, surge, unavailable)
        rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
        await rollout.wish({
            "template": template(1, app="ds"), "minReadySeconds": min_ready,
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling},
        })  # fmt: skip
        for step in schedule:
            await rollout.do(step, {"lose": rollout.lose})
        await rollout.wish_image(2)
        await rollout.come_to_rest()
        rollout.judge(schedule)
        assert rollout.images() == [2] * nodes
        assert len({node_of(pod) for pod in rollout.active()}) == nodes
