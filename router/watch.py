"""The Kubernetes API → a cache of the objects that routes are made of.

One thread per resource, each a blocking list and watch: three small stacks instead of an event loop's libraries. A
resource is listed in pages, then watched from that version on; an ended watch resumes where it stopped, and only a
version that the server has forgotten (410) leads to a new list.
"""

from __future__ import annotations

import http.client
import json
import logging
import random
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from router.access import Access, ApiFailure
from router.errors import RouterError

log = logging.getLogger("router.watch")

WATCH_SECONDS = 290  # the server ends a watch after this; a silent one is dead 30 s later
CALL_TIMEOUT = 15.0
PAGE = 500
FIRST_DELAY, LAST_DELAY = 0.1, 5.0  # seconds between tries, doubling

Obj = dict[str, Any]


class Source(NamedTuple):
    """What to watch, and the fields of it worth keeping."""

    path: str
    query: dict[str, str]
    keep: tuple[str, ...]


SOURCES = {
    "services": Source("/api/v1/services", {"labelSelector": "router.deis.io/routable=true"}, ()),
    "slices": Source(
        "/apis/discovery.k8s.io/v1/endpointslices",
        {"labelSelector": "kubernetes.io/service-name"},
        ("addressType", "endpoints", "ports"),
    ),
    "secrets": Source("/api/v1/secrets", {"fieldSelector": "type=kubernetes.io/tls"}, ("data",)),
}
META = ("namespace", "name", "labels", "annotations", "creationTimestamp")


def slim(obj: Obj, keep: tuple[str, ...]) -> Obj:
    return {
        "metadata": {field: obj["metadata"][field] for field in META if field in obj["metadata"]},
        **{field: obj[field] for field in keep if field in obj},
    }


class WatchExpired(RouterError):
    """The version to watch from is gone; list again."""


class Watch:
    """Keeps `objects` (by namespace and name) as one resource is on the server; sets `changed` when they change."""

    def __init__(self, access: Access, source: Source, changed: threading.Event) -> None:
        self._access, self._source, self._changed = access, source, changed
        self._lock = threading.Lock()
        self._objects: dict[tuple[str, str], Obj] = {}
        self._version = ""
        self._stopped = threading.Event()
        self.synced = False

    def objects(self) -> list[Obj]:
        with self._lock:
            return list(self._objects.values())

    def stop(self) -> None:
        """Ends `run` at the next event, or at the next try."""
        self._stopped.set()

    def run(self) -> None:
        """Until stopped; a thread that waits for events is a daemon and ends with the process."""
        failures = 0
        while not self._stopped.is_set():
            try:
                if not self._version:
                    self._list()
                began = time.monotonic()
                self._follow()
                # A server that ends every watch at once must not be asked in a tight loop.
                failures = 0 if time.monotonic() - began > 1 else failures + 1
            except WatchExpired:
                self._version = ""
                failures += 1
            except (OSError, http.client.HTTPException, RouterError, ValueError) as exc:
                failures += 1
                if failures in (1, 5) or failures % 60 == 0:
                    log.warning("cannot watch %s: %s; the last known routes stay", self._source.path, exc)
            if failures:
                delay = min(FIRST_DELAY * 2 ** min(failures - 1, 10), LAST_DELAY)
                self._stopped.wait(delay * random.uniform(0.5, 1))

    def _list(self) -> None:
        found: dict[tuple[str, str], Obj] = {}
        query = {**self._source.query, "limit": str(PAGE)}
        while True:
            connection, response = self._access.open(self._source.path, query, CALL_TIMEOUT)
            try:
                page = json.load(response)
            finally:
                connection.close()
            for item in page.get("items") or ():
                found[_key(item)] = slim(item, self._source.keep)
            if not (proceed := page["metadata"].get("continue")):
                break
            query = {**query, "continue": proceed}
        with self._lock:
            self._objects = found
        self._version = page["metadata"]["resourceVersion"]
        self.synced = True
        self._changed.set()

    def _follow(self) -> None:
        query = {
            **self._source.query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": self._version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        try:
            connection, response = self._access.open(self._source.path, query, CALL_TIMEOUT)
        except ApiFailure as exc:
            if exc.status == 410:
                raise WatchExpired(str(exc)) from exc
            raise
        try:
            if connection.sock is not None:
                notice_dead_peer(connection.sock)
            for event in events_of(response):
                self.apply(event)
        finally:
            connection.close()

    def apply(self, event: Obj) -> None:
        """Raises: WatchExpired, ApiFailure."""
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            if obj.get("code") == 410:
                raise WatchExpired(obj.get("message", ""))
            raise ApiFailure(obj.get("code", 500), obj.get("message", ""))
        self._version = obj["metadata"]["resourceVersion"]
        if kind == "BOOKMARK":
            return
        with self._lock:
            if kind == "DELETED":
                self._objects.pop(_key(obj), None)
            else:
                self._objects[_key(obj)] = slim(obj, self._source.keep)
        self._changed.set()


def _key(obj: Obj) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def events_of(response: http.client.HTTPResponse) -> Iterator[Obj]:
    for line in response:
        if line.strip():
            yield json.loads(line)


def notice_dead_peer(connection: socket.socket) -> None:
    """A watch may be silent for minutes; a peer that vanished without a word is found out within 25 s."""
    connection.settimeout(WATCH_SECONDS + 30)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)


class Cluster:
    """All three caches, kept by their threads."""

    def __init__(self, access: Access) -> None:
        self.changed = threading.Event()
        self._watches = {name: Watch(access, source, self.changed) for name, source in SOURCES.items()}

    def start(self) -> None:
        for name, watch in self._watches.items():
            threading.Thread(target=watch.run, name=f"watch-{name}", daemon=True).start()

    @property
    def synced(self) -> bool:
        """Whether every resource was listed: before that, half a table would take apps away."""
        return all(watch.synced for watch in self._watches.values())

    def objects(self, name: str) -> list[Obj]:
        return self._watches[name].objects()
