"""`python -m orchestrator server` and `agent`, and `pki`, which makes or renews the server's certificates and ends;
settings come from the environment.
"""

from __future__ import annotations

import argparse
import logging
import sys

import uvloop

from orchestrator.errors import OrchestratorError


def main() -> int:
    parser = argparse.ArgumentParser(prog="orchestrator", description=__doc__)
    parser.add_argument("program", choices=("server", "agent", "pki"))
    program = parser.parse_args().program
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        uvloop.run(_run(program))
    except OrchestratorError as error:
        print(f"orchestrator {program}: {error}", file=sys.stderr)
        return 1
    return 0


async def _run(program: str) -> None:
    if program == "server":
        from orchestrator.apiserver.main import run as run_server
        from orchestrator.settings import ServerSettings

        await run_server(ServerSettings.from_environment())
    elif program == "pki":
        from orchestrator.pki import ensure_pki
        from orchestrator.settings import ServerSettings

        ensure_pki(ServerSettings.from_environment())
    else:
        from orchestrator.kubelet.main import run as run_agent
        from orchestrator.kubelet.settings import settings_from_environment

        await run_agent(settings_from_environment())


if __name__ == "__main__":
    sys.exit(main())
