"""Every reconciler may be killed after any single write; a new one finishes what it left."""

import asyncio

import pytest

from orchestrator.machinery.clock import FakeClock
from orchestrator.objects.kinds import (
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    JOBS,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODS,
    REPLICASETS,
    SERVICES,
    STATEFULSETS,
)
from orchestrator.objects.meta import is_deleting
from orchestrator.reconcilers.daemonset import DaemonSetReconciler
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.endpointslice import EndpointSliceReconciler
from orchestrator.reconcilers.garbage import GarbageCollector
from orchestrator.reconcilers.job import JobReconciler
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler
from orchestrator.reconcilers.statefulset import StatefulSetReconciler
from orchestrator.reconcilers.volumes import ClaimReconciler, VolumeReconciler
from orchestrator.scheduler.loop import Scheduler
from tests.orchestrator.memory_api import MemoryApi
from tests.orchestrator.world import deployment, plane, pod_template

ALL = (
    DeploymentReconciler, ReplicaSetReconciler, EndpointSliceReconciler, GarbageCollector, JobReconciler,
    StatefulSetReconciler, DaemonSetReconciler, ClaimReconciler, VolumeReconciler, Scheduler,
)  # fmt: skip


class Killed(BaseException):
    """The process is gone: no handler may catch this."""


class DyingApi:
    """A client of `api` whose process is killed once it has made its share of writes: the last one is in the store,
    its answer never arrives, and nothing is written any more."""

    def __init__(self, api, writes):
        self._api, self.left = api, writes

    def __getattr__(self, name):
        return getattr(self._api, name)

    def _guarded(self, name):
        async def call(*args, **kwargs):
            if self.left <= 0:
                await asyncio.Event().wait()
            self.left -= 1
            result = await getattr(self._api, name)(*args, **kwargs)
            if self.left <= 0:
                await asyncio.Event().wait()
            return result

        return call


for _name in ("create", "update", "patch", "delete", "create_subresource"):
    setattr(DyingApi, _name, property(lambda self, name=_name: self._guarded(name)))


async def wish(api):
    claims = [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
               "resources": {"requests": {"storage": "1Gi"}}}}]  # fmt: skip
    named = {"namespace": "default"}
    await api.create(DEPLOYMENTS, deployment(replicas=2))
    await api.create(SERVICES, {"metadata": {"name": "web", **named}, "spec": {"selector": {"app": "web"}}})
    await api.create(STATEFULSETS, {"metadata": {"name": "db", **named}, "spec": {
        "replicas": 2, "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": pod_template(app="db"), "volumeClaimTemplates": claims}})  # fmt: skip
    await api.create(DAEMONSETS, {"metadata": {"name": "ds", **named}, "spec": {
        "selector": {"matchLabels": {"app": "ds"}}, "template": pod_template(app="ds")}})  # fmt: skip
    await api.create(JOBS, {"metadata": {"name": "job", **named}, "spec": {
        "completions": 2, "parallelism": 2, "backoffLimit": 0, "template": pod_template(app="job")}})  # fmt: skip


async def change(api):
    template = {"spec": {"containers": [{"name": "main", "image": "registry.test/app:2"}]}}
    for resource, name in ((DEPLOYMENTS, "web"), (STATEFULSETS, "db"), (DAEMONSETS, "ds")):
        await api.patch(resource, name, "default", patch={"spec": {"template": template}})


async def kubelets(world):
    """Run pods; those of the Job end well."""
    await world.run_pods()
    for one in world.pods(app="job"):
        if one["status"]["phase"] == "Running":
            await world.set_pod(one, "Succeeded", ready=False)
    await world.run_pods()


def assert_done(api):
    def live(app):
        return [one for one in api.peek(PODS) if one["metadata"]["labels"].get("app") == app and not is_deleting(one)]

    for app, count in (("web", 2), ("db", 2), ("ds", 1)):
        assert [one["spec"]["containers"][0]["image"] for one in live(app)] == ["registry.test/app:2"] * count, app
        assert all(one["spec"].get("nodeName") == "n1" for one in live(app))
    (job,) = api.peek(JOBS)
    assert (job["status"]["succeeded"], job["status"].get("failed")) == (2, None)
    assert any(one["type"] == "Complete" for one in job["status"]["conditions"])
    assert sorted(one["spec"]["replicas"] for one in api.peek(REPLICASETS)) == [0, 2]
    shown = [one["targetRef"]["name"] for part in api.peek(ENDPOINTSLICES) for one in part["endpoints"]]
    assert sorted(shown) == sorted(one["metadata"]["name"] for one in live("web"))
    volumes = {one["metadata"]["name"] for one in api.peek(PERSISTENTVOLUMES)}
    assert {one["spec"]["volumeName"] for one in api.peek(PERSISTENTVOLUMECLAIMS)} == volumes and len(volumes) == 2


async def total_writes():
    clock = FakeClock()
    api = MemoryApi(clock)
    async with plane(*ALL, api=api, clock=clock) as world:
        counted = DyingApi(api, 10**9)
        await world.add_node("n1", cpu="64", memory="64Gi")
        await wish(api)
        await kubelets(world)
        await change(api)
        await kubelets(world)
        await world.advance(30)
        await kubelets(world)
    assert_done(api)
    assert counted.left == 10**9
    return api.writes


@pytest.mark.parametrize("part", range(4))
async def test_whoever_is_killed_after_any_write_is_finished_for(part):
    """Each run kills the control plane at four points, a prime apart, so that together all writes are hit."""
    most = await total_writes()
    for first in range(1 + part, min(most, 90), 4):
        clock = FakeClock()
        api = MemoryApi(clock, seed=first)
        for attempt in range(6):
            budget = first + 7 * attempt if attempt < 5 else 10**9
            dying = DyingApi(api, budget)
            async with plane(*ALL, api=dying, clock=clock) as world:
                world.api = api
                if attempt == 0:
                    await world.add_node("n1", cpu="64", memory="64Gi")
                    await wish(api)
                if attempt == 2:
                    await change(api)
                for _ in range(2):
                    try:
                        await asyncio.wait_for(kubelets(world), 5)
                    except AssertionError:
                        break
                    await world.advance(15)
        assert_done(api)
