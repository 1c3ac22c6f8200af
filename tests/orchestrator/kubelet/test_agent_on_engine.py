"""The whole agent against a real Docker Engine: what a pod's containers see, and what survives."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from engine_worlds import SERVE, STAY, busybox, engine_world, finished, logs_of
from engines import docker_runtime
from kubelet_pods import make_pod
from worlds import World, entry, is_ready, waiting_reason

from orchestrator.objects.kinds import CONFIGMAPS, SECRETS

pytestmark = pytest.mark.engine


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with engine_world(tmp_path) as made:
        yield made


async def test_a_pod_is_ready_as_soon_as_it_listens_and_is_reached_by_its_address(world: World) -> None:
    probe = {"httpGet": {"port": "http", "path": "/index.html"}}
    container = busybox(
        f"sleep 0.5; {SERVE}{STAY}", readinessProbe=probe, ports=[{"name": "http", "containerPort": 8080}]
    )
    await world.create(make_pod(container, terminationGracePeriodSeconds=5))
    pod = await world.until("web", is_ready)
    reader, writer = await asyncio.open_connection(pod["status"]["podIP"], 8080)
    writer.write(b"GET /index.html HTTP/1.0\r\n\r\n")
    assert b"served" in await reader.read()
    writer.close()
    await world.delete("web")
    await world.until_gone("web")


async def test_a_container_sees_its_configuration(world: World) -> None:
    await world.api.create(CONFIGMAPS, {"metadata": {"name": "c", "namespace": "default"}, "data": {"a.txt": "one"}})
    await world.api.create(
        SECRETS, {"metadata": {"name": "s", "namespace": "default"}, "stringData": {"KEY": "hidden"}}
    )
    script = (
        "hostname; echo $KEY $GREETING $IP; cat /c/a.txt /s/KEY /only; echo; id -u; cat /etc/hosts; df /s | tail -1"
    )
    container = busybox(
        script,
        envFrom=[{"secretRef": {"name": "s"}}],
        env=[
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "GREETING", "value": "hi-$(KEY)"},
        ],
        volumeMounts=[
            {"name": "c", "mountPath": "/c"},
            {"name": "s", "mountPath": "/s"},
            {"name": "c", "mountPath": "/only", "subPath": "a.txt"},
        ],
        securityContext={"runAsUser": 1234},
    )
    volumes = [{"name": "c", "configMap": {"name": "c"}}, {"name": "s", "secret": {"secretName": "s"}}]
    await world.create(
        make_pod(
            container, restartPolicy="Never", volumes=volumes, hostAliases=[{"ip": "10.9.8.7", "hostnames": ["db"]}]
        )
    )
    pod = await finished(world)
    said = await logs_of(world, "web")
    assert said.startswith(f"web\nhidden hi-hidden {pod['status']['podIP']}\nonehiddenone\n1234\n"), said
    assert "10.9.8.7\tdb" in said and f"{pod['status']['podIP']}\tweb" in said
    assert "paas-pods" in said.splitlines()[-1], "secrets must live in memory"


async def test_a_config_map_volume_follows_its_config_map(world: World) -> None:
    await world.api.create(CONFIGMAPS, {"metadata": {"name": "c", "namespace": "default"}, "data": {"k": "old"}})
    script = "while ! grep -q new /c/k; do sleep 0.1; done; echo changed"
    container = busybox(script, volumeMounts=[{"name": "c", "mountPath": "/c"}])
    await world.create(make_pod(container, restartPolicy="Never", volumes=[{"name": "c", "configMap": {"name": "c"}}]))
    await world.until("web", lambda pod: pod["status"]["phase"] == "Running")
    await world.api.patch(CONFIGMAPS, "c", "default", patch={"data": {"k": "new"}})
    await finished(world)
    assert await logs_of(world, "web") == "changed\n"


async def test_init_containers_share_memory_volumes_with_the_rest(world: World) -> None:
    mount = [{"name": "m", "mountPath": "/m"}]
    pod = make_pod(
        busybox("cat /m/x", volumeMounts=mount),
        initContainers=[busybox("echo from init > /m/x", "first", volumeMounts=mount)],
        restartPolicy="Never",
        volumes=[{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}],
    )
    await world.create(pod)
    assert (await finished(world))["status"]["phase"] == "Succeeded"
    assert await logs_of(world, "web") == "from init\n"


async def test_a_container_over_its_memory_limit_is_oom_killed(world: World) -> None:
    container = busybox("x=a; while :; do x=$x$x; done", resources={"limits": {"memory": "16Mi"}})
    await world.create(make_pod(container, restartPolicy="Never"))
    ended = entry(await finished(world))["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


async def test_a_command_that_does_not_exist_says_so(world: World) -> None:
    await world.create(make_pod({**busybox(), "command": ["/nope"]}, restartPolicy="Never"))
    ended = entry(await finished(world))["state"]["terminated"]
    assert ended["reason"] == "StartError" and "/nope" in ended["message"]


async def test_a_read_only_root_and_dropped_rights_hold(world: World) -> None:
    context = {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    script = "touch /x 2>/dev/null && echo writable; grep -E 'NoNewPrivs|CapEff' /proc/self/status"
    await world.create(make_pod(busybox(script, securityContext=context), restartPolicy="Never"))
    await finished(world)
    said = await logs_of(world, "web")
    assert "writable" not in said and "NoNewPrivs:\t1" in said and "CapEff:\t0000000000000000" in said


async def test_a_container_that_ignores_term_is_killed_at_the_end_of_its_grace(world: World) -> None:
    await world.create(make_pod(busybox("trap '' TERM; while :; do sleep 1; done"), terminationGracePeriodSeconds=2))
    await world.until("web", is_ready)
    begun = asyncio.get_running_loop().time()
    await world.delete("web")
    await world.until_gone("web")
    assert 1.5 < asyncio.get_running_loop().time() - begun < 20  # of the thirty that a grace lasts which nobody chose


async def test_hooks_run_after_the_start_and_before_the_stop(world: World, tmp_path: Path) -> None:
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo begun >> /seen/hooks"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "echo ended >> /seen/hooks"]}},
    }
    seen = tmp_path / "seen"
    container = busybox(lifecycle=hooks, volumeMounts=[{"name": "seen", "mountPath": "/seen"}])
    volumes = [{"name": "seen", "hostPath": {"path": str(seen), "type": "DirectoryOrCreate"}}]
    await world.create(make_pod(container, volumes=volumes, terminationGracePeriodSeconds=60))
    await world.until("web", is_ready)
    await world.delete("web")
    await world.until_gone("web")
    assert (seen / "hooks").read_text() == "begun\nended\n"


async def test_an_exec_probe_that_fails_restarts_the_container(world: World) -> None:
    probe = {"exec": {"command": ["cat", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    await world.create(make_pod(busybox(livenessProbe=probe), terminationGracePeriodSeconds=1))
    pod = await world.until("web", lambda pod: entry(pod).get("restartCount", 0) >= 1)
    assert entry(pod)["lastState"]["terminated"]["exitCode"] == 0


async def test_a_probe_by_a_command_that_is_not_in_the_image_is_told_of_and_counts_for_nothing(world: World) -> None:
    probe = {"exec": {"command": ["/bin/missing"]}, "periodSeconds": 1, "failureThreshold": 1}
    await world.create(make_pod(busybox(livenessProbe=probe), terminationGracePeriodSeconds=1))
    said = await world.until_event("web", "Unhealthy", times=2)
    assert said.startswith("Liveness probe errored and resulted in unknown state: ") and "/bin/missing" in said
    pod = await world.until("web", is_ready)
    assert entry(pod)["restartCount"] == 0


async def test_an_image_of_a_registry_that_is_not_there_backs_off(world: World) -> None:
    container = {**busybox(), "image": "127.0.0.1:9/none:1"}
    await world.create(make_pod(container))
    pod = await world.until("web", lambda pod: waiting_reason(pod) == "ErrImagePull")
    assert "127.0.0.1:9" in entry(pod)["state"]["waiting"]["message"]


async def test_an_image_without_a_registry_is_never_looked_for_elsewhere(world: World) -> None:
    await world.create(make_pod({**busybox(), "image": "no-such-image"}))
    pod = await world.until("web", lambda pod: waiting_reason(pod) == "ErrImagePull")
    assert "names no registry" in entry(pod)["state"]["waiting"]["message"]


async def test_a_new_agent_adopts_running_containers_and_restarts_none(world: World, tmp_path: Path) -> None:
    await world.create(make_pod(busybox(), terminationGracePeriodSeconds=2))
    before = await world.until("web", is_ready)
    await world.stop()
    await world.runtime.close()
    second = World(world.api, docker_runtime(tmp_path), tmp_path / "agent", real=True)
    await second.start()
    try:
        await second.create(make_pod(busybox(), name="other", uid="", terminationGracePeriodSeconds=2))
        await second.until("other", is_ready)
        after = await second.until("web", is_ready)
        assert entry(after) == entry(before)
        await second.delete("web")
        await second.until_gone("web")
    finally:
        await second.stop()
        await second.runtime.close()


async def test_a_killed_sandbox_is_made_anew(world: World) -> None:
    await world.create(make_pod(busybox(), terminationGracePeriodSeconds=1))
    await world.until("web", is_ready)
    sandbox = next(iter((await world.runtime.claimed_sandboxes()).values()))
    subprocess.run(["docker", "rm", "-f", sandbox.id], check=True, capture_output=True, timeout=30)  # noqa: ASYNC221
    pod = await world.until("web", lambda pod: entry(pod).get("restartCount", 0) >= 1 and is_ready(pod))
    assert pod["status"]["podIP"] != sandbox.address
    assert len(pod["status"]["podIPs"]) == 1


async def test_a_pod_deleted_while_it_starts_leaves_nothing(world: World) -> None:
    await world.create(
        make_pod(busybox(), initContainers=[busybox("sleep 30", "slow")], terminationGracePeriodSeconds=1)
    )
    await asyncio.sleep(0.15)
    await world.delete("web")
    await world.until_gone("web")
    async with asyncio.timeout(60):
        while await world.runtime.containers() or await world.runtime.claimed_sandboxes():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
