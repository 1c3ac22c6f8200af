"""The two runtimes that builds have, opened for a scene each, and what builds left below them."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from builder import host_config
from builder.detect import Way
from builder.engine import Engine
from builder.engine_builds import EngineBuilds
from builder.jobs.builds import JobBuilds
from builder.progress import Progress
from builder.registry_api import RegistryClient
from builder.runtime import BuildRuntime, Job, Result
from builder.server import HOST_FILES
from builder.settings import Settings
from builder.workspace import APP_UID

DOCKER = os.environ.get("DOCKER_HOST") or Settings.docker_host


def gateway_of(network: dict[str, Any]) -> str:
    """The host's address on a network as the engine describes it: of a bridge just made it names the range alone."""
    config = network["IPAM"]["Config"][0]
    return config.get("Gateway") or str(next(ipaddress.ip_network(config["Subnet"]).hosts()))


@dataclass
class Scene:
    """A runtime at work, with what it said."""

    settings: Settings
    runtime: BuildRuntime
    registry: RegistryClient
    lines: list[str] = field(default_factory=list)
    phases: dict[str, float] = field(default_factory=dict)  # of the last build

    async def build(
        self, app: str, files: dict[str, str], way: Way = Way.BUILDPACK, cnb_builder: str = "", **config: str
    ) -> Result:
        progress = Progress(lambda data: self.lines.append(data.decode()))
        progress.hide(config)
        async with self.runtime.place() as place:
            for name, text in files.items():
                path = place.space.app / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                path.chmod(0o755 if text.startswith("#!") else 0o644)
                for made in (path, *path.parents):
                    if made.is_relative_to(place.space.app):
                        os.chown(made, APP_UID, APP_UID)
            job = Job(app, "c0ffee00", "request", 1_700_000_000, way, config, cnb_builder)
            try:
                return await self.runtime.build(place, job, progress)
            finally:
                self.phases = progress.phases

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def left(self) -> list[str]:
        """Folders, containers and cluster objects of builds that are still there."""
        found = [path.name for path in (self.settings.data / "work").iterdir()]
        found += docker("ps", "-aq", "--filter", f"label=paas.io/instance={self.settings.instance}")
        if self.settings.cluster is None:
            return found
        mark = f"paas.io/instance={self.settings.instance},paas.io/build"
        words = ["get", "jobs,pods,secrets", "-n", self.settings.cluster.namespace, "-l", mark, "-o", "json"]
        done = subprocess.run(
            ["kubectl", f"--kubeconfig={self.settings.cluster.kubeconfig}", *words], capture_output=True, text=True
        )
        items = json.loads(done.stdout)["items"]
        containers = docker(
            "ps", "-aq", "--filter", f"label=io.kubernetes.pod.namespace={self.settings.cluster.namespace}"
        )
        return [*found, *containers, *(f"{item['kind']} {item['metadata']['name']}" for item in items)]


def docker(*words: str) -> list[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.split()


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Scene]:
    for name in ("work", "cache", "buildpacks", "host"):
        (settings.data / name).mkdir(parents=True, exist_ok=True)
    host = host_config.collect(settings.host, HOST_FILES, settings.data / "host", here=settings.cluster is None)
    host_config.write(host, settings.data / "host")
    async with Engine(settings.docker_host) as engine, RegistryClient(settings.registry) as registry:
        runtime: BuildRuntime = (
            JobBuilds(registry, host, settings.cluster, settings)
            if settings.cluster
            else EngineBuilds(engine, registry, host, settings)
        )
        try:
            yield Scene(settings, runtime, registry)
        finally:
            await runtime.close()


async def layers_of(registry: RegistryClient, app: str, result: Result, base: int) -> tuple[bytes, list[bytes]]:
    """The image's config, and the blobs of its layers above the first `base`."""
    manifest = await registry.manifest(app, result.digest)
    assert manifest is not None
    config = await registry.blob(app, manifest.content["config"]["digest"])
    return config, [await registry.blob(app, layer["digest"]) for layer in manifest.content["layers"][base:]]


def folder_of(tmp_path: Path) -> Path:
    """BUILDER_DATA that builds' containers can look into."""
    tmp_path.chmod(0o755)
    return tmp_path / "data"
