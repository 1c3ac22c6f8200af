"""The API over HTTPS with durable writes: single requests, a list of 10,000 pods, watches."""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from time import perf_counter, sleep
from typing import NamedTuple

from bench.orchestrator_cluster import Api, Cluster, busy, pod
from bench.report import Row, median
from orchestrator.http_client import HttpClient
from orchestrator.objects.kinds import PODS

PATH = "/api/v1/namespaces/default/pods"
PUBLISHED = "Kubernetes (published)"
READS, WRITES, EVENTS, LISTS = 1000, 400, 200, 5
LISTED, AT_ONCE = 10_000, 32
WATCHERS, FANNED = 200, 50
NOBODY = "nobody"  # the scheduler of these pods: the API alone is measured


class Percentiles(NamedTuple):
    p50: float  # milliseconds
    p99: float

    @classmethod
    def of(cls, taken: list[float]) -> Percentiles:
        ordered = sorted(taken)
        return cls(median(ordered) * 1000, ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)] * 1000)


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="paas-bench-") as folder, Cluster(Path(folder)) as cluster:
        sleep(1)
        return [
            *_single(cluster.api),
            _create_to_event(cluster.api),
            _fan_out(cluster.api),
            _list(cluster),
        ]


def _times(action: Callable[[int], object], runs: int) -> Percentiles:
    taken = []
    for number in range(runs):
        started = perf_counter()
        action(number)
        taken.append(perf_counter() - started)
    return Percentiles.of(taken)


def _single(api: Api) -> list[Row]:
    api.post(PATH, pod("got", schedulerName=NOBODY))
    get = _times(lambda _: api.raw("GET", f"{PATH}/got"), READS)
    post = _times(lambda number: api.raw("POST", PATH, pod(f"single-{number}", schedulerName=NOBODY)), WRITES)
    patch = _times(lambda number: api.patch(f"{PATH}/got", {"metadata": {"labels": {"n": str(number)}}}), WRITES)
    rows = []
    for what, ours, theirs, runs in (
        ("GET pod", get, (1.4, 3.9), READS),
        ("POST pod", post, (4.8, 12.0), WRITES),
        ("PATCH pod", patch, (4.8, 11.0), WRITES),
    ):
        rows.append(Row(f"{what} p50", ours.p50, "ms", PUBLISHED, theirs[0], runs, busy()))
        rows.append(Row(f"{what} p99", ours.p99, "ms", PUBLISHED, theirs[1], runs))
    return rows


def _create_to_event(api: Api) -> Row:
    """From the request's first byte to the event, on another connection."""
    taken = []
    with api.watch(PATH) as watch:
        events = iter(watch)
        for number in range(EVENTS):
            name = f"event-{number}"
            started = perf_counter()
            api.raw("POST", PATH, pod(name, schedulerName=NOBODY))
            while next(events)[1]["metadata"]["name"] != name:
                pass
            taken.append(perf_counter() - started)
    note = f"p99 {Percentiles.of(taken).p99:.1f} ms, the POST's answer read first; {busy()}"
    return Row("create → watch event p50", Percentiles.of(taken).p50, "ms", PUBLISHED, 3, EVENTS, note)


def _fan_out(api: Api) -> Row:
    """From the request to the last of the watchers having the event; all are read by this one process."""
    version = api.get(f"{PATH}?limit=1")["metadata"]["resourceVersion"]
    with contextlib.ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for number in range(WATCHERS):
            connection = api.connect()
            stack.callback(connection.close)
            connection.request("GET", f"{PATH}?watch=true&resourceVersion={version}")
            connection.sock.setblocking(False)
            selector.register(connection.sock, selectors.EVENT_READ, number)
        _read_until(selector, set(), pause=1.0)  # the answers' heads
        taken = []
        for number in range(FANNED):
            name = f"fan-{number}-"
            started = perf_counter()
            api.raw("POST", PATH, pod(f"{name}x", schedulerName=NOBODY))
            missing = _read_until(selector, set(range(WATCHERS)), name.encode())
            taken.append(perf_counter() - started)
            if missing:
                raise RuntimeError(f"{len(missing)} of {WATCHERS} watchers never saw {name}")
            sleep(0.1)
    note = f"bar 100 ms; worst {max(taken) * 1000:.0f} ms; {busy()}"
    return Row(f"an event at the last of {WATCHERS} watchers", median(taken) * 1000, "ms", "bar", 100, FANNED, note)


def _read_until(
    selector: selectors.BaseSelector, missing: set[int], wanted: bytes = b"", pause: float = 5.0
) -> set[int]:
    """Reads until every watcher in `missing` has seen `wanted`, or nothing comes for `pause` seconds."""
    seen: dict[int, bytes] = {}
    while (missing or not wanted) and (ready := selector.select(pause)):
        for key, _ in ready:
            with contextlib.suppress(ssl.SSLWantReadError):
                while chunk := key.fileobj.recv(65536):
                    seen[key.data] = seen.get(key.data, b"")[-100:] + chunk
                    if wanted and wanted in seen[key.data]:
                        missing.discard(key.data)
    return missing


def _list(cluster: Cluster) -> Row:
    started = perf_counter()
    asyncio.run(create_pods(cluster, LISTED))
    created = perf_counter() - started
    taken, size = [], 0
    for _ in range(LISTS):
        started = perf_counter()
        size = len(cluster.api.raw("GET", PATH))
        taken.append(perf_counter() - started)
        sleep(0.2)
    note = f"{size / 1e6:.0f} MB; created at {LISTED / created:.0f} a second over {AT_ONCE} requests; {busy()}"
    return Row(f"LIST of {LISTED:,} pods", median(taken) * 1000, "ms", PUBLISHED, 264, LISTS, note)


async def create_pods(cluster: Cluster, count: int) -> None:
    async with connected(cluster) as client:
        left = iter(range(count))

        async def creator() -> None:
            for number in left:
                one = pod(f"listed-{number}", schedulerName=NOBODY)
                one["metadata"]["labels"] = {"listed": "yes", "number": str(number)}
                await client.create(PODS, one)

        await asyncio.gather(*(creator() for _ in range(AT_ONCE)))


@contextlib.asynccontextmanager
async def connected(cluster: Cluster) -> AsyncIterator[HttpClient]:
    async with HttpClient.from_kubeconfig(cluster.data / "admin.kubeconfig", "paas-bench", AT_ONCE) as client:
        yield client
