import pytest

from orchestrator.objects.kinds import (
    CONFIGMAPS,
    DEPLOYMENTS,
    JOBS,
    NAMESPACES,
    PODDISRUPTIONBUDGETS,
    PODS,
    RESOURCEQUOTAS,
    SERVICEACCOUNTS,
)
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.disruption import DisruptionReconciler
from orchestrator.reconcilers.finished_ttl import FinishedTtlReconciler
from orchestrator.reconcilers.quota import QuotaReconciler
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler
from orchestrator.reconcilers.service_account import ServiceAccountReconciler
from tests.orchestrator.world import deployment, plane, pod, pod_template


@pytest.mark.parametrize("rule, desired, allowed", [
    ({"minAvailable": 3}, 3, 1),
    ({"minAvailable": "50%"}, 2, 2),
    ({"maxUnavailable": 1}, 3, 1),
    ({"maxUnavailable": "30%"}, 2, 2),
    ({"minAvailable": 9}, 9, 0),
])  # fmt: skip
async def test_a_budget_says_how_many_pods_may_go(rule, desired, allowed):
    async with plane(DisruptionReconciler, DeploymentReconciler, ReplicaSetReconciler) as world:
        await world.api.create(DEPLOYMENTS, deployment(replicas=4))
        await world.run_pods()
        spec = {"selector": {"matchLabels": {"app": "web"}}, **rule}
        await world.api.create(PODDISRUPTIONBUDGETS, {"metadata": {"name": "b", "namespace": "default"}, "spec": spec})
        await world.settle()
        status = (await world.api.get(PODDISRUPTIONBUDGETS, "b", "default"))["status"]
        assert (status["desiredHealthy"], status["disruptionsAllowed"], status["currentHealthy"]) == (
            desired, allowed, 4,
        )  # fmt: skip


async def test_an_evicted_pod_is_not_counted_as_healthy_and_is_forgotten_when_it_stays():
    async with plane(DisruptionReconciler) as world:
        one = await world.api.create(PODS, pod("a", labels={"app": "web"}))
        await world.set_pod(one)
        spec = {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 0}
        budget = {"metadata": {"name": "b", "namespace": "default"}, "spec": spec}
        await world.api.create(PODDISRUPTIONBUDGETS, budget)
        await world.settle()
        made = await world.api.get(PODDISRUPTIONBUDGETS, "b", "default")
        status = {"disruptedPods": {"a": "2026-01-01T00:00:00Z"}}
        await world.api.update(PODDISRUPTIONBUDGETS, {**made, "status": {**made["status"], **status}},
                               subresource="status")  # fmt: skip
        await world.settle()
        found = (await world.api.get(PODDISRUPTIONBUDGETS, "b", "default"))["status"]
        assert found["currentHealthy"] == 0 and found["disruptedPods"]
        await world.advance(125)
        found = (await world.api.get(PODDISRUPTIONBUDGETS, "b", "default"))["status"]
        assert found["currentHealthy"] == 1 and "disruptedPods" not in found


async def test_a_quota_adds_up_what_lives_in_its_namespace():
    async with plane(QuotaReconciler) as world:
        hard = {"pods": "10", "requests.cpu": "2", "memory": "1Gi", "count/configmaps": "5", "limits.cpu": "2"}
        limits = {"cpu": "250m"}
        await world.api.create(NAMESPACES, {"metadata": {"name": "other"}})
        await world.api.create(
            RESOURCEQUOTAS, {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": hard}}
        )
        for name in "ab":
            await world.api.create(PODS, pod(name, requests={"cpu": "250m", "memory": "100Mi"}, limits=limits))
        done = await world.api.create(PODS, pod("done", requests={"cpu": "1", "memory": "1Mi"}, limits={"cpu": "1"}))
        await world.set_pod(done, "Succeeded", ready=False)
        await world.api.create(CONFIGMAPS, {"metadata": {"name": "c", "namespace": "default"}})
        await world.api.create(CONFIGMAPS, {"metadata": {"name": "c", "namespace": "other"}})
        await world.advance(1)
        status = (await world.api.get(RESOURCEQUOTAS, "q", "default"))["status"]
        assert status["used"] == {
            "pods": "2", "requests.cpu": "500m", "memory": "200Mi", "count/configmaps": "2", "limits.cpu": "500m",
        }  # fmt: skip


async def test_every_namespace_gets_its_account_and_the_authority_back_when_they_are_deleted(tmp_path):
    class Settings:
        data = tmp_path

    (tmp_path / "pki").mkdir()
    (tmp_path / "pki" / "ca.crt").write_text("CERT")
    async with plane(ServiceAccountReconciler) as world:
        world.world.settings = Settings
        await world.api.create(NAMESPACES, {"metadata": {"name": "app"}})
        maps = world.world.informers.of(CONFIGMAPS)
        assert await maps.until(("app", "kube-root-ca.crt"), bool, 5)
        await world.settle()
        (published,) = world.api.peek(CONFIGMAPS, "app")
        assert published["data"] == {"ca.crt": "CERT"}
        await world.api.delete(SERVICEACCOUNTS, "default", "app")
        await world.api.delete(CONFIGMAPS, "kube-root-ca.crt", "app")
        await world.settle()
        assert world.api.peek(SERVICEACCOUNTS, "app") and world.api.peek(CONFIGMAPS, "app")


async def test_a_finished_job_goes_when_its_time_is_up():
    async with plane(FinishedTtlReconciler) as world:
        spec = {"ttlSecondsAfterFinished": 30, "template": pod_template(restartPolicy="Never")}
        job = {"metadata": {"name": "j", "namespace": "default"}, "spec": spec}
        made = await world.api.create(JOBS, job)
        status = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
        await world.api.update(JOBS, {**made, "status": status}, subresource="status")
        await world.advance(29)
        assert not world.api.peek(JOBS)[0]["metadata"].get("deletionTimestamp")
        await world.advance(2)
        assert all(one["metadata"].get("deletionTimestamp") for one in world.api.peek(JOBS))
