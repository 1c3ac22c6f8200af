"""Removes what an agent made: `python -m orchestrator.kubelet.cleanup --instance NAME`. Only what carries the name.

Containers, sandboxes, mounts below the data folder, the bridge with its pairs, iptables chains. Safe to run again, and
after an agent or an engine that died.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
from pathlib import Path

from orchestrator.errors import OrchestratorError
from orchestrator.kubelet import labels
from orchestrator.kubelet.engine import Engine, EngineError
from orchestrator.kubelet.pause import PAUSE_IMAGE
from orchestrator.kubelet.settings import CleanupSettings
from orchestrator.kubelet.volumes import run_command
from orchestrator.network.nft import remove_firewall
from orchestrator.network.pods import remove_pod_network


def cleanup(instance: str, docker_host: str, *, data: Path | None = None, cert_path: str = "") -> list[str]:
    """What was removed, a line each. Raises: OrchestratorError, when something couldn't be."""
    removed = asyncio.run(remove_containers(instance, docker_host, cert_path))
    if data is not None:
        removed += unmount_below(data)
    return removed + remove_firewall(instance) + remove_pod_network(instance)


async def remove_containers(instance: str, docker_host: str, cert_path: str) -> list[str]:
    """App containers first, then the sandboxes they share."""
    engine = Engine(docker_host, cert_path)
    removed = []
    try:
        for label in (labels.CONTAINER, labels.INSTANCE):
            filters = {"label": [f"{labels.INSTANCE}={instance}", label]}
            for row in await engine.call("GET", "/containers/json", params={"all": True, "filters": filters}):
                try:
                    await engine.call("DELETE", f"/containers/{row['Id']}", params={"force": True, "v": True})
                except EngineError as exc:
                    if exc.status not in (404, 409):
                        raise
                removed.append(f"container {row['Names'][0].removeprefix('/') if row['Names'] else row['Id']}")
        await remove_pause_image(engine)
    finally:
        await engine.close()
    return removed


async def remove_pause_image(engine: Engine) -> None:
    """Gone when no other instance uses it."""
    try:
        await engine.call("DELETE", f"/images/{PAUSE_IMAGE}")
    except EngineError as exc:
        if exc.status not in (404, 409):
            raise


def unmount_below(folder: Path) -> list[str]:
    """Every mount point below a folder, the deepest first."""
    root = os.path.realpath(folder)
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = sorted((point for point in points if point.startswith(f"{root}/")), key=len, reverse=True)
    removed = []
    for point in below:
        try:
            run_command(["umount", "-l", point])
        except subprocess.SubprocessError as exc:
            raise OrchestratorError(f"{exc}; unmount it by hand and run this again") from exc
        removed.append(f"mount {point}")
    return removed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m orchestrator.kubelet.cleanup", description=__doc__)
    parser.add_argument("--instance", required=True, help="AGENT_INSTANCE of the agent")
    parser.add_argument("--data", type=Path, help="the agent's folder, whose mounts are undone (default: AGENT_DATA)")
    arguments = parser.parse_args()
    known = CleanupSettings.from_environment()
    data = arguments.data or known.data
    try:
        for line in cleanup(arguments.instance, known.docker_host, data=data, cert_path=known.docker_cert_path):
            print(f"removed {line}")
    except OrchestratorError as exc:
        print(f"cleanup: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
