"""The order of things on a real engine: init containers, sidecars, hooks, last words, restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from engine_worlds import busybox, engine_world, finished, said_by
from kubelet_pods import make_pod
from worlds import World, entry, is_ready, waiting_reason

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with engine_world(tmp_path_factory.mktemp("world")) as made:
        yield made


def writing(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return busybox(script, name, volumeMounts=[{"name": "e", "mountPath": "/e"}], **fields)


def sharing(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return make_pod(*containers, name=name, uid="", volumes=[{"name": "e", "emptyDir": {}}], **spec)


async def test_init_containers_run_in_order_and_sidecars_outlive_what_they_serve(world: World, tmp_path: Path) -> None:
    up = {"exec": {"command": ["cat", "/e/up"]}, "periodSeconds": 1}
    bye = "trap 'echo side ends >> /h/log; exit 0' TERM; while :; do sleep 0.1; done"
    host = {"name": "h", "mountPath": "/h"}
    side = writing("side", f"sleep 0.5; echo x > /e/up; {bye}", restartPolicy="Always", startupProbe=up)
    side["volumeMounts"].append(host)
    main = writing("main", "cat /e/order /e/up; echo main ends >> /h/log")
    main["volumeMounts"].append(host)
    first, second = (writing(name, f"echo {name} >> /e/order") for name in ("first", "second"))
    pod = sharing("ordered", main, initContainers=[first, side, second])
    pod["spec"]["volumes"].append({"name": "h", "hostPath": {"path": str(tmp_path)}})
    assert (await said_by(world, pod))["ordered"] == "first\nsecond\nx\n"
    assert (tmp_path / "log").read_text() == "main ends\nside ends\n"


async def test_an_init_container_that_fails_keeps_the_rest_from_starting(world: World) -> None:
    for policy in ("Never", "Always"):
        broken = make_pod(busybox(), initContainers=[busybox("exit 1", "init")], name=policy.lower(), uid="")
        await world.create({**broken, "spec": {**broken["spec"], "restartPolicy": policy}})
    over = await finished(world, "never")
    assert over["status"]["phase"] == "Failed" and waiting_reason(over) == "PodInitializing"
    pod = await world.until("always", lambda pod: entry(pod, "init").get("restartCount", 0) >= 1)
    assert pod["status"]["phase"] == "Pending" and waiting_reason(pod) == "PodInitializing"


async def test_hooks_run_beside_the_container_and_before_its_end(world: World, tmp_path: Path) -> None:
    hooks = {
        "postStart": {"exec": {"command": ["sh", "-c", "echo started > /h/post"]}},
        "preStop": {"exec": {"command": ["sh", "-c", "sleep 0.5; echo stopping >> /h/log"]}},
    }
    script = "trap 'echo term >> /h/log; exit 0' TERM; while :; do sleep 0.1; done"
    container = busybox(script, lifecycle=hooks, volumeMounts=[{"name": "h", "mountPath": "/h"}])
    volumes = [{"name": "h", "hostPath": {"path": str(tmp_path)}}]
    await world.create(make_pod(container, name="hooked", uid="", volumes=volumes, terminationGracePeriodSeconds=20))
    await world.create(
        make_pod(
            busybox(lifecycle={"postStart": {"exec": {"command": ["sh", "-c", "exit 1"]}}}), name="unhooked", uid=""
        )
    )
    await world.until("hooked", is_ready)
    assert (tmp_path / "post").read_text() == "started\n"
    await world.delete("hooked")
    await world.until_gone("hooked")
    assert (tmp_path / "log").read_text() == "stopping\nterm\n"
    assert "PostStartHook failed" in await world.until_event("unhooked", "FailedPostStartHook")
    await world.until("unhooked", lambda pod: entry(pod).get("restartCount", 0) >= 1)


async def test_last_words_come_from_the_file_or_the_log(world: World) -> None:
    fallback = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    own_path = {"terminationMessagePath": "/tmp/said", "securityContext": {"runAsUser": 1000}}
    pods = {
        "file": busybox("echo by file > /tmp/said; exit 3", **own_path),
        "log": busybox("echo by log; exit 3", **fallback),
        "quiet": busybox("echo by log", **fallback),
    }
    for name, container in pods.items():
        await world.create(make_pod(container, name=name, uid="", restartPolicy="Never"))
    said = {name: entry(await finished(world, name))["state"]["terminated"].get("message") for name in pods}
    assert said == {"file": "by file\n", "log": "by log\n", "quiet": None}


async def test_a_container_that_failed_runs_again_in_the_same_pod_until_it_succeeds(world: World) -> None:
    container = writing("main", "[ -e /e/x ] && exit 0; echo > /e/x; exit 1")
    pod = sharing("again", container, restartPolicy="OnFailure")
    assert await said_by(world, pod) == {"again": ""}
    done = await finished(world, "again")
    assert entry(done)["restartCount"] == 1 and entry(done)["lastState"]["terminated"]["exitCode"] == 1


async def test_a_failed_probe_may_have_a_shorter_patience_than_the_pod(world: World) -> None:
    sick = {
        "exec": {"command": ["sh", "-c", "exit 1"]},
        "periodSeconds": 1,
        "failureThreshold": 1,
        "timeoutSeconds": 10,
    }
    probe = {**sick, "terminationGracePeriodSeconds": 1}
    stubborn = busybox("trap '' TERM; while :; do sleep 1; done", livenessProbe=probe)
    await world.create(make_pod(stubborn, name="stubborn", uid="", terminationGracePeriodSeconds=600))
    pod = await world.until("stubborn", lambda pod: entry(pod).get("restartCount", 0) >= 1)
    assert entry(pod)["lastState"]["terminated"]["exitCode"] == 137
    await world.delete("stubborn", grace=0)
