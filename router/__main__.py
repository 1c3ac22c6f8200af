"""`python -m router` keeps nginx in step with the cluster; `… proxy` runs nginx; `… render` only writes nginx.conf."""

from __future__ import annotations

import logging
import signal
import sys

from router.errors import RouterError
from router.logs import start_logging
from router.settings import load_settings

log = logging.getLogger("router")


class Stopped(BaseException):
    """SIGTERM or SIGINT: leave whatever waits."""


def main(arguments: list[str]) -> int:
    start_logging()

    def stop(*_: object) -> None:
        raise Stopped

    try:
        settings = load_settings()
        if not arguments:
            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
            from router.sync import run_sync

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
