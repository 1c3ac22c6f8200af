"""The pods of all apps as the Kubernetes API shows them, and their containers' logs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from logger.access import Access
from logger.http import Answer, refuse_unless_ok, request

OURS = "heritage=deis"
WATCH_SECONDS = 300
STARTED = ("Running", "Succeeded", "Failed")
FINISHED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Pod:
    """What is needed to know of one."""

    namespace: str
    name: str
    uid: str
    container: str
    source: bytes
    phase: str
    restarts: int
    leaving: bool
    ending: tuple[str, int, str] | None
    """The newest end of its container: when, exit code, reason."""

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}/{self.uid}"


def pod_of(item: dict[str, Any]) -> Pod | None:
    """None for a pod that isn't an app's process."""
    meta, status = item["metadata"], item.get("status") or {}
    labels = meta.get("labels") or {}
    if not labels.get("app") or labels["app"] != meta["namespace"]:
        return None
    container = item["spec"]["containers"][0]["name"]
    seen: dict[str, Any] = next((s for s in status.get("containerStatuses") or () if s.get("name") == container), {})
    suffix = meta["name"].rpartition("-")[2]
    source = f"{labels['app']}[{labels.get('type', '')}.{labels.get('version', '')}.{suffix}]"
    ended = (seen.get("state") or {}).get("terminated") or (seen.get("lastState") or {}).get("terminated")
    return Pod(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        container=container,
        source=source.encode(),
        phase=status.get("phase", ""),
        restarts=int(seen.get("restartCount") or 0),
        leaving=bool(meta.get("deletionTimestamp")),
        ending=(ended.get("finishedAt") or "", int(ended.get("exitCode") or 0), ended.get("reason") or "")
        if ended
        else None,
    )


class Kubernetes:
    def __init__(self, access: Access) -> None:
        self._access = access

    async def pods(self) -> tuple[list[Pod], str]:
        """Every app's pods, and the version to watch from. Raises: Refused, OSError, TimeoutError."""
        async with self._get("/api/v1/pods", labelSelector=OURS) as answer:
            await refuse_unless_ok(answer)
            document = json.loads(await answer.body())
        found = [pod for item in document.get("items") or () if (pod := pod_of(item))]
        return found, document["metadata"]["resourceVersion"]

    async def changes(self, since: str) -> AsyncIterator[tuple[str, Pod]]:
        """(ADDED, MODIFIED or DELETED, pod) until the server ends it. Raises: Refused, OSError, TimeoutError."""
        query = {"watch": "true", "labelSelector": OURS, "resourceVersion": since, "timeoutSeconds": WATCH_SECONDS}
        async with self._get("/api/v1/pods", **query) as answer:
            await refuse_unless_ok(answer)
            rest = b""
            async for piece in answer.pieces():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    event: dict[str, Any] = json.loads(line) if line.strip() else {"type": "BOOKMARK"}
                    if event["type"] == "ERROR":
                        return
                    if event["type"] != "BOOKMARK" and (pod := pod_of(event["object"])):
                        yield event["type"], pod

    def log(self, pod: Pod, **options: str) -> AbstractAsyncContextManager[Answer]:
        """The container's lines with their times, as an answer. Raises: OSError, TimeoutError."""
        path = f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/log"
        return self._get(path, container=pod.container, timestamps="true", **options)

    def _get(self, path: str, **query: Any) -> AbstractAsyncContextManager[Answer]:
        access = self._access
        headers = [("Accept", "application/json, */*"), ("User-Agent", "paas-logger"), *access.headers()]
        target = f"{access.prefix}{path}?{urlencode(query)}"
        return request(access.host, access.port, access.tls, "GET", target, headers)
