"""The control plane as a whole may be killed after any single write; a new one finishes what it left."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.objects.kinds import (
    DAEMONSETS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    JOBS,
    NODES,
    PERSISTENTVOLUMECLAIMS,
    PERSISTENTVOLUMES,
    PODS,
    REPLICASETS,
    SERVICES,
    STATEFULSETS,
    STORAGECLASSES,
)
from orchestrator.objects.meta import is_deleting
from orchestrator.reconcilers.run import RECONCILERS
from orchestrator.reconcilers.volume_plan import LOCAL_CLASS
from orchestrator.scheduler.loop import Scheduler
from tests.orchestrator.in_process import InProcessApi
from tests.orchestrator.reconcilers.crashes import Case, kubelets, later, play, user
from tests.orchestrator.reconcilers.worlds.jobs import succeed
from tests.orchestrator.reconcilers.worlds.workloads import CLAIM, NEW_IMAGE, workload
from tests.orchestrator.world import Plane, deployment, node, pod_template

PARTS = 4  # the writes are shared out among this many tests, which run side by side
PATIENCE = 90  # seconds one life and its afterlife may take; they take some tenths

GIVEN = (
    (STORAGECLASSES, LOCAL_CLASS),
    (NODES, node("n1", cpu="64", memory="64Gi")),
    (DEPLOYMENTS, deployment(replicas=2)),
    (SERVICES, {"metadata": {"name": "web", "namespace": "default"},
                "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}),
    (STATEFULSETS, workload("db", replicas=2, serviceName="db", template=pod_template(app="db"),
                            volumeClaimTemplates=[CLAIM])),
    (DAEMONSETS, workload("ds", template=pod_template(app="ds"))),
    (JOBS, {"metadata": {"name": "job", "namespace": "default"}, "spec": {
        "completions": 2, "parallelism": 2, "backoffLimit": 0, "ttlSecondsAfterFinished": 100,
        "template": pod_template(restartPolicy="Never", app="job")}}),
)  # fmt: skip


async def change(api: InProcessApi) -> None:
    for resource, name in ((DEPLOYMENTS, "web"), (STATEFULSETS, "db"), (DAEMONSETS, "ds")):
        await api.patch(resource, name, "default", patch=NEW_IMAGE)


async def jobs_succeed(world: Plane) -> None:
    await succeed(world, app="job")


CASE = Case(
    "everything",
    RECONCILERS[0],
    GIVEN,
    steps=[kubelets, jobs_succeed, user(change), kubelets, later(1), kubelets],
    others=(*RECONCILERS[1:], Scheduler),
    all_die=True,
)


def assert_done(api: InProcessApi) -> None:
    def live(app: str):
        return [one for one in api.peek(PODS) if one["metadata"]["labels"].get("app") == app and not is_deleting(one)]

    for app, count in (("web", 2), ("db", 2), ("ds", 1)):
        assert [one["spec"]["containers"][0]["image"] for one in live(app)] == ["registry.test/app:2"] * count, app
        assert all(one["spec"].get("nodeName") == "n1" for one in live(app))
    (job,) = api.peek(JOBS)
    assert (job["status"]["succeeded"], job["status"].get("failed")) == (2, None)
    assert any(one["type"] == "Complete" for one in job["status"]["conditions"])
    assert sorted(one["spec"]["replicas"] for one in api.peek(REPLICASETS)) == [0, 2]
    shown = [one["targetRef"]["name"] for part in api.peek(ENDPOINTSLICES) for one in part.get("endpoints") or ()]
    assert sorted(shown) == sorted(one["metadata"]["name"] for one in live("web"))
    volumes = {one["metadata"]["name"] for one in api.peek(PERSISTENTVOLUMES)}
    assert {one["spec"]["volumeName"] for one in api.peek(PERSISTENTVOLUMECLAIMS)} == volumes and len(volumes) == 2


@pytest.mark.parametrize("part", range(PARTS))
async def test_whoever_is_killed_after_any_write_is_finished_for(part: int):
    whole = await asyncio.wait_for(play(CASE), PATIENCE)
    assert_done(whole.api)
    for lifetime in range(1 + part, len(whole.written) + 1, PARTS):
        again = await asyncio.wait_for(play(CASE, lifetime), PATIENCE)
        died = f"killed after write {lifetime}: {whole.written[lifetime - 1]}"
        assert again.objects == whole.objects, died
