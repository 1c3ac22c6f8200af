"""What the orchestrator is held against: the bare engine by its SDK, and Docker Swarm, on an engine of our own.

The engine runs in a network namespace that the measuring thread enters, so neither its bridge, nor Swarm's state, nor
our agent's rules touch the machine's. Where that isn't allowed the machine's engine is taken, and Swarm left out.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import docker
from docker.types import RestartPolicy, ServiceMode, UpdateConfig

from bench.orchestrator_cluster import INSTANCE, until
from orchestrator.kubelet.pause import BUSYBOX, busybox_archive

IMAGE = "paas-bench/busybox:1"
STAY = ["/bin/busybox", "sh", "-c", "trap 'exit 0' TERM; busybox sleep 86400 & wait"]
LABELS = {"paas.io/instance": f"{INSTANCE}-raw"}  # the agent removes its own
WORKERS = 4  # starts at a time: more only add latency
CLONE_NEWNET = 0x40000000


class Engine(NamedTuple):
    host: str
    own: bool
    note: str = ""

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.host, timeout=120)


@contextlib.contextmanager
def engine() -> Iterator[Engine]:
    """With `IMAGE` in it; what was started there by us is gone afterwards."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_own_network())
            found = Engine(stack.enter_context(_own_engine()), True)
        except (OSError, RuntimeError, subprocess.CalledProcessError) as exc:
            stack.pop_all().close()
            host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
            found = Engine(host, False, f"the machine's engine, without Swarm: no own engine ({exc})")
        client = found.client()
        repository, _, tag = IMAGE.partition(":")
        client.api.import_image_from_data(busybox_archive(BUSYBOX), repository=repository, tag=tag)
        try:
            yield found
        finally:
            remove_all(client)
            with contextlib.suppress(docker.errors.APIError):
                client.images.remove(IMAGE)


@contextlib.contextmanager
def _own_network() -> Iterator[None]:
    """This thread, and what it starts from here on, in a network namespace with nothing but loopback."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as before:
        if libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "a network namespace was refused")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield
        finally:
            libc.setns(before.fileno(), CLONE_NEWNET)


@contextlib.contextmanager
def _own_engine() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="paas-bench-engine-"))
    command = [
        "dockerd", f"--host=unix://{folder}/docker.sock", f"--data-root={folder}/data", f"--exec-root={folder}/exec",
        f"--pidfile={folder}/pid", f"--cgroup-parent=/{INSTANCE}", "--log-level=warn",
        f"--containerd-namespace={INSTANCE}", f"--containerd-plugins-namespace={INSTANCE}-plugins",
    ]  # fmt: skip
    with (folder / "log").open("wb") as output:
        # Swarm would ask a registry for the image at every start otherwise
        process = subprocess.Popen(
            command, stdout=output, stderr=output, env={**os.environ, "DOCKER_SERVICE_PREFER_OFFLINE_IMAGE": "1"}
        )
    try:
        until((folder / "docker.sock").exists, f"the engine's start ({folder}/log)")
        until(lambda: _answers(f"unix://{folder}/docker.sock"), f"the engine's first answer ({folder}/log)")
        yield f"unix://{folder}/docker.sock"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _answers(host: str) -> bool:
    try:
        return bool(docker.DockerClient(base_url=host, timeout=5).ping())
    except (docker.errors.DockerException, OSError):
        return False


def remove_all(client: docker.DockerClient) -> None:
    """Every container that was started here."""
    for container in client.containers.list(all=True, filters={"label": f"paas.io/instance={INSTANCE}-raw"}):
        with contextlib.suppress(docker.errors.APIError):
            container.remove(force=True)


def run_one(client: docker.DockerClient, **options: Any) -> float:
    """Seconds of `docker run -d`."""
    started = time.perf_counter()
    container = client.containers.run(IMAGE, STAY, detach=True, labels=LABELS, **options)
    taken = time.perf_counter() - started
    container.remove(force=True)
    return taken


def start_many(host: Engine, count: int, *, bridge: bool) -> float:
    """Seconds that the engine needs to start `count` containers, `WORKERS` at a time."""
    client = host.client()
    options: dict[str, Any] = {}
    if not bridge:
        pause = client.containers.run(IMAGE, STAY, detach=True, labels=LABELS)
        options["network_mode"] = f"container:{pause.id}"
    with ThreadPoolExecutor(WORKERS) as pool:
        started = time.perf_counter()
        list(
            pool.map(lambda _: client.containers.run(IMAGE, STAY, detach=True, labels=LABELS, **options), range(count))
        )
        taken = time.perf_counter() - started
    remove_all(client)
    return taken


class Swarm:
    """One service at a time; what is measured ends when the tasks run, not when Swarm has finished monitoring them."""

    def __init__(self, host: Engine) -> None:
        self._client = host.client()
        self._client.swarm.init(advertise_addr="127.0.0.1", listen_addr="127.0.0.1:2377")

    def close(self) -> None:
        for service in self._client.services.list():
            service.remove()
        self._client.swarm.leave(force=True)

    def service(self, name: str, replicas: int) -> Any:
        service = self._client.services.create(
            IMAGE, command=STAY, name=name, mode=ServiceMode("replicated", replicas), stop_grace_period=5 * 10**9,
            update_config=UpdateConfig(parallelism=5, order="start-first", delay=0, monitor=10**6),
            restart_policy=RestartPolicy(condition="any", delay=0),
        )  # fmt: skip
        self._running(service, replicas)
        return service

    def scale(self, service: Any, replicas: int) -> float:
        service.reload()
        return self._timed(lambda: service.scale(replicas), lambda: self._running(service, replicas))

    def update(self, service: Any, replicas: int) -> float:
        service.reload()
        old = {task["ID"] for task in service.tasks()}
        change = {"env": [f"ROUND={time.time()}"]}
        return self._timed(
            lambda: service.update(**change, fetch_current_spec=True),
            lambda: self._running(service, replicas, without=old, alone=True),
        )

    def heal(self, service: Any) -> float:
        """Of a service of one replica: from its container's death to the next one that runs."""
        (task,) = [task for task in service.tasks() if _runs(task)]
        container = self._client.containers.get(task["Status"]["ContainerStatus"]["ContainerID"])
        return self._timed(lambda: container.kill(), lambda: self._running(service, 1, without={task["ID"]}))

    def _timed(self, act: Callable[[], object], wait: Callable[[], object]) -> float:
        started = time.perf_counter()
        act()
        wait()
        return time.perf_counter() - started

    def _running(self, service: Any, count: int, without: Collection[str] = (), alone: bool = False) -> None:
        """Waits for `count` running tasks besides those; `alone`: and for those to be told to stop."""

        def done() -> bool:
            tasks = service.tasks(filters={"desired-state": "running"})
            old = [task for task in tasks if task["ID"] in without]
            return sum(_runs(task) and task["ID"] not in without for task in tasks) >= count and not (alone and old)

        until(done, f"{count} running tasks of Swarm", 60, 0.02)


def _runs(task: Any) -> bool:
    return bool(task["Status"]["State"] == "running")
