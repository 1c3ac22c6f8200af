"""What containers on a real engine may do, and whom they see: users, rights, kernel settings, shared namespaces."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from engine_worlds import STAY, busybox, engine_world, logs_of, said_by, until_gone
from kubelet_pods import make_pod
from worlds import World, is_ready, waiting_reason

from orchestrator.kubelet.eviction import Evictor
from orchestrator.kubelet.garbage import GarbageCollector
from orchestrator.kubelet.pressure import Pressures, Signals
from orchestrator.kubelet.settings import AgentSettings
from orchestrator.objects.kinds import PODS

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with engine_world(tmp_path_factory.mktemp("world")) as made:
        yield made


def asking(name: str, script: str, *, context: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return make_pod(busybox(script, securityContext=context or {}), name=name, uid="", **spec)


STATUS = "busybox grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status"


async def test_users_groups_and_rights_are_the_ones_asked_for(world: World) -> None:
    profiles = world.agent.services.volumes.seccomp_profiles
    profiles.mkdir(parents=True)
    (profiles / "no-mkdir.json").write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}]}'
    )
    pod_wide = {"runAsUser": 5, "runAsGroup": 2002, "supplementalGroups": [3003], "fsGroup": 4004}
    said = await said_by(
        world,
        asking("user", "id -u; id -G", context={"runAsUser": 1001}, securityContext=pod_wide),
        asking("caps", STATUS, context={"capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}),
        asking("unconfined", STATUS, context={"seccompProfile": {"type": "Unconfined"}}),
        asking("plain", STATUS),
        asking("locked", STATUS, context={"allowPrivilegeEscalation": False}),
        asking("reading", "touch /x 2>&1 || echo m > /dev/termination-log", context={"readOnlyRootFilesystem": True}),
        asking(
            "profile",
            "busybox mkdir /x 2>&1 || true",
            context={"seccompProfile": {"type": "Localhost", "localhostProfile": "no-mkdir.json"}},
        ),
    )
    assert said["user"] == "1001\n2002 3003 4004\n"
    assert "CapEff:\t0000000000001000" in said["caps"]
    assert "Seccomp:\t0" in said["unconfined"] and "Seccomp:\t2" in said["plain"]
    assert "NoNewPrivs:\t0" in said["plain"] and "NoNewPrivs:\t1" in said["locked"]
    assert "Read-only" in said["reading"] and "not permitted" in said["profile"]


async def test_a_container_that_must_not_be_root_and_would_be_waits(world: World) -> None:
    await world.create(asking("root", "id", context={"runAsNonRoot": True}))
    pod = await world.until("root", lambda pod: waiting_reason(pod) == "CreateContainerConfigError")
    assert "will run as root" in str(pod["status"])


def hosts_setting() -> str:
    return Path("/proc/sys/net/ipv4/tcp_syncookies").read_text()


async def test_kernel_settings_and_names_are_the_pods_own(world: World) -> None:
    settings = [{"name": "net.ipv4.tcp_syncookies", "value": "0"}, {"name": "kernel.shm_rmid_forced", "value": "1"}]
    before = hosts_setting()
    said = await said_by(
        world,
        asking(
            "sysctls",
            "cat /proc/sys/net/ipv4/tcp_syncookies /proc/sys/kernel/shm_rmid_forced",
            securityContext={"sysctls": settings},
        ),
        asking("named", "hostname; echo $HOSTNAME", hostname="h", subdomain="s", setHostnameAsFQDN=True),
        asking("neighbour", "cat /proc/sys/net/ipv4/tcp_syncookies"),
    )
    assert said["sysctls"] == "0\n1\n" and said["neighbour"] == before
    assert said["named"] == "h.s.default.svc.cluster.local\n" * 2
    assert hosts_setting() == before


async def test_the_hosts_processes_memory_and_network_are_seen_when_asked_for(world: World) -> None:
    show = "busybox readlink /proc/self/ns/pid; busybox readlink /proc/self/ns/ipc; busybox readlink /proc/self/ns/net"
    alias = [{"ip": "10.1.2.3", "hostnames": ["alias.test"]}]
    said = await said_by(
        world,
        asking("host", show, hostPID=True, hostIPC=True, hostNetwork=True),
        asking("own", show),
        asking("hosts", "cat /etc/hosts", hostNetwork=True, hostAliases=alias),
    )
    ours = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("pid", "ipc", "net")]
    assert said["host"].split() == ours and not set(said["own"].split()) & set(ours)
    assert "10.1.2.3\talias.test" in said["hosts"]


async def test_containers_share_processes_when_asked_to_and_a_debugger_joins_its_target(world: World) -> None:
    shared = make_pod(busybox(STAY), busybox("sleep 97 & wait", "other"), name="shared", shareProcessNamespace=True)
    await world.create({**shared, "metadata": {**shared["metadata"], "uid": ""}})
    pod = make_pod(busybox("sleep 98 & wait"), terminationGracePeriodSeconds=1)
    await world.create(pod)
    found = await world.until("web", is_ready)
    debugger = {**busybox("ps", "debug"), "targetContainerName": "main"}
    await world.api.update(
        PODS, {**found, "spec": {**found["spec"], "ephemeralContainers": [debugger]}}, subresource="ephemeralcontainers"
    )
    await world.until("web", lambda pod: "terminated" in str(pod["status"].get("ephemeralContainerStatuses")))
    assert "sleep 98" in await logs_of(world, "web", "debug")
    await world.until("shared", is_ready)
    worker = next(each for each in world.agent.workers.values() if each.ref.name == "shared")
    code, output = await world.runtime.execute(worker.seen.history["main"][-1].id, ("ps",), 5)
    assert code == 0 and b"sleep 97" in output


async def test_a_full_empty_dir_costs_the_pod_and_frees_the_disk(world: World) -> None:
    settings = AgentSettings(kubeconfig=Path("k"), data=Path("d"))
    collector = GarbageCollector(world.agent, settings, lambda: 0.0)
    evictor = Evictor(world.agent, collector, lambda: Signals(0.0, 2**40), Pressures(lambda: 0.0))
    writes = busybox(f"busybox dd if=/dev/zero of=/e/x bs=1M count=3; {STAY}", volumeMounts=[mount("e")])
    logs = busybox(f"busybox seq 20000; {STAY}", resources={"limits": {"ephemeral-storage": "20Ki"}})
    await world.create(
        make_pod(writes, name="writes", uid="", volumes=[{"name": "e", "emptyDir": {"sizeLimit": "1Mi"}}])
    )
    await world.create(make_pod(logs, name="logs", uid=""))
    for name in ("writes", "logs"):
        await world.until(name, is_ready)
    looking = asyncio.create_task(keep_looking(evictor))  # ready says nothing of how much is written yet
    for name in ("writes", "logs"):
        pod = await world.until(name, lambda pod: pod["status"].get("reason") == "Evicted")
        folder = world.agent.services.volumes.folder(pod["metadata"]["uid"])
        assert "exceed" in pod["status"]["message"]
        await until_gone(folder / "volumes")
    looking.cancel()


async def keep_looking(evictor: Evictor) -> None:
    while True:
        await evictor.look()
        await asyncio.sleep(0.1)


def mount(name: str) -> dict[str, str]:
    return {"name": name, "mountPath": f"/{name}"}
