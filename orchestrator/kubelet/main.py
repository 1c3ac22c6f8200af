"""The agent process: connect, adopt what runs, serve, report, until told to stop. Containers outlive it."""

from __future__ import annotations

import asyncio
import ctypes
import ipaddress
import logging
import os
import signal
import socket
import time
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from orchestrator.client import ApiClient
from orchestrator.http_client import HttpClient
from orchestrator.kubelet.agent import NodeAgent, PodSource
from orchestrator.kubelet.environment import NodeView
from orchestrator.kubelet.eviction import Evictor
from orchestrator.kubelet.garbage import GarbageCollector
from orchestrator.kubelet.lookup import Lookup
from orchestrator.kubelet.node import NodeReporter, render_capacity
from orchestrator.kubelet.pressure import Pressures, disk_use, read_signals
from orchestrator.kubelet.runtime import NodeFacts, Runtime, RuntimeFailure
from orchestrator.kubelet.server import AgentServer
from orchestrator.kubelet.services import NodeServices
from orchestrator.kubelet.settings import AgentSettings
from orchestrator.kubelet.volumes import Volumes
from orchestrator.machinery.clock import RealClock
from orchestrator.machinery.events import Recorder
from orchestrator.network.addresses import first_node_cidr, gateway_of
from orchestrator.network.host_ports import HostPorts
from orchestrator.objects.meta import Obj
from orchestrator.scheduler.resources import amounts

log = logging.getLogger(__name__)

ENGINE_RETRY = 1.0  # seconds
KUBECONFIG_DEADLINE, KUBECONFIG_POLL = 60.0, 0.2  # seconds to wait for the kubeconfig, between looks
THREADS = 6  # for files, mounts and the host names of starting containers
M_ARENA_MAX = -8  # of mallopt(3): how many heaps the threads share
TRIM_EVERY = 60.0  # seconds between returning freed memory to the system
UMASK = 0o022  # volumes are read by whoever a container runs as, however strict the agent's parent was


async def run(settings: AgentSettings) -> None:
    """Until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="agent"))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)
    os.umask(UMASK)
    await wait_for_file(settings.kubeconfig, stop)
    client = HttpClient.from_kubeconfig(settings.kubeconfig)
    agent = Agent(settings, client)
    serving = asyncio.create_task(agent.run(), name="agent")
    stopping = asyncio.create_task(stop.wait(), name="stop signal")
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    serving.cancel()
    try:
        await serving
    except asyncio.CancelledError:
        log.info("agent stopped; its containers run on")
    finally:
        await agent.close()
        await client.close()


async def wait_for_file(path: Path, stop: asyncio.Event) -> None:
    """Until the server, which may be starting for the first time, has written our kubeconfig; or long enough."""
    for _ in range(int(KUBECONFIG_DEADLINE / KUBECONFIG_POLL)):
        if path.exists() or stop.is_set():  # noqa: ASYNC240  one look at a local file
            return
        await asyncio.sleep(KUBECONFIG_POLL)


class Agent:
    """One process: one node over an engine, or several simulated ones."""

    def __init__(self, settings: AgentSettings, client: ApiClient) -> None:
        self.settings, self.client = settings, client
        self.nodes: dict[str, NodeAgent] = {}
        self.reporters: list[NodeReporter] = []
        self.server = AgentServer(settings, self.nodes)
        self._recorder = Recorder(client, RealClock(), "kubelet")
        self._upkeep: list[Coroutine[Any, Any, None]] = []  # what a real node needs besides

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="events")
            await self.server.start()
            cidrs = node_cidrs(self.settings.pod_cidr, self.settings.simulated_nodes)
            for name, cidr in zip(node_names(self.settings), cidrs, strict=True):
                await self._add_node(name, cidr)
            await asyncio.gather(*(agent.start() for agent in self.nodes.values()))
            for name, agent in self.nodes.items():
                group.create_task(agent.run(), name=f"node {name}")
            for reporter in self.reporters:
                group.create_task(reporter.run(), name=f"report {reporter.name}")
            group.create_task(PodSource(self.client, self.nodes).run(), name="pods")
            group.create_task(self._trim_memory(), name="memory")
            for step in self._upkeep:
                group.create_task(step, name=getattr(step, "__name__", "upkeep"))

    async def close(self) -> None:
        await self.server.close()
        for agent in self.nodes.values():
            await agent.close()
            await agent.services.runtime.close()

    async def _add_node(self, name: str, cidr: str) -> None:
        settings, address = self.settings, host_address()
        runtime, facts = await self._open_runtime(name, cidr, address)
        reporter = NodeReporter(self.client, runtime, settings, name, address=address, pod_cidr=cidr)
        reporter.facts = facts
        given = given_range(await reporter.register(), settings.pod_cidr, cidr)
        if given != cidr:
            await runtime.close()
            await self._add_node(name, given)
            return
        lookup = Lookup(self.client)
        node = NodeView(
            name=name, address=address, cpus=facts.cpus, memory=facts.memory, cluster_domain=settings.cluster_domain
        )
        real = settings.runtime == "docker"
        volumes = Volumes(
            settings.data, lookup, node=node, dns_address=gateway_of(cidr), cluster_domain=settings.cluster_domain,
            real=real,
        )  # fmt: skip
        allocatable = amounts(render_capacity(settings, facts))
        services = NodeServices(self.client, runtime, volumes, lookup, self._recorder, node, allocatable=allocatable)
        reporter.pressures = services.pressures
        self.nodes[name] = NodeAgent(name, services)
        self.reporters.append(reporter)
        if real:
            self._upkeep = [self._keep_up(self.nodes[name], facts), self._run_network(cidr, services.host_ports)]

    async def _open_runtime(self, name: str, cidr: str, address: str) -> tuple[Runtime, NodeFacts]:
        """The runtime, and what it says of its machine. Waits for an engine that is still starting."""
        if self.settings.runtime == "memory":
            from orchestrator.kubelet.memory import MemoryRuntime

            memory = MemoryRuntime(cidr, host_address=address)
            return memory, await memory.facts()
        runtime = docker_runtime(self.settings, cidr, address)
        while True:
            try:
                return runtime, await runtime.facts()
            except RuntimeFailure as exc:
                log.warning("the container engine isn't ready, trying again: %s", exc)
                await asyncio.sleep(ENGINE_RETRY)

    async def _trim_memory(self) -> None:
        """Threads leave their heaps fragmented; without this the agent stays as large as its busiest moment."""
        libc = ctypes.CDLL(None)
        while True:
            await asyncio.sleep(TRIM_EVERY)
            libc.malloc_trim(0)

    async def _run_network(self, node_cidr: str, host_ports: HostPorts) -> None:
        """With the network's own rights: a node's end at its pods, policies name those of others too."""
        from orchestrator.network.run import run_network

        kubeconfig = self.settings.network_kubeconfig or self.settings.kubeconfig.with_name("network.kubeconfig")
        await wait_for_file(kubeconfig, asyncio.Event())
        async with HttpClient.from_kubeconfig(kubeconfig) as client:
            await run_network(client, self.settings, node_cidr, host_ports)

    async def _keep_up(self, agent: NodeAgent, facts: NodeFacts) -> None:
        """Keeps the node's disks and memory from running out."""
        folders = [self.settings.data, *([Path(facts.storage)] if facts.storage else [])]
        collector = GarbageCollector(agent, self.settings, lambda: disk_use(folders))
        evictor = Evictor(agent, collector, lambda: read_signals(folders), Pressures(time.monotonic))
        await asyncio.gather(collector.run(), evictor.run())


def docker_runtime(settings: AgentSettings, node_cidr: str, address: str) -> Runtime:
    from orchestrator.kubelet.docker import DockerRuntime
    from orchestrator.kubelet.engine import Engine
    from orchestrator.kubelet.sandboxes import SandboxPool
    from orchestrator.network.pods import PodNetwork

    engine = Engine(settings.docker_host, settings.docker_cert_path)
    network = PodNetwork(
        instance=settings.instance, node_cidr=node_cidr, cluster_cidr=settings.pod_cidr, mtu=settings.mtu
    )
    pool = SandboxPool(
        engine, network, instance=settings.instance, checkpoints=settings.data / "sandboxes",
        size=settings.sandbox_pool, host_address=address,
    )  # fmt: skip
    return DockerRuntime(engine, pool, instance=settings.instance)


def given_range(node: Obj, cluster_cidr: str, wanted: str) -> str:
    """The pod range that the API says the node has; `wanted` when it says none or one outside of the cluster's."""
    given = (node.get("spec") or {}).get("podCIDR") or wanted
    if ipaddress.IPv4Network(given).subnet_of(ipaddress.IPv4Network(cluster_cidr)):
        return str(given)
    log.warning("the node's podCIDR %s is not in the cluster's range %s; using %s", given, cluster_cidr, wanted)
    return wanted


def node_names(settings: AgentSettings) -> list[str]:
    if settings.simulated_nodes == 1:
        return [settings.node_name]
    return [f"{settings.node_name}-{number:04d}" for number in range(settings.simulated_nodes)]


def node_cidrs(cluster_cidr: str, count: int) -> Iterable[str]:
    """A /24 for each node; past the cluster's range simulated nodes share it."""
    if count == 1:
        return [first_node_cidr(cluster_cidr)]
    network = ipaddress.IPv4Network(cluster_cidr)
    blocks = [str(block) for block in network.subnets(new_prefix=max(24, network.prefixlen))]
    return [blocks[number % len(blocks)] for number in range(count)]


def host_address() -> str:
    """The address this host uses towards others; loopback when it has no route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: nothing is sent
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
