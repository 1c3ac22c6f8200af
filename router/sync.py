"""router-sync: waits for the cluster to change, and has nginx serve what it says then."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Protocol

from router.access import load_access
from router.errors import RouterError
from router.launch import live_master, refresh
from router.logs import rotate
from router.proxy import Proxy
from router.settings import Settings
from router.table import Memo, Table, build_table
from router.watch import Cluster, Obj

log = logging.getLogger("router")

HEARTBEAT = 1.0  # seconds between signs of life, which also find a restarted nginx
ROTATE_EVERY = 60.0
KUBECONFIG_DEADLINE, KUBECONFIG_POLL = 60.0, 0.1  # seconds to wait for the kubeconfig, between looks
COALESCE = 0.002  # seconds; events of one change arrive together


class Objects(Protocol):
    """What the cluster is known to hold."""

    @property
    def synced(self) -> bool: ...

    def objects(self, name: str) -> list[Obj]: ...


def run_sync(settings: Settings) -> None:
    """Until the process is told to stop."""
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        if live_master(settings):
            refresh(settings)  # an upgrade restarts this program, and not the proxy
    except RouterError as exc:
        log.warning("nginx keeps its configuration: %s", exc)
    wait_for_file(settings.kubeconfig)
    cluster = Cluster(load_access(settings.kubeconfig, settings.in_cluster))
    proxy = Proxy(settings.admin_socket, settings.snapshot_file)
    syncer = Syncer(settings, cluster, proxy)
    cluster.start()
    rotated = time.monotonic()
    while True:
        if cluster.changed.wait(HEARTBEAT):
            time.sleep(COALESCE)
            cluster.changed.clear()
            syncer.rebuild()
        syncer.push()
        if time.monotonic() - rotated > ROTATE_EVERY:
            rotated = time.monotonic()
            for name in ("access.log", "error.log"):
                rotate(settings.data / name)


def wait_for_file(path: str, deadline: float = KUBECONFIG_DEADLINE) -> None:
    """Until the server, which may be starting for the first time, has written our kubeconfig; or `deadline` seconds."""
    until = time.monotonic() + deadline
    while path and not Path(path).exists() and time.monotonic() < until:
        time.sleep(KUBECONFIG_POLL)


class Syncer:
    """Builds the table when the cluster changed, and gives it to nginx until nginx has it."""

    def __init__(self, settings: Settings, cluster: Objects, proxy: Proxy) -> None:
        self._settings, self._cluster, self._proxy = settings, cluster, proxy
        self._table: Table | None = None
        self._memo = Memo()
        self._problems: set[str] = set()
        self._trouble = ""

    def rebuild(self) -> None:
        if not self._cluster.synced:
            return
        self._table = build_table(
            *(self._cluster.objects(name) for name in ("services", "slices", "secrets")),
            domain=self._settings.platform_domain,
            static=self._settings.static,
            memo=self._memo,
        )
        problems = set(self._table.problems)
        for problem in sorted(problems - self._problems):
            log.warning(problem)
        self._problems = problems

    def push(self) -> None:
        if self._table is None:
            return
        try:
            changed = self._proxy.sync(self._table.entries)
        except RouterError as exc:
            if str(exc) != self._trouble:
                log.warning(str(exc))
            self._trouble = str(exc)
        else:
            if self._trouble:
                log.info("nginx has the current routes again")
            self._trouble = ""
            if changed:
                log.info("routes changed: %d entries", changed)
        self._proxy.save_when_due()
