"""An orchestrator of the measurement's own: server and agent processes over temporary data, and a client of few parts.

The client is `http.client` over one kept TLS connection: what it costs itself is small beside what it measures.
"""

from __future__ import annotations

import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from orchestrator.http_client import Kubeconfig

ROOT = Path(__file__).resolve().parent.parent
POD_CIDR, SERVICE_CIDR = "10.222.0.0/16", "10.223.0.0/16"
INSTANCE = "benchcore"
START_DEADLINE, STOP_DEADLINE = 30.0, 20.0  # seconds
Obj = dict[str, Any]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(ready: Callable[[], object], what: str, deadline: float = START_DEADLINE, pause: float = 0.02) -> None:
    """Raises: RuntimeError after `deadline` seconds."""
    last = time.monotonic() + deadline
    while not ready():
        if time.monotonic() > last:
            raise RuntimeError(f"{what} did not happen within {deadline:.0f} s")
        time.sleep(pause)


class Api:
    """One kept connection to the server, and watches on connections of their own."""

    def __init__(self, kubeconfig: Path) -> None:
        self._config = Kubeconfig.load(kubeconfig)
        self._connection = self.connect()

    def connect(self, timeout: float = 120.0) -> http.client.HTTPSConnection:
        address = urlsplit(self._config.server)
        connection = http.client.HTTPSConnection(
            address.hostname or "127.0.0.1", address.port, context=self._config.ssl, timeout=timeout
        )
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def raw(self, method: str, path: str, body: Obj | None = None, kind: str = "application/json") -> bytes:
        """Raises: RuntimeError with the server's words."""
        data = None if body is None else orjson.dumps(body)
        self._connection.request(method, path, data, {"Content-Type": kind} if data else {})
        response = self._connection.getresponse()
        answer = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path}: {response.status} {answer[:300].decode(errors='replace')}")
        return answer

    def get(self, path: str) -> Obj:
        return orjson.loads(self.raw("GET", path))

    def post(self, path: str, body: Obj) -> Obj:
        return orjson.loads(self.raw("POST", path, body))

    def patch(self, path: str, body: Obj) -> Obj:
        return orjson.loads(self.raw("PATCH", path, body, "application/merge-patch+json"))

    def delete(self, path: str) -> None:
        self.raw("DELETE", path)

    def watch(self, path: str, deadline: float = 120.0) -> Watch:
        """From now on; open when this returns."""
        version = self.get(f"{path}?limit=1")["metadata"]["resourceVersion"]
        return Watch(self.connect(deadline), f"{path}?watch=true&resourceVersion={version}", deadline)


class Watch:
    def __init__(self, connection: http.client.HTTPSConnection, path: str, deadline: float) -> None:
        self._connection, self._last = connection, time.monotonic() + deadline
        connection.request("GET", path)
        self._response = connection.getresponse()

    def __iter__(self) -> Iterator[tuple[str, Obj]]:
        while line := self._response.readline():
            if time.monotonic() > self._last:
                break
            event = orjson.loads(line)
            yield event["type"], event["object"]
        raise RuntimeError("the watch ended before what it waited for")

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Cluster:
    """The processes; a context manager that leaves nothing behind."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "orchestrator"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._port, self._docker_host = free_port(), ""

    def __enter__(self) -> Cluster:
        self._spawn("server", ORCHESTRATOR_DATA=str(self.data), ORCHESTRATOR_LISTEN=f"127.0.0.1:{self._port}")
        try:
            until(self._serves, f"the server's start (see {self.folder}/server.log)")
            self.api = Api(self.data / "admin.kubeconfig")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._docker_host:
            self._remove_what_the_agent_made()

    def _remove_what_the_agent_made(self) -> None:
        """Containers, mounts, bridge and rules, which outlive an agent."""
        subprocess.run(
            [sys.executable, "-m", "orchestrator.kubelet.cleanup", "--instance", INSTANCE],
            env={**os.environ, "DOCKER_HOST": self._docker_host, "AGENT_DATA": str(self.folder / "agent")},
            cwd=ROOT, check=True, timeout=120, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def start_agent(self, *, docker_host: str = "", nodes: int = 1, ready: int = 1) -> None:
        """Of one real node when there is an engine, of simulated ones otherwise; returns once `ready` are Ready."""
        self._docker_host = docker_host
        self._spawn(
            "agent",
            KUBECONFIG=str(self.data / ("admin.kubeconfig" if nodes > 1 else "agent.kubeconfig")),
            AGENT_DATA=str(self.folder / "agent"),
            AGENT_LISTEN=f"127.0.0.1:{free_port()}",
            AGENT_RUNTIME="docker" if docker_host else "memory",
            AGENT_INSTANCE=INSTANCE,
            AGENT_SIMULATED_NODES=str(nodes),
            DOCKER_HOST=docker_host or "unix:///nonexistent",
        )
        until(lambda: self._ready_nodes() >= ready, f"{ready} Ready nodes (see {self.folder}/agent.log)", 90, 0.1)

    def pid(self, program: str) -> int:
        return self._processes[program].pid

    def _ready_nodes(self) -> int:
        return sum(is_true(node, "Ready") for node in self.api.get("/api/v1/nodes")["items"])

    def _serves(self) -> bool:
        if self._processes["server"].poll() is not None:
            raise RuntimeError(f"the server ended: {(self.folder / 'server.log').read_text()[-500:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _spawn(self, program: str, **variables: str) -> None:
        shared = {
            "PYTHONPATH": str(ROOT), "NODE_NAME": "bench", "MALLOC_ARENA_MAX": "2",
            "ORCHESTRATOR_POD_CIDR": POD_CIDR, "ORCHESTRATOR_SERVICE_CIDR": SERVICE_CIDR,
        }  # fmt: skip
        with (self.folder / f"{program}.log").open("ab") as output:
            self._processes[program] = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", program],
                env={**os.environ, **shared, **variables}, stdout=output, stderr=output,
            )  # fmt: skip


def is_true(obj: Obj, condition: str) -> bool:
    conditions = (obj.get("status") or {}).get("conditions") or ()
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def cpu_seconds(pid: int) -> float:
    """Of all its threads, by the scheduler's own clock: short turns fall between the ticks that `stat` counts."""
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def memory(pid: int) -> float:
    """MB of the process, pages shared with others counted in part."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    assert found
    return int(found[1]) / 1000


def peak_memory(pid: int) -> float:
    """MB of the process at its largest."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found
    return int(found[1]) / 1000


def busy() -> str:
    """The load of the machine, for a row's note: a figure means little without it."""
    return f"load {os.getloadavg()[0]:.1f}"


def pod(name: str, image: str = "registry.example/none:1", namespace: str = "default", **spec: Any) -> Obj:
    container = {"name": "main", "image": image, "imagePullPolicy": "IfNotPresent", **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 5, **spec},
    }


def deployment(name: str, image: str, replicas: int, command: list[str] | None = None, **spec: Any) -> Obj:
    template = pod(name, image, container={"command": command} if command else {})
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": template["spec"]},
            **spec,
        },
    }
