"""Pods from their creation to their end, on a simulated node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kubelet_pods import make_container, make_pod
from worlds import World, condition, entry, is_ready, simulated_world, waiting_reason

from orchestrator.kubelet import probes, starting
from orchestrator.kubelet.memory import MemoryRuntime
from orchestrator.kubelet.runtime import (
    CommandNotStarted,
    ContainerStatus,
    ProbeOutcome,
    PullFailed,
    RuntimeUnavailable,
)
from orchestrator.objects.kinds import CONFIGMAPS, PODS


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with simulated_world(tmp_path) as made:
        yield made


async def test_a_pod_runs_and_is_ready(world: World) -> None:
    await world.create(make_pod())
    pod = await world.until("web", is_ready)
    assert pod["status"]["phase"] == "Running"
    assert pod["status"]["podIP"].startswith("10.200.0.")
    assert entry(pod)["containerID"].startswith("memory://")
    for kind in ("PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"):
        assert condition(pod, kind) == "True"


async def test_what_others_wrote_while_the_node_seemed_lost_is_put_right(world: World) -> None:
    await world.create(make_pod())
    pod = await world.until("web", is_ready)
    lost = {"type": "Ready", "status": "False", "reason": "NodeNotReady"}
    patch = {"status": {"conditions": [lost]}}
    written = await world.api.patch(PODS, "web", "default", patch=patch, patch_type="strategic", subresource="status")
    assert not is_ready(written)
    after = await world.until("web", is_ready)
    assert entry(after) == entry(pod)


async def test_a_deleted_pod_is_stopped_and_removed(world: World) -> None:
    await world.create(make_pod())
    await world.until("web", is_ready)
    await world.delete("web")
    await world.until_gone("web")
    assert await world.until_event("web", "Killing") == "Stopping container main"


async def test_a_crash_is_restarted_at_once_and_then_backs_off(world: World) -> None:
    await world.create(make_pod(make_container(command=["sh", "-c", "exit 3"])))
    pod = await world.until("web", lambda pod: waiting_reason(pod) == "CrashLoopBackOff")
    assert entry(pod)["restartCount"] == 1
    assert entry(pod)["lastState"]["terminated"]["exitCode"] == 3
    assert "back-off 10s restarting failed container=main" in entry(pod)["state"]["waiting"]["message"]


async def test_an_out_of_memory_kill_says_so(world: World) -> None:
    await world.create(make_pod(restartPolicy="Never"))
    await world.until("web", is_ready)
    runtime = world.runtime
    assert isinstance(runtime, MemoryRuntime)
    runtime.crash((await runtime.containers())[0].id, 137, oom_killed=True)
    pod = await world.until("web", lambda pod: pod["status"]["phase"] == "Failed")
    assert entry(pod)["state"]["terminated"]["reason"] == "OOMKilled"


async def test_a_job_like_pod_succeeds(world: World) -> None:
    command = ["sh", "-c", "echo done"]
    await world.create(make_pod(make_container(command=command), restartPolicy="Never"))
    pod = await world.until("web", lambda pod: pod["status"]["phase"] == "Succeeded")
    assert entry(pod)["state"]["terminated"]["reason"] == "Completed"
    assert condition(pod, "Ready") == "False"


async def test_an_image_that_cannot_be_pulled_backs_off_and_holds_up_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(reference: str, credentials: object = None) -> None:
        raise PullFailed("manifest unknown")

    await world.runtime.pull("registry.example/busybox:1")
    monkeypatch.setattr(world.runtime, "pull", refuse)
    bad = make_container("bad", image="registry.example/none:1")
    await world.create(make_pod(bad, make_container("good")))
    pod = await world.until("web", lambda pod: "running" in entry(pod, "good").get("state", {}))
    pod = await world.until("web", lambda pod: waiting_reason(pod, "bad") in ("ErrImagePull", "ImagePullBackOff"))
    assert "manifest unknown" in entry(pod, "bad")["state"]["waiting"]["message"]
    assert not is_ready(pod)


async def test_a_missing_config_map_is_named_and_waited_for(world: World) -> None:
    wanted = make_container(envFrom=[{"configMapRef": {"name": "later"}}])
    await world.create(make_pod(wanted))
    pod = await world.until("web", lambda pod: waiting_reason(pod) == "CreateContainerConfigError")
    assert entry(pod)["state"]["waiting"]["message"] == 'configmap "later" not found'
    await world.api.create(CONFIGMAPS, {"metadata": {"name": "later", "namespace": "default"}, "data": {"A": "1"}})
    await world.until("web", is_ready)


async def test_a_failing_readiness_probe_keeps_the_pod_unready_until_it_passes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = [ProbeOutcome(False, "HTTP probe failed with statuscode: 503")]

    async def probe(action: object, address: str, deadline: float) -> ProbeOutcome:
        return answers[-1]

    monkeypatch.setattr(world.runtime, "probe", probe)
    probed = make_container(readinessProbe={"httpGet": {"port": 80}, "periodSeconds": 1})
    await world.create(make_pod(probed))
    pod = await world.until("web", lambda pod: pod["status"]["phase"] == "Running")
    assert not is_ready(pod) and entry(pod)["started"]
    answers.append(ProbeOutcome(True))
    await world.until("web", is_ready)


async def test_a_failing_liveness_probe_restarts_the_container(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def probe(action: object, address: str, deadline: float) -> ProbeOutcome:
        return ProbeOutcome(False, "connection refused")

    monkeypatch.setattr(world.runtime, "probe", probe)
    probe_spec = {"tcpSocket": {"port": 80}, "periodSeconds": 1, "failureThreshold": 1}
    await world.create(make_pod(make_container(livenessProbe=probe_spec)))
    await world.until("web", lambda pod: entry(pod).get("restartCount", 0) >= 1)
    assert await world.until_event("web", "Unhealthy") == "Liveness probe failed: connection refused"
    assert await world.until_event("web", "Killing") == "Container main failed liveness probe, will be restarted"


async def test_a_pod_past_its_deadline_fails(world: World) -> None:
    await world.create(make_pod(activeDeadlineSeconds=1))
    pod = await world.until("web", lambda pod: pod["status"]["phase"] == "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"


@asynccontextmanager
async def new_agent(world: World) -> AsyncIterator[World]:
    """Another agent in the place of `world`'s, once it has looked at what runs."""
    await world.stop()
    second = World(world.api, world.runtime, world.agent.services.volumes.folder("").parent)
    await second.start()
    try:
        await second.create(make_pod(name="other", uid=""))
        await second.until("other", is_ready)
        yield second
    finally:
        await second.stop()


async def test_a_new_agent_adopts_what_runs(world: World) -> None:
    await world.create(make_pod())
    before = await world.until("web", is_ready)
    async with new_agent(world) as second:
        after = await second.api.get(PODS, "web", "default")
        assert entry(after) == entry(before) and after["status"]["podIP"] == before["status"]["podIP"]
        await second.delete("web")
        await second.until_gone("web")


async def test_the_first_crash_under_a_new_agent_is_restarted_at_once(world: World) -> None:
    await world.create(make_pod())
    await world.until("web", is_ready)
    async with new_agent(world) as second:
        adopted = next(status for status in await world.runtime.containers() if status.pod.name == "web")
        assert isinstance(world.runtime, MemoryRuntime)
        world.runtime.crash(adopted.id, 1)
        pod = await second.until("web", lambda pod: entry(pod)["restartCount"] == 1 or waiting_reason(pod))
        assert waiting_reason(pod) != "CrashLoopBackOff"


async def test_containers_of_a_pod_that_is_gone_are_removed_by_the_next_agent(world: World) -> None:
    await world.create(make_pod())
    await world.until("web", is_ready)
    await world.stop()
    await world.delete("web", grace=0)
    second = World(world.api, world.runtime, Path("/nonexistent"))
    await second.start()
    try:
        await second.create(make_pod(name="other", uid=""))
        await second.until("other", is_ready)
        async with asyncio.timeout(60):
            while {status.pod.name for status in await world.runtime.containers()} != {"other"}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        await second.stop()


async def test_a_simulated_pod_may_mount_what_it_likes(world: World) -> None:
    mounts = [{"name": "c", "mountPath": "/c"}, {"name": "e", "mountPath": "/e"}]
    volumes = [{"name": "c", "configMap": {"name": "any", "optional": True}}, {"name": "e", "emptyDir": {}}]
    await world.create(make_pod(make_container(volumeMounts=mounts), volumes=volumes))
    await world.until("web", is_ready)


async def test_an_exit_while_the_engine_is_being_asked_is_not_missed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.create(make_pod(make_container(command=["top"]), restartPolicy="Never"))
    await world.until("web", is_ready)
    runtime, worker = world.runtime, next(iter(world.agent.workers.values()))
    assert isinstance(runtime, MemoryRuntime)
    container = (await runtime.containers())[0]
    asked, answered, inspect = asyncio.Event(), asyncio.Event(), runtime.inspect

    async def slow(container_id: str) -> ContainerStatus:
        found = await inspect(container_id)
        if not answered.is_set():
            asked.set()
            await answered.wait()
        return found

    monkeypatch.setattr(runtime, "inspect", slow)
    worker.notify(container.id)
    await asked.wait()
    runtime.crash(container.id, 3)
    worker.notify(container.id)
    answered.set()
    await world.until("web", lambda pod: pod["status"]["phase"] == "Failed")


async def test_a_pull_that_failed_is_soon_told_as_resting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(reference: str, credentials: object = None) -> None:
        raise PullFailed("manifest unknown")

    monkeypatch.setattr(world.runtime, "pull", refuse)
    monkeypatch.setattr(starting, "PULL_ERROR_SHOWN", 0.1)
    await world.create(make_pod())
    pod = await world.until("web", lambda pod: waiting_reason(pod) == "ImagePullBackOff")
    assert "ErrImagePull: manifest unknown" in entry(pod)["state"]["waiting"]["message"]
    assert await world.until_event("web", "BackOff")


async def test_an_image_that_is_no_name_says_so(world: World) -> None:
    await world.create(make_pod(make_container(image="Not:An:Image")))
    pod = await world.until("web", lambda pod: waiting_reason(pod) == "InvalidImageName")
    assert "invalid reference format" in entry(pod)["state"]["waiting"]["message"]


async def test_a_container_added_for_debugging_runs_once(world: World) -> None:
    await world.create(make_pod())
    pod = await world.until("web", is_ready)
    debugger = make_container("debug", command=["sh", "-c", "echo looked"], targetContainerName="main")
    changed = {**pod, "spec": {**pod["spec"], "ephemeralContainers": [debugger]}}
    await world.api.update(PODS, changed, subresource="ephemeralcontainers")
    pod = await world.until("web", lambda pod: "terminated" in debug_state(pod))
    assert debug_state(pod)["terminated"]["exitCode"] == 0 and is_ready(pod)
    assert "ephemeralcontainers" not in {each["name"] for each in pod["status"]["containerStatuses"]}


def debug_state(pod: dict[str, Any]) -> dict[str, Any]:
    entries = pod["status"].get("ephemeralContainerStatuses") or [{"state": {}}]
    return dict(entries[0]["state"])


async def test_a_shorter_second_delete_ends_a_hook_that_sleeps(world: World) -> None:
    hook = {"preStop": {"sleep": {"seconds": 60}}}
    await world.create(make_pod(make_container(command=["top"], lifecycle=hook), terminationGracePeriodSeconds=90))
    await world.until("web", is_ready)
    await world.delete("web")
    await world.until_event("web", "Killing")
    await world.delete("web", grace=1)
    await world.until_gone("web", 30)


async def test_a_hook_that_sleeps_ends_with_its_container(world: World) -> None:
    hook = {"preStop": {"sleep": {"seconds": 60}}}
    await world.create(make_pod(make_container(command=["top"], lifecycle=hook), terminationGracePeriodSeconds=90))
    await world.until("web", is_ready)
    await world.delete("web")
    await world.until_event("web", "Killing")
    assert isinstance(world.runtime, MemoryRuntime)
    world.runtime.crash((await world.runtime.containers())[0].id, 0)
    await world.until_gone("web", 30)


async def test_a_pod_that_asks_for_a_forbidden_kernel_setting_fails(world: World) -> None:
    asked = {"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]}
    await world.create(make_pod(securityContext=asked))
    pod = await world.until("web", lambda pod: pod["status"]["phase"] == "Failed")
    assert pod["status"]["reason"] == "SysctlForbidden"
    await world.delete("web")
    await world.until_gone("web")


async def test_a_container_that_never_ran_ends_as_unknown_with_its_pod(world: World) -> None:
    await world.create(make_pod(make_container(envFrom=[{"secretRef": {"name": "no"}}]), activeDeadlineSeconds=1))
    pod = await world.until("web", lambda pod: pod["status"]["phase"] == "Failed")
    assert pod["status"]["reason"] == "DeadlineExceeded"
    assert entry(pod)["state"]["terminated"]["reason"] == "ContainerStatusUnknown"


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (RuntimeUnavailable("the engine restarts"), "Liveness probe failed: sick"),
        (CommandNotStarted("no check"), "Liveness probe errored and resulted in unknown state: no check"),
    ],
)
async def test_a_probe_that_cannot_be_tried_says_nothing_of_the_container(
    world: World, monkeypatch: pytest.MonkeyPatch, failure: Exception, said: str
) -> None:
    tried = []

    async def execute(container_id: str, command: object, deadline: float) -> tuple[int, bytes]:
        tried.append(container_id)
        if len(tried) < 4:
            raise failure
        return 1, b"sick"

    monkeypatch.setattr(world.runtime, "execute", execute)
    monkeypatch.setattr(probes.Cadence, "of", lambda probe: probes.Cadence(0, 0.05, 1, 1, 1))
    probe = {"exec": {"command": ["check"]}}
    await world.create(make_pod(make_container(command=["top"], livenessProbe=probe), restartPolicy="Never"))
    await world.until("web", lambda pod: pod["status"]["phase"] == "Failed")
    assert len(tried) == 4, "the first three were neither failures nor successes"
    assert await world.until_event("web", "Unhealthy", said)


@pytest.mark.parametrize(("ends", "said"), [(True, []), (False, ["Startup probe failed: command exited with 137"])])
async def test_a_check_that_its_container_took_along_is_no_failure(
    world: World, monkeypatch: pytest.MonkeyPatch, ends: bool, said: list[str]
) -> None:
    tried, twice = [], asyncio.Event()

    async def execute(container_id: str, command: object, deadline: float) -> tuple[int, bytes]:
        tried.append(container_id)
        if len(tried) == 2:
            twice.set()
            await asyncio.Event().wait()
        if ends:  # which an engine tells only after the end of the command
            asyncio.get_running_loop().call_later(0.02, world.runtime._end, container_id, 0)
        return 137, b""

    monkeypatch.setattr(probes, "SETTLING", 0.2)
    monkeypatch.setattr(world.runtime, "execute", execute)
    await world.create(make_pod(make_container(command=["top"]), restartPolicy="Never"))
    await world.until("web", is_ready)
    [status] = await world.runtime.containers()
    complaints: list[str] = []
    container = make_container(startupProbe={"exec": {"command": ["check"]}, "periodSeconds": 0.05})
    checks = probes.ContainerProbes(
        world.runtime, container, status, "127.0.0.1", report=lambda kind, state: None, complain=complaints.append
    )
    checks.start()
    async with asyncio.timeout(5):
        await twice.wait()
    checks.stop()
    assert complaints == said


@pytest.mark.parametrize(
    "step", ["claim_sandbox", "image", "pull", "create_container", "start_container", "inspect", "execute"]
)
@pytest.mark.parametrize("force", [False, True], ids=["gracefully", "at once"])
async def test_a_pod_deleted_at_any_step_of_its_start_leaves_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str, force: bool
) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()
    done = getattr(world.runtime, step)

    async def slow(*args: Any, **fields: Any) -> Any:
        first = not reached.is_set()
        reached.set()
        if first:
            await go_on.wait()
        return await done(*args, **fields)

    monkeypatch.setattr(world.runtime, step, slow)
    hook = {"postStart": {"exec": {"command": ["true"]}}}
    await world.create(make_pod(make_container(command=["top"], lifecycle=hook), terminationGracePeriodSeconds=1))
    async with asyncio.timeout(60):
        await reached.wait()
    await world.delete("web", grace=0 if force else None)
    asyncio.get_running_loop().call_later(0.05, go_on.set)
    await world.until_gone("web")
    async with asyncio.timeout(60):
        while await world.runtime.containers() or await world.runtime.claimed_sandboxes() or world.agent.workers:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
