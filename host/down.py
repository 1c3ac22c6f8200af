"""`make down` and `make destroy`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from host import cgroups, cluster, engine, init_system, integration, orphans, say, settings
from host.command import module
from host.errors import HostError
from host.programs import own_docker_host
from host.settings import Platform
from host.supervisor import Supervisor
from host.up import lock

REVIVAL = 40.0  # seconds the guardian gets to end what is left and to start a new supervisor
LOOK = 0.2  # seconds between looks


def stop() -> None:
    """Stop every process and every app container; data, images and releases stay."""
    platform = _existing()
    if platform is None:
        say.step("Nothing to stop: no platform here.")
        return
    with lock(platform.home):
        say.step("Stopping the platform")
        supervisor = Supervisor(platform)
        await_revival(platform, supervisor)
        if supervisor.pid() is not None:
            _stop_programs_but_engine(supervisor)
            _stop_containers(platform)
        _stop_everything(platform)
    if platform.kubeconfig:
        say.detail("Stopped. Apps run on in their cluster; without the platform's router nobody reaches them.")
        return
    say.detail("Stopped. `make up` brings every app back.")


def destroy() -> None:
    """Remove everything this instance made: containers, networks, mounts, packet filter rules, processes, files."""
    platform = _existing()
    if platform is None:
        say.step("Nothing to destroy: no platform here.")
        return
    with lock(platform.home):
        say.step(f"Removing the platform in {platform.home}")
        supervisor = Supervisor(platform)
        await_revival(platform, supervisor)
        own = platform.docker_host == own_docker_host(platform)
        if own and supervisor.pid() is None:
            supervisor.start()
        if supervisor.pid() is not None:
            _stop_programs_but_engine(supervisor)
        _stop_containers(platform)
        _remove_build_leftovers(platform)
        if not own:
            engine.remove_images(platform)
        _stop_everything(platform)
        if own:
            engine.restore_network(platform)
            cgroups.restore(platform.home / "cgroups-mounted")
        _unmount(platform.home)
        integration.remove(platform)
    shutil.rmtree(platform.home)
    init_system.remove(platform)
    if platform.kubeconfig:
        say.warn(f"Apps run on in their cluster, where each is a namespace: {cluster.removal(platform)}")
    say.detail("Nothing of it is left on this machine. System packages stay installed.")


def await_revival(platform: Platform, supervisor: Supervisor, patience: float = REVIVAL) -> None:
    """What a killed supervisor left behind is stopped in order by the one in its place: the guardian starts that, else
    we do. Without it a node agent that lives on would make containers again behind our back.
    """
    deadline = time.monotonic() + patience
    while supervisor.pid() is None and orphans.find(platform.home):
        if time.monotonic() > deadline:
            supervisor.start()
            return
        time.sleep(LOOK)


def _existing() -> Platform | None:
    return settings.load(settings.home_from_environment())


def _stop_programs_but_engine(supervisor: Supervisor) -> None:
    supervisor.stop_programs(but=("docker-engine",))


def _stop_containers(platform: Platform) -> None:
    if platform.kubeconfig:  # apps are the cluster's to run
        return
    environment = {"DOCKER_HOST": platform.docker_host, "AGENT_DATA": f"{platform.home}/agent"}
    try:
        module(["orchestrator.kubelet.cleanup", "--instance", platform.instance], environment)
    except HostError as exc:
        say.warn(str(exc))


def _remove_build_leftovers(platform: Platform) -> None:
    try:
        module(["builder", "cleanup", "--instance", platform.instance, "--docker-host", platform.docker_host], {})
    except HostError as exc:
        say.warn(str(exc))


def _stop_everything(platform: Platform) -> None:
    Supervisor(platform).stop()
    orphans.end(platform.home, everything=True)


def _unmount(home: Path) -> None:
    points = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted((point for point in points if point.startswith(f"{home}{os.sep}")), reverse=True):
        subprocess.run(["umount", "-l", point], timeout=30, check=False)
