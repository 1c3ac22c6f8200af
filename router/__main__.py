"""`python -m router` keeps nginx in step with the cluster; `… proxy` runs nginx; `… render` only writes nginx.conf."""

from __future__ import annotations

import logging
import signal
import sys
import time

from router.errors import RouterError
from router.logs import rotate, start_logging
from router.settings import Settings, load_settings

log = logging.getLogger("router")

HEARTBEAT = 1.0  # seconds between signs of life, which also find a restarted nginx
ROTATE_EVERY = 60.0
COALESCE = 0.002  # seconds; events of one change arrive together


class Stopped(BaseException):
    """SIGTERM or SIGINT: leave whatever waits."""


def run_sync(settings: Settings) -> None:
    from router.access import load_access
    from router.proxy import Proxy
    from router.watch import Cluster

    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    cluster = Cluster(load_access(settings.kubeconfig))
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


class Syncer:
    """Builds the table when the cluster changed, and gives it to nginx until nginx has it."""

    def __init__(self, settings: Settings, cluster, proxy) -> None:
        self._settings, self._cluster, self._proxy = settings, cluster, proxy
        self._table = None
        self._problems: set[str] = set()
        self._trouble = ""

    def rebuild(self) -> None:
        from router.table import build_table

        if not self._cluster.synced:
            return
        self._table = build_table(
            *(self._cluster.objects(name) for name in ("services", "slices", "secrets")),
            domain=self._settings.platform_domain,
            static=self._settings.static,
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


def main(arguments: list[str]) -> int:
    start_logging()

    def stop(*_: object) -> None:
        raise Stopped

    try:
        settings = load_settings()
        if not arguments:
            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
            run_sync(settings)
        elif arguments == ["proxy"]:
            from router.launch import run_proxy

            run_proxy(settings)
        elif arguments == ["render"]:
            from router.launch import look_at_host, prepare

            prepare(settings, look_at_host())
        elif arguments == ["settle"]:
            from router.launch import settle

            settle(settings)
        else:
            print("usage: python -m router [proxy | render | settle]", file=sys.stderr)
            return 2
    except Stopped:
        log.info("stopped")
    except RouterError as exc:
        log.error(str(exc))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
