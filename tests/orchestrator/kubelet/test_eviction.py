"""Which pods go when the node runs out of disk or memory, or when they use more disk than they may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from kubelet_pods import make_container, make_pod
from worlds import World, condition, is_ready, simulated_world

from orchestrator.kubelet.admission import refusal_of
from orchestrator.kubelet.eviction import Evictor, Usage, eviction_rank, folder_size
from orchestrator.kubelet.garbage import GarbageCollector
from orchestrator.kubelet.node import PRESSURES, is_extended, observe_node, with_extended
from orchestrator.kubelet.pressure import Pressures, Signals, available_memory, disk_use
from orchestrator.kubelet.runtime import NodeFacts
from orchestrator.kubelet.settings import AgentSettings
from orchestrator.objects.kinds import PODS, PRIORITYCLASSES

SETTINGS = AgentSettings(kubeconfig=Path("k"), data=Path("d"))
FINE, FULL, THIN = Signals(0.5, 2**32), Signals(0.97, 2**32), Signals(0.5, 2**20)


class Machine:
    """Signals and a clock that tests set."""

    def __init__(self) -> None:
        self.signals, self.time = FINE, 1000.0

    def evictor(self, world: World) -> Evictor:
        collector = GarbageCollector(world.agent, SETTINGS, lambda: self.signals.disk)
        return Evictor(world.agent, collector, lambda: self.signals, Pressures(lambda: self.time))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with simulated_world(tmp_path) as made:
        yield made


async def run_pod(world: World, name: str, **spec: Any) -> None:
    await world.create(make_pod(make_container(command=["top"]), name=name, uid="", **spec))
    await world.until(name, is_ready)


def is_evicted(pod: dict[str, Any]) -> bool:
    return pod["status"]["phase"] == "Failed" and pod["status"].get("reason") == "Evicted"


@pytest.mark.parametrize(("signals", "resource"), [(FULL, "ephemeral-storage"), (THIN, "memory")])
async def test_under_pressure_one_pod_goes_and_the_least_important_first(
    world: World, signals: Signals, resource: str
) -> None:
    machine = Machine()
    evictor = machine.evictor(world)
    await world.api.create(PRIORITYCLASSES, {"metadata": {"name": "worthy"}, "value": 10})
    await run_pod(world, "worthy", priorityClassName="worthy")
    await run_pod(world, "lowly")
    await evictor.look()
    assert world.agent.services.pressures == set()
    machine.signals = signals
    await evictor.look()
    pod = await world.until("lowly", is_evicted)
    assert f"low on resource: {resource}" in pod["status"]["message"]
    assert condition(pod, "DisruptionTarget") == "True" and condition(pod, "Ready") == "False"
    assert await world.until_event("lowly", "Evicted")
    assert is_ready(await world.api.get(PODS, "worthy", "default"))


async def test_a_pressure_is_told_for_five_minutes_after_it_ended(world: World) -> None:
    machine = Machine()
    evictor = machine.evictor(world)
    machine.signals = FULL
    await evictor.look()
    machine.signals, machine.time = FINE, machine.time + 299
    await evictor.look()
    assert world.agent.services.pressures == {"DiskPressure"}
    await world.create(make_pod())
    pod = await world.until("web", is_evicted)
    assert "The node had condition: [DiskPressure]" in pod["status"]["message"]
    assert "containerStatuses" not in pod["status"], "it was never taken"
    machine.time += 2
    await evictor.look()
    await run_pod(world, "later")


async def test_an_empty_dir_over_its_limit_costs_the_pod(world: World) -> None:
    volumes = [{"name": "scratch", "emptyDir": {"sizeLimit": "64Ki"}}]
    await world.create(make_pod(volumes=volumes))
    pod = await world.until("web", is_ready)
    evictor = Machine().evictor(world)
    folder = world.agent.services.volumes.folder(pod["metadata"]["uid"]) / "volumes" / "scratch"
    folder.mkdir(parents=True)
    (folder / "small").write_bytes(b"x" * 1000)
    await evictor.look()
    assert is_ready(await world.api.get(PODS, "web", "default"))
    (folder / "big").write_bytes(b"x" * 100_000)
    await evictor.look()
    pod = await world.until("web", is_evicted)
    assert 'Usage of EmptyDir volume "scratch" exceeds the limit "64Ki"' in pod["status"]["message"]


async def test_a_container_over_its_storage_limit_costs_the_pod(world: World) -> None:
    resources = {"limits": {"ephemeral-storage": "10"}}
    await world.create(make_pod(make_container(command=["tail", "-f", "a-long-name"], resources=resources)))
    await world.until("web", is_ready)
    await Machine().evictor(world).look()
    pod = await world.until("web", is_evicted)
    assert 'Container main exceeded its local ephemeral storage limit "10"' in pod["status"]["message"]


def test_who_uses_more_than_asked_goes_first_then_low_priority_then_the_largest() -> None:
    asked = {"requests": {"memory": "100"}}
    modest = make_pod(make_container(resources=asked))
    pods = {
        "critical but greedy": (make_pod(make_container(resources=asked), priority=5), Usage({"main": 101})),
        "greedy": (modest, Usage({"main": 101})),
        "greedier": (modest, Usage({"main": 150})),
        "modest": (modest, Usage({"main": 99})),
    }
    ranked = sorted(pods, key=lambda name: eviction_rank(*pods[name], "memory"))
    assert ranked == ["greedier", "greedy", "critical but greedy", "modest"]


def test_short_of_memory_only_pods_without_requests_are_turned_away() -> None:
    pod = make_pod()
    assert refusal_of(pod, {"MemoryPressure"})
    assert refusal_of({**pod, "status": {"qosClass": "Burstable"}}, {"MemoryPressure"}) is None
    assert refusal_of(make_pod(priority=2_000_000_000), {"DiskPressure"}) is None
    assert refusal_of(pod, set()) is None


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}},
            '"kernel.msgmax" not allowlisted',
        ),
        (
            {"hostNetwork": True, "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}},
            "not allowed with host net enabled",
        ),
        (
            {"hostIPC": True, "securityContext": {"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "1"}]}},
            "not allowed with host ipc enabled",
        ),
    ],
)
def test_kernel_settings_that_reach_beyond_the_pod_are_refused(spec: dict[str, Any], said: str) -> None:
    reason, message = refusal_of(make_pod(**spec), set()) or ("", "")
    assert reason == "SysctlForbidden" and said in message


def test_a_safe_kernel_setting_is_taken_in_both_spellings() -> None:
    for name in ("net.ipv4.ping_group_range", "net/ipv4/ping_group_range"):
        assert refusal_of(make_pod(securityContext={"sysctls": [{"name": name, "value": "0 1"}]}), set()) is None


def test_the_nodes_conditions_say_which_pressures_hold() -> None:
    facts = NodeFacts(cpus=2, memory=2**30, disk=2**40, runtime_version="docker://1")
    status = observe_node(
        SETTINGS, "n", facts, [], address="192.0.2.1", problem="", pressures={"DiskPressure"}, version="v1", port=1
    )
    told = {each["type"]: (each["status"], each["reason"]) for each in status["conditions"]}
    assert told["DiskPressure"] == ("True", "KubeletHasDiskPressure")
    assert told["MemoryPressure"] == ("False", "KubeletHasSufficientMemory")
    assert set(PRESSURES) < set(told)


def test_resources_that_an_administrator_advertised_can_be_allocated() -> None:
    """As `kubectl patch node --subresource=status` with /status/capacity/example.com~1dongle."""
    status = {"capacity": {"cpu": "2"}, "allocatable": {"cpu": "2"}}
    stored = {"capacity": {"cpu": "1", "example.com/dongle": "4"}, "allocatable": {"cpu": "1", "example.com/gone": "1"}}
    assert with_extended(status, stored) == {
        "capacity": {"cpu": "2", "example.com/dongle": "4"}, "allocatable": {"cpu": "2", "example.com/dongle": "4"},
    }  # fmt: skip
    assert not is_extended("hugepages-2Mi") and not is_extended("pod.alpha.kubernetes.io/x")


def test_sizes_and_shares(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    assert 10_000 <= folder_size(tmp_path) < 40_000 and folder_size(tmp_path / "none") == 0
    assert 0 < disk_use([tmp_path, tmp_path / "none"]) <= 1 and disk_use([]) == 0
    assert available_memory("MemTotal: 9 kB\nMemAvailable:   12 kB\n") == 12 * 1024
