"""The router against the backend directly, and against nginx with the same backend written into its configuration."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.report import Row, median
from tests.router.harness import Router, free_port, pods, service, wait_for

RUNS = 5
SECONDS = 4  # of each run
CONNECTIONS = 64
CHANGES_A_SECOND = 5
DOMAINS = 1000
BODY = "x" * 1024

COMMON = """
daemon off;
worker_processes 1;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log;
events {{ worker_connections 4096; }}
"""
BACKEND = """
http {{
    access_log off;
    keepalive_requests 10000000;
    server {{
        listen 127.0.0.1:{one};
        listen 127.0.0.1:{two};
        location / {{ return 200 "{body}"; }}
    }}
}}
"""
PLAIN = """
http {{
    access_log {folder}/access.log combined buffer=32k flush=1s;
    keepalive_requests 10000000;
    upstream app {{ server 127.0.0.1:{one}; server 127.0.0.1:{two}; keepalive 256; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


class Load(NamedTuple):
    rate: float
    p99: float  # milliseconds
    failed: int


def load(port: int, seconds: int = SECONDS) -> Load:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "--latency", "-H", "Host: hello.paas.localhost"]
    shown = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/"], capture_output=True, text=True, timeout=seconds + 30, check=True
    ).stdout
    found = re.search(r"99%\s+([\d.]+)(us|ms|s)", shown)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", shown)
    assert found and rate, shown
    errors = re.search(r"connect (\d+), read (\d+), write (\d+), timeout (\d+)", shown)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", shown)
    failed = sum(map(int, errors.groups())) if errors else 0
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]
    return Load(float(rate[1]), float(found[1]) * scale, failed + (int(refused[1]) if refused else 0))


@contextlib.contextmanager
def nginx(folder: Path, name: str, text: str, **values: object) -> Iterator[None]:
    config = folder / f"{name}.conf"
    config.write_text((COMMON + text).format(folder=folder, name=name, body=BODY, **values))
    process = subprocess.Popen(["nginx", "-e", f"{folder}/{name}.log", "-c", str(config)])
    try:
        wait_for((folder / f"{name}.pid").exists)
        yield
    finally:
        process.terminate()
        process.wait(10)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextlib.contextmanager
def counted(pids: list[int], costs: list[float]) -> Iterator[None]:
    """Adds the CPU seconds that the processes used meanwhile."""

    def used() -> float:
        stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
        return sum(int(fields[11]) + int(fields[12]) for fields in stats) / os.sysconf("SC_CLK_TCK")

    before = used()
    yield
    costs.append(used() - before)


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="paas-bench-router-") as text:
        folder = Path(text)
        one, two, port = free_port(), free_port(), free_port()
        router = Router(folder / "router")
        backend = nginx(folder, "backend", BACKEND, one=one, two=two)
        plain = nginx(folder, "plain", PLAIN, one=one, two=two, port=port)
        with backend, plain:
            router.start()
            try:
                return _measure(router, (one, two), port, int((folder / "plain.pid").read_text()))
            finally:
                router.stop()


def _measure(router: Router, backends: tuple[int, int], plain: int, plain_master: int) -> list[Row]:
    router.serve([service()], pods(*backends))
    direct, fixed, ours = [], [], []
    fixed_cost, our_cost = [], []
    for _ in range(RUNS):  # in turns: the machine's other work meets all alike
        direct.append(load(backends[0]))
        with counted(children(plain_master), fixed_cost):
            fixed.append(load(plain))
        with counted(children(router.master), our_cost):
            ours.append(load(router.http))
    rate = median([run.rate for run in ours])
    note = f"{sum(run.failed for run in ours)} failed; 1 KB, {CONNECTIONS} keep-alive connections"
    rows = [
        Row("router: requests", rate, "req/s", "backend directly", median([r.rate for r in direct]), RUNS, note),
        Row("router: requests", rate, "req/s", "nginx, fixed upstream", median([r.rate for r in fixed]), RUNS),
        Row(
            "router: p99", median([r.p99 for r in ours]), "ms", "nginx, fixed upstream",
            median([r.p99 for r in fixed]), RUNS,
        ),
    ]  # fmt: skip
    ours_each = [cost / (run.rate * SECONDS) * 1e6 for cost, run in zip(our_cost, ours, strict=True)]
    fixed_each = [cost / (run.rate * SECONDS) * 1e6 for cost, run in zip(fixed_cost, fixed, strict=True)]
    rows.append(
        Row("router: CPU a request", median(ours_each), "µs", "nginx, fixed upstream", median(fixed_each), RUNS)
    )
    rows.append(_under_change(router, backends, rate))
    rows.append(_killed(router))
    return rows + _many_domains(router, backends[0])


def _under_change(router: Router, backends: tuple[int, int], steady: float) -> Row:
    def change(stopping: threading.Event) -> None:
        number = 0
        while not stopping.wait(1 / CHANGES_A_SECOND):
            number += 1
            router.serve([service()], pods(backends[number % 2]))

    runs = [_while(change, lambda: load(router.http)) for _ in range(RUNS)]
    note = f"{sum(run.failed for run in runs)} failed; every change replaces all endpoints"
    what = f"router: {CHANGES_A_SECOND} endpoint changes a second"
    return Row(what, median([run.rate for run in runs]), "req/s", "without changes", steady, RUNS, note)


def _while(beside: Callable[[threading.Event], None], action: Callable[[], Load]) -> Load:
    stopping = threading.Event()
    thread = threading.Thread(target=beside, args=(stopping,))
    thread.start()
    try:
        return action()
    finally:
        stopping.set()
        thread.join()


def _killed(router: Router) -> Row:
    """nginx's master dies under load, a new one takes over, and the old workers end."""

    def kill(stopping: threading.Event) -> None:
        stopping.wait(1)
        router.proxy.save_when_due()
        os.kill(router.master, signal.SIGKILL)
        router.launcher.wait(10)
        router.start()

    runs = [_while(kill, lambda: load(router.http, 5)) for _ in range(RUNS)]
    total = sum(int(run.rate * 5) for run in runs)
    return Row(
        "router: nginx killed under load", sum(r.failed for r in runs), "failed requests", "bar", 0, RUNS, f"of {total}"
    )


def _many_domains(router: Router, backend: int) -> list[Row]:
    services = [service(f"app{i}", f"app{i}") for i in range(DOMAINS)]
    slices = [piece for i in range(DOMAINS) for piece in pods(backend, namespace=f"app{i}")]
    router.serve(services, slices)
    taken = []
    for number in range(20):
        name = f"late{number}"
        services.append(service(name, name))
        slices += pods(backend, namespace=name)
        started = time.perf_counter()
        router.serve(services, slices)
        status, _, _ = router.request(name)
        taken.append((time.perf_counter() - started) * 1000)
        assert status == 200
    memory = sum(_pss(pid) for pid in (router.master, *router.workers())) / 1024
    note = f"table of {DOMAINS} domains built, pushed and first answer, worst {max(taken):.0f} ms"
    return [
        Row("router: new host live", median(taken), "ms", "bar", 100, len(taken), note),
        Row(f"router: nginx with {DOMAINS} domains", memory, "MB PSS", runs=1),
    ]


def _pss(pid: int) -> int:
    """KB."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    return int(found[1]) if found else 0
