"""Pods that were bound to a node by somebody who never asked whether it has room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kubelet_pods import make_container, make_pod
from worlds import World, is_ready, simulated_world

from orchestrator.kubelet.admission import lack_of
from orchestrator.objects.kinds import PODS

ROOM = {"cpu": 2000, "memory": 2**30, "pods": 3}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with simulated_world(tmp_path) as made:
        yield made


def asking(name: str = "web", **requests: str) -> dict[str, Any]:
    return make_pod(make_container(command=["top"], resources={"requests": requests}), name=name, uid="")


def is_refused(pod: dict[str, Any]) -> bool:
    return bool(pod["status"].get("phase") == "Failed")


@pytest.mark.parametrize(
    ("pod", "others", "said"),
    [
        (asking(cpu="3"), [], "OutOfcpu: cpu, requested: 3000, used: 0, capacity: 2000"),
        (asking(cpu="1500m"), [asking(cpu="501m")], "OutOfcpu: cpu, requested: 1500, used: 501, capacity: 2000"),
        (asking(memory="1025Mi"), [], "OutOfmemory: memory, requested: 1074790400, used: 0, capacity: 1073741824"),
        (asking(), [asking(cpu="1")] * 3, "OutOfpods: pods, requested: 1, used: 3, capacity: 3"),
        (asking(cpu="1500m"), [asking(cpu="500m")], None),
        (asking(), [asking(cpu="3")], None),
        (asking(**{"example.test/gpu": "1"}), [], None),
    ],
)
def test_what_is_not_left_refuses_a_pod(pod: dict[str, Any], others: list[Any], said: str | None) -> None:
    found = lack_of(pod, others, ROOM)
    if said is None:
        assert found is None
    else:
        reason, _, rest = said.partition(": ")
        assert found == (reason, f"Pod was rejected: Node didn't have enough resource: {rest}")


def test_a_host_port_is_given_once() -> None:
    ports = [{"containerPort": 80, "hostPort": 8080}]
    first, second = (make_pod(make_container(ports=ports), name=name) for name in ("a", "b"))
    assert lack_of(first, [asking()], ROOM) is None
    reason, message = lack_of(second, [first], ROOM) or ("", "")
    assert reason == "NodePorts" and "didn't have free ports" in message


async def test_a_pod_too_large_fails_and_takes_no_room(world: World) -> None:
    await world.create(asking("large", cpu="3"))
    pod = await world.until("large", is_refused)
    assert pod["status"]["reason"] == "OutOfcpu" and "containerStatuses" not in pod["status"]
    assert "requested: 3000, used: 0, capacity: 2000" in await world.until_event("large", "OutOfcpu")
    await world.create(asking("fits", cpu="2"))
    await world.until("fits", is_ready)


async def test_room_is_free_again_when_its_pod_is_gone(world: World) -> None:
    await world.create(asking("first", cpu="2"))
    await world.until("first", is_ready)
    await world.create(asking("early", cpu="1m"))
    await world.until("early", is_refused)
    await world.delete("first", grace=0)
    await world.create(asking("second", cpu="2"))
    await world.until("second", is_ready)


async def test_pods_that_run_stay_when_the_agent_comes_back_to_a_node_too_full(world: World) -> None:
    await world.create(asking("young", cpu="2"))
    await world.until("young", is_ready)
    late = await world.create(asking("a-late-one", cpu="2"))
    world.agent.observe_pods([late, await world.api.get(PODS, "young", "default")])
    await world.until("a-late-one", is_refused)
    assert is_ready(await world.api.get(PODS, "young", "default"))
