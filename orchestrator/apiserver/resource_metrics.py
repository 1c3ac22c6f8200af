"""metrics.k8s.io: what nodes and pods use, asked of the agents when somebody wants to know.

Agents tell CPU time since the start; two readings make a rate. The first question takes two readings a moment apart;
while questions keep coming, each is answered from the newest readings, renewed every `WINDOW` seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.apiserver.api import Api
from orchestrator.apiserver.node_proxy import NodeProxy
from orchestrator.errors import ApiError
from orchestrator.objects import kinds
from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Key, Obj
from orchestrator.objects.times import seconds_of, timestamp
from orchestrator.store.record import Record

log = logging.getLogger(__name__)

WINDOW = 15.0  # seconds between readings, as metrics-server's default
_FIRST_GAP = 0.5  # seconds between the two readings that a first question waits for
_STALE = 120.0  # seconds after which an older reading says nothing about the present
_FETCH_TIMEOUT = 5.0  # seconds a node gets to answer

Summary = Mapping[str, Any]


class ResourceMetrics:
    """Holds the two newest readings of each node."""

    def __init__(self, api: Api, proxy: NodeProxy) -> None:
        self.api, self.proxy = api, proxy
        self._readings: dict[str, list[Summary]] = {}
        self._read_at = 0.0
        self._reading = asyncio.Lock()

    async def records(self, resource: Resource) -> Sequence[Record]:
        """NodeMetrics or PodMetrics of all nodes that answer, as records of the store's revision."""
        await self._refresh()
        objects: list[Obj] = []
        for name, (before, now) in self._pairs().items():
            if resource.kind == "NodeMetrics":
                objects += self._node_metrics(name, before, now)
            else:
                objects += self._pod_metrics(before, now)
        revision, storage = self.api.store.revision, resource.storage_key
        keyed = {Key(o["metadata"].get("namespace", ""), o["metadata"]["name"]): o for o in objects}
        return [Record(storage, key, revision, keyed[key]) for key in sorted(keyed)]

    async def _refresh(self) -> None:
        async with self._reading:
            age = self.api.now() - self._read_at
            if age < WINDOW and self._readings:
                return
            if age > _STALE or not self._readings:
                self._readings.clear()
                await self._read_all()
                await asyncio.sleep(_FIRST_GAP)
            await self._read_all()
            self._read_at = self.api.now()

    async def _read_all(self) -> None:
        nodes = [record.obj for record in self.api.store.list(kinds.NODES.storage_key)]
        answers = await asyncio.gather(*(self._read(node) for node in nodes))
        known = {node["metadata"]["name"] for node in nodes}
        self._readings = {name: readings for name, readings in self._readings.items() if name in known}
        for node, answer in zip(nodes, answers, strict=True):
            if answer is not None:
                readings = self._readings.setdefault(node["metadata"]["name"], [])
                readings.append(answer)
                del readings[:-2]

    async def _read(self, node: Obj) -> Summary | None:
        name = node["metadata"]["name"]
        try:
            async with asyncio.timeout(_FETCH_TIMEOUT):
                summary: Summary = await self.proxy.fetch_json(node, f"/stats/summary?node={name}")
                return summary
        except (ApiError, TimeoutError) as exc:
            log.warning("no usage figures from node %s: %s", name, exc)
            return None

    def _pairs(self) -> dict[str, tuple[Summary, Summary]]:
        return {name: (found[0], found[1]) for name, found in self._readings.items() if len(found) == 2}

    def _node_metrics(self, name: str, before: Summary, now: Summary) -> list[Obj]:
        record = self.api.store.get(kinds.NODES.storage_key, Key("", name))
        usage = usage_between(before.get("node") or {}, now.get("node") or {})
        if record is None or usage is None:
            return []
        labels = record.obj["metadata"].get("labels") or {}
        head = self._head("NodeMetrics", {"name": name, "labels": labels}, now.get("node") or {})
        return [{**head, "usage": usage}]

    def _pod_metrics(self, before: Summary, now: Summary) -> list[Obj]:
        earlier = {pod["podRef"]["uid"]: pod for pod in before.get("pods") or ()}
        found = []
        for pod in now.get("pods") or ():
            reference = pod["podRef"]
            key = Key(reference["namespace"], reference["name"])
            record = self.api.store.get(kinds.PODS.storage_key, key)
            if record is None or record.obj["metadata"]["uid"] != reference["uid"]:
                continue
            old = {c["name"]: c for c in (earlier.get(reference["uid"]) or {}).get("containers") or ()}
            containers = [
                {"name": container["name"], "usage": usage}
                for container in pod["containers"]
                if (usage := usage_between(old.get(container["name"]) or {}, container)) is not None
            ]
            if containers:
                labels = record.obj["metadata"].get("labels") or {}
                meta = {"name": key.name, "namespace": key.namespace, "labels": labels}
                found.append({**self._head("PodMetrics", meta, pod["containers"][0]), "containers": containers})
        return found

    def _head(self, kind: str, meta: Obj, figures: Summary) -> Obj:
        moment = (figures.get("cpu") or {}).get("time", "")
        seconds = seconds_of(moment) or self.api.now()
        return {
            "kind": kind,
            "apiVersion": kinds.PODMETRICS.api_version,
            "metadata": {**meta, "creationTimestamp": timestamp(self.api.now())},
            "timestamp": timestamp(seconds),
            "window": f"{WINDOW:.0f}s",
        }


def usage_between(before: Summary, now: Summary) -> dict[str, str] | None:
    """CPU as the rate between two readings, memory as of the newer; None when the readings do not belong together."""
    cpu, old = now.get("cpu") or {}, before.get("cpu") or {}
    started, ended = seconds_of(old.get("time", "")), seconds_of(cpu.get("time", ""))
    if started is None or ended is None or ended <= started:
        return None
    spent = int(cpu["usageCoreNanoSeconds"]) - int(old["usageCoreNanoSeconds"])
    if spent < 0:
        return None  # the container was restarted in between
    memory = int((now.get("memory") or {}).get("workingSetBytes") or 0)
    return {"cpu": f"{round(spent / (ended - started))}n", "memory": f"{memory // 1024}Ki"}
