"""Cloud Native Buildpacks: the lifecycle of a builder image makes the app's image.

`/cnb/lifecycle/creator` runs as the builder image's own user in a capped container on the build network, and leaves
the image as an OCI layout on disk: no registry, no credentials, no engine within its reach. We send what it left.
Source: buildpacks/spec platform.md (Platform API 0.12 and later), buildpacks/rfcs 0119.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder import procfile, snapshot
from builder.buildpack import stream_lines
from builder.cnb_layout import Layout, layout_place, write_sparse
from builder.dockerfile import explain_pull, exposed_ports
from builder.engine import Engine
from builder.errors import BuildFailed, EngineError
from builder.host_config import HostConfig
from builder.pool import BuildContainer, Pool
from builder.progress import Progress, human
from builder.registry_api import RegistryClient, digest_of
from builder.runtime import Job
from builder.settings import Settings
from builder.stack_image import StackImage

PULL_TIMEOUT = 900.0  # seconds; builder images are large
NEWEST_API = (0, 13)  # of those we speak
OLDEST_API = (0, 12)  # the first that leaves a layout
METADATA = "io.buildpacks.builder.metadata"
APIS = "io.buildpacks.lifecycle.apis"
PROCESSES = "io.buildpacks.build.metadata"


@dataclass(frozen=True)
class BuilderImage:
    """What a builder image says of itself."""

    name: str
    run_image: str
    uid: int
    gid: int
    api: str


@dataclass(frozen=True)
class CnbBuilt:
    digest: str
    processes: dict[str, str]
    ports: tuple[int, ...]


def read_builder(name: str, inspected: Mapping[str, Any]) -> BuilderImage:
    """Raises: BuildFailed when the image isn't a builder, or its lifecycle is too old."""
    config = inspected.get("Config") or {}
    labels = config.get("Labels") or {}
    env = dict(item.partition("=")[::2] for item in config.get("Env") or [])
    try:
        metadata = json.loads(labels[METADATA])
        images = metadata.get("images") or [metadata["stack"]["runImage"]]
        run_image = str(images[0]["image"])
        uid, gid = int(env["CNB_USER_ID"]), int(env["CNB_GROUP_ID"])
        if uid <= 0 or gid < 0:
            raise ValueError("root")
        offered = json.loads(labels.get(APIS) or "{}").get("platform") or metadata["lifecycle"]["apis"]["platform"]
        versions = [tuple(map(int, text.split("."))) for text in offered["supported"]]
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as exc:
        raise BuildFailed(
            f"{name} (CNB_BUILDER) is not a builder image: it lacks {METADATA}, its platform APIs or CNB_USER_ID."
        ) from exc
    usable = [version for version in versions if OLDEST_API <= version <= NEWEST_API]
    if not usable:
        raise BuildFailed(
            f"The lifecycle in {name} is too old: it speaks platform API {', '.join(offered['supported'])}, and 0.12 "
            "is needed (lifecycle 0.17 or later). Name a newer builder: paas config:set CNB_BUILDER=…"
        )
    return BuilderImage(name, run_image, uid, gid, ".".join(map(str, max(usable))))


def creator_command(image: str, builder: BuilderImage) -> list[str]:
    return [
        "/cnb/lifecycle/creator",
        "-app=/workspace",
        "-layers=/layers",
        "-platform=/platform",
        "-cache-dir=/cache",
        "-layout",
        "-layout-dir=/layout",
        f"-run-image={builder.run_image}",
        f"-uid={builder.uid}",
        f"-gid={builder.gid}",
        "-log-level=info",
        image,
    ]


def read_processes(config: Mapping[str, Any]) -> dict[str, str]:
    """{type: command} of what the image's metadata declares; the launcher knows each by its name."""
    labels = (config.get("config") or {}).get("Labels") or {}
    try:
        declared = [str(item["type"]) for item in json.loads(labels[PROCESSES])["processes"]]
    except (KeyError, TypeError, ValueError) as exc:
        raise BuildFailed("The image that the lifecycle made declares no processes.") from exc
    if not declared:
        raise BuildFailed("The buildpacks declared no process. Add a Procfile with a line like: web: COMMAND")
    return procfile.check({name: f"/cnb/process/{name}" for name in declared}, "builder's launch metadata")


class CnbBuilds:
    def __init__(
        self,
        engine: Engine,
        registry: RegistryClient,
        stack: StackImage,
        pool: Pool,
        host: HostConfig,
        settings: Settings,
    ) -> None:
        self._engine, self._registry, self._stack = engine, registry, stack
        self._pool, self._host, self._settings = pool, host, settings

    async def build(self, container: BuildContainer, job: Job, tag: str, image: str, progress: Progress) -> CnbBuilt:
        """Build the tree in `container.space.app` with builder `image`. Raises: BuildFailed, RegistryError."""
        progress.step(f"Building with Cloud Native Buildpacks ({image})")
        builder = read_builder(image, await self._fetched(image, "CNB_BUILDER", progress))
        await self._fetched(builder.run_image, f"the run image of {image}", progress)
        base = await self._stack.base(await self._local_name(builder.run_image))
        root = await asyncio.to_thread(self._prepare, container, job, builder)
        try:
            config = json.dumps(base.config, separators=(",", ":")).encode()
            place = root / "layout" / layout_place(builder.run_image)
            await asyncio.to_thread(write_sparse, place, base.manifest, config)
            await asyncio.to_thread(own, root, builder.uid, builder.gid)
            with progress.phase("build"):
                await self._create(container, builder, f"{job.app}:{tag}", root, progress)
            with progress.phase("upload"):
                layout = Layout(root / "layout" / layout_place(f"{job.app}:{tag}"))
                known = {item["digest"] for item in base.manifest["layers"]}
                built = await self._send(job.app, tag, layout, base.repository, known, progress)
        finally:
            await asyncio.to_thread(keep_cache, root, self._cache(job.app))
        return built

    def _cache(self, app: str) -> Path:
        return self._settings.data / "cnb" / app

    async def _local_name(self, image: str) -> str:
        """A name for `image` that our registry can have."""
        name = "cnb/run-" + hashlib.sha256(image.encode()).hexdigest()[:16]
        await self._engine.tag(image, name, "latest")
        return f"{name}:latest"

    async def _fetched(self, image: str, what: str, progress: Progress) -> Mapping[str, Any]:
        """What the engine knows of `image`, fetched if need be."""
        known = await self._engine.image(image)
        if known is None:
            progress.step(f"Fetching {image}")
            try:
                async with asyncio.timeout(PULL_TIMEOUT):
                    await self._engine.pull(image if ":" in image.rpartition("/")[2] else image + ":latest")
                known = await self._engine.image(image)
            except TimeoutError as exc:
                raise BuildFailed(f"{image} ({what}) was not there after {PULL_TIMEOUT:.0f} s.") from exc
            except EngineError as exc:
                told = explain_pull(image, str(exc), self._settings.stack_image)
                raise BuildFailed(told.replace("The base image", "The image").replace("(FROM)", f"({what})")) from exc
        if known is None:
            raise BuildFailed(f"{image} ({what}) is not on this engine, though it was fetched.")
        return known

    def _prepare(self, container: BuildContainer, job: Job, builder: BuilderImage) -> Path:
        """The lifecycle's folders beside the tree; the app's cache is moved in."""
        root = container.space.root / "cnb"
        root.mkdir(mode=0o755)
        cache = self._cache(job.app)
        if job.config.get("DEIS_DISABLE_CACHE"):
            shutil.rmtree(cache, ignore_errors=True)
        if cache.exists():
            os.rename(cache, root / "cache")
        for name in ("cache", "layers", "layout", "platform"):
            (root / name).mkdir(exist_ok=True)
        snapshot.write_environment(root / "platform" / "env", job.config, builder.uid)
        own(container.space.app, builder.uid, builder.gid)
        return root

    async def _create(
        self, container: BuildContainer, builder: BuilderImage, image: str, root: Path, progress: Progress
    ) -> None:
        """Run the creator to its end. Raises: BuildFailed with its last words."""
        limits = self._settings.limits
        binds = [
            f"{container.space.app}:/workspace",
            *(f"{root / name}:/{name}" for name in ("cache", "layers", "layout")),
        ]
        binds += [
            f"{root / 'platform'}:/platform:ro",
            *(f"{source}:{target}:ro" for source, target in self._host.binds),
        ]
        env = {
            **self._host.env,
            "CNB_PLATFORM_API": builder.api,
            "CNB_EXPERIMENTAL_MODE": "warn",
            "CNB_NO_COLOR": "true",
        }
        await self._pool.exchange(
            container,
            builder.name,
            {
                "Entrypoint": [],
                "Cmd": creator_command(image, builder),
                "User": f"{builder.uid}:{builder.gid}",
                "Env": [f"{key}={value}" for key, value in env.items()],
                "WorkingDir": "/",
            },
            binds,
        )
        try:
            async with asyncio.timeout(limits.timeout):
                await stream_lines(container, progress.raw, progress)
                code = await self._engine.wait(container.id)
        except TimeoutError as exc:
            raise BuildFailed(f"The build was stopped: not done after {limits.timeout:.0f} s (BUILD_TIMEOUT).") from exc
        if code:
            state = (await self._engine.inspect(container.id))["State"]
            if state.get("OOMKilled"):
                raise BuildFailed(f"The build was killed: out of memory at {human(limits.memory)} (BUILD_MEMORY).")
            raise BuildFailed(EXIT_CODES.get(code, f"The lifecycle failed with exit code {code}; see the lines above."))

    async def _send(
        self, app: str, tag: str, layout: Layout, run_repository: str, run_layers: set[str], progress: Progress
    ) -> CnbBuilt:
        """Put what the layout holds into the registry; only the run image's own layers may come from there."""
        manifest = layout.manifest()
        config, text = layout.config(manifest)
        progress.step("Sending the image to the registry")
        for layer in manifest["layers"]:
            content = layout.blob(layer["digest"])
            if content is not None:
                with content:
                    await self._registry.upload(app, layer["digest"], content, os.fstat(content.fileno()).st_size)
            elif layer["digest"] in run_layers:
                await self._registry.mount(app, layer["digest"], run_repository)
            else:
                raise BuildFailed("The lifecycle left out a layer that isn't the run image's.")
        await self._registry.upload(app, digest_of(text), text, len(text))
        digest = await self._registry.put_manifest(app, tag, manifest)
        return CnbBuilt(digest, read_processes(config), exposed_ports(config.get("config") or {}))


# Source: buildpacks/spec platform.md, creator's outputs.
EXIT_CODES = {
    11: "The builder image's lifecycle doesn't speak our platform API.",
    12: "A buildpack in the builder image speaks an API that its lifecycle doesn't.",
    20: "No buildpack of the builder image knows this app, or one failed while it looked; see the lines above.",
    21: "No buildpack of the builder image knows this app.",
    51: "A buildpack failed; see the lines above.",
}


def own(root: Path, uid: int, gid: int) -> None:
    """Everything below `root` belongs to the builder image's user; links are not followed."""
    os.chown(root, uid, gid)
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            os.chown(Path(folder, name), uid, gid, follow_symlinks=False)


def keep_cache(root: Path, cache: Path) -> None:
    """The lifecycle's cache stays for the next build."""
    if (root / "cache").is_dir() and not (root / "cache").is_symlink() and not cache.exists():
        cache.parent.mkdir(parents=True, exist_ok=True)
        os.rename(root / "cache", cache)
