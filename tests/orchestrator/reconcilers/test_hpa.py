from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.objects.kinds import DEPLOYMENTS, HPAS_V2
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.hpa import HpaReconciler
from orchestrator.reconcilers.hpa_plan import Memory, settle_replicas
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler
from tests.orchestrator.world import deployment, plane

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def autoscaler(**spec):
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization",
                "averageUtilization": 50}}}]  # fmt: skip
    return {
        "metadata": {"name": "web", "namespace": "default", "generation": 1},
        "spec": {"minReplicas": 1, "maxReplicas": 10, "metrics": metrics,
                 "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, **spec},
    }  # fmt: skip


def with_request(replicas):
    wish = deployment(replicas=replicas)
    wish["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
    return wish


def use(world, cpu):
    usage = [{"name": "main", "usage": {"cpu": cpu}}]
    world.api.metrics.objects = [
        {"metadata": {"name": one["metadata"]["name"], "namespace": "default", "labels": {"app": "web"}},
         "containers": usage}
        for one in world.pods()
    ]  # fmt: skip


async def running(world, replicas):
    await world.api.create(DEPLOYMENTS, with_request(replicas))
    await world.run_pods()
    for one in world.pods():
        await world.set_pod(one, startTime="2025-12-01T00:00:00Z")


async def size(world):
    return (await world.api.get(DEPLOYMENTS, "web", "default"))["spec"]["replicas"]


PARTS = (HpaReconciler, DeploymentReconciler, ReplicaSetReconciler)


async def test_replicas_follow_use_up_at_once_and_down_after_five_minutes():
    async with plane(*PARTS) as world:
        await running(world, 2)
        use(world, "100m")
        await world.api.create(HPAS_V2, autoscaler())
        await world.settle()
        assert await size(world) == 4
        assert world.events("SuccessfulRescale")[0].startswith("New size: 4; reason: cpu resource utilization")
        await world.run_pods()
        for one in world.pods():
            await world.set_pod(one, startTime="2025-12-01T00:00:00Z")
        use(world, "10m")
        await world.advance(240)
        assert await size(world) == 4
        await world.advance(120)
        assert await size(world) == 1
        status = (await world.api.get(HPAS_V2, "web", "default"))["status"]
        assert status["currentMetrics"][0]["resource"]["current"] == {"averageValue": "10m", "averageUtilization": 10}


@pytest.mark.parametrize(
    ("bounds", "expected", "why"),
    [({"minReplicas": 3}, 3, "below Spec.MinReplicas"), ({"maxReplicas": 1}, 1, "above Spec.MaxReplicas")],
)
async def test_the_bounds_hold_without_any_figures(bounds, expected, why):
    async with plane(*PARTS) as world:
        await running(world, 2)
        await world.api.create(HPAS_V2, autoscaler(**bounds))
        await world.settle()
        assert await size(world) == expected
        assert world.events("SuccessfulRescale") == [f"New size: {expected}; reason: Current number of replicas {why}"]


async def test_without_figures_nothing_is_scaled_and_the_reason_is_told():
    async with plane(*PARTS) as world:
        await running(world, 2)
        await world.api.create(HPAS_V2, autoscaler())
        await world.settle()
        assert await size(world) == 2
        conditions = (await world.api.get(HPAS_V2, "web", "default"))["status"]["conditions"]
        found = next(one for one in conditions if one["type"] == "ScalingActive")
        assert (found["status"], found["reason"]) == ("False", "FailedGetResourceMetric")


@pytest.mark.parametrize("behavior, current, desired, expected", [
    ({}, 2, 100, 6),
    ({}, 10, 100, 20),
    ({"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}, 2, 9, 3),
    ({"scaleUp": {"selectPolicy": "Disabled"}}, 2, 9, 2),
    ({"scaleDown": {"stabilizationWindowSeconds": 0,
                    "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}]}}, 8, 1, 4),
    ({"scaleDown": {"stabilizationWindowSeconds": 0}}, 8, 1, 1),
])  # fmt: skip
def test_policies_bound_the_pace(behavior, current, desired, expected):
    hpa = autoscaler(behavior=behavior, maxReplicas=50)
    assert settle_replicas(hpa, current, desired, Memory(), NOW).replicas == expected


def test_recent_higher_wishes_hold_a_reduction_back():
    memory = Memory([(NOW - timedelta(seconds=200), 7), (NOW - timedelta(seconds=400), 9)])
    outcome = settle_replicas(autoscaler(), 9, 2, memory, NOW)
    assert outcome.replicas == 7 and outcome.able[0] == "ScaleDownStabilized"
