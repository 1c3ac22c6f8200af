"""A Dockerfile build: by the engine's classic builder, which keeps to memory and CPU caps, or by its BuildKit when the
Dockerfile asks for what only that can do."""

from __future__ import annotations

import asyncio
import re
import tarfile
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from builder import buildkit, dockerignore, heroku_yml, host_config, layers, procfile, snapshot, step_fence
from builder.disk import USAGE_LOOK, too_much
from builder.dockerfile_text import (
    CA_FILE,
    CA_PLACE,
    base_images,
    needs_buildkit,
    with_build_args,
    with_ca_mounts,
    with_host_ca,
    with_own_caches,
    without_syntax_line,
)
from builder.engine import Engine
from builder.errors import BuildFailed, EngineError, RegistryError
from builder.host_config import HostConfig
from builder.pool import CPU_SHARES, network_name
from builder.progress import Progress, human
from builder.registry_api import RegistryClient
from builder.settings import BuildLimits, Settings
from builder.strip import strip_image
from builder.watching import watched

DOCKERFILE_MAX = 1 << 20
PULL_TIMEOUT = 300.0  # seconds for a base image
CHUNK = 1 << 18
CPU_PERIOD = 100_000
HEROKU_PORT = 5000  # images of a heroku.yml listen on $PORT and expose nothing
CACHE_TAG = "last-build"  # local name of an app's newest image
RUNNING = re.compile(r"---> Running in ([0-9a-f]{12,64})")
UNREACHABLE = (
    "no such host",
    "i/o timeout",
    "connection refused",
    "deadline exceeded",
    "connection reset",
    "tls",
    "x509",
)


@dataclass(frozen=True)
class DockerBuilt:
    digest: str
    processes: dict[str, str]
    ports: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What is built, before anything of it is."""

    context: Path
    text: str
    target: str
    args: dict[str, str]
    processes: dict[str, str]
    ports: tuple[int, ...] = ()  # where it listens if the image doesn't say


def plan_build(tree: Path, config: Mapping[str, str]) -> Plan:
    """heroku.yml decides, else DOCKERFILE_PATH and DOCKERFILE_TARGET; a Procfile's types win over run's.

    Raises: BuildFailed when there is no such Dockerfile.
    """
    described = heroku_yml.load(tree) if not config.get("DOCKERFILE_PATH") else None
    name = described.dockerfile if described else config.get("DOCKERFILE_PATH") or "Dockerfile"
    path = inside(tree, name)
    try:
        text = snapshot.read_inside(path.parent, path.name, DOCKERFILE_MAX).decode(errors="replace")
    except FileNotFoundError as exc:
        source = "heroku.yml" if described else "DOCKERFILE_PATH"
        raise BuildFailed(f"{source} names {name[:100]}, and there is no such file in the app's folder.") from exc
    args = dict(described.args) if described else {}
    if config.get("DEIS_DOCKER_BUILD_ARGS_ENABLED"):
        args |= config
        text = with_build_args(text, config)
    return Plan(
        path.parent if described else tree,
        text,
        (described.target if described else "") or config.get("DOCKERFILE_TARGET", ""),
        args,
        {**(described.processes if described else {}), **read_processes(tree)},
        (HEROKU_PORT,) if described else (),
    )


def inside(tree: Path, name: str) -> Path:
    """A path of the tree, links resolved. Raises: BuildFailed when it leads out of it."""
    path = (tree / name).resolve()
    if not path.is_relative_to(tree.resolve()) or path == tree.resolve():
        raise BuildFailed(f"{name[:100]!r} is not a path in the app's folder.")
    return path


def exposed_ports(config: Mapping[str, Any]) -> tuple[int, ...]:
    """TCP ports an image EXPOSEs, ascending."""
    ports = (key.partition("/") for key in config.get("ExposedPorts") or {})
    return tuple(sorted(int(number) for number, _, kind in ports if number.isdigit() and kind in ("", "tcp")))


def explain(error: str, last_step: str, memory: int) -> str:
    """The engine's error as one sentence."""
    found = re.search(r"(?:returned a non-zero code|exit code): (\d+)", error)
    if missing := re.search(r"secret (\S+?):? not found", error):
        name = missing[1]
        return (
            f"The Dockerfile asks for a secret {name}, and there is no such config variable: paas config:set {name}=…"
        )
    if found and found[1] == "137":
        return f"The build was killed: out of memory at {human(memory)} (BUILD_MEMORY), in: {last_step}"
    if found:
        return f"The build step failed with exit code {found[1]}: {last_step}"
    if "failed to reach build target" in error or "target stage" in error:
        return f"The Dockerfile has no stage of that name: {' '.join(error.split())[:200]}"
    if "dockerfile parse error" in error.lower() or "unknown instruction" in error.lower():
        return f"The Dockerfile can't be read: {error.splitlines()[-1]}"
    return f"The Dockerfile build failed: {' '.join(error.split())[:300]}"


def write_context(tree: Path, text: str, ca: bytes, target: IO[bytes]) -> None:
    """The build context as a tar in `target`: the tree without ignored files, our reading of the Dockerfile (in
    place of one in the root), and the host's CA bundle unless that is empty."""
    ignored = dockerignore.load(tree)
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, info in layers.walk(tree):
            if name in ("Dockerfile", ".dockerignore") or ignored(name):
                continue
            layers.add_entry(archive, tree, name, name, info, layers.STABLE_TIME, owner=0)
        layers.add_bytes(archive, "Dockerfile", text.encode())
        if ca:
            layers.add_bytes(archive, CA_FILE, ca)
    target.seek(0)


class StepCaps:
    """Caps that the classic builder knows nothing of: a step's processes, and what it writes."""

    def __init__(self, engine: Engine, limits: BuildLimits) -> None:
        self._engine, self._limits, self._step = engine, limits, ""

    async def read(self, line: str) -> None:
        """A line of the builder's: it tells in which container the next step runs."""
        if found := RUNNING.fullmatch(line.strip()):
            self._step = found[1]
            with suppress(EngineError):  # a step that ended meanwhile
                await self._engine.cap_processes(self._step, self._limits.pids)

    async def run(self) -> None:
        """For ever. Raises: BuildFailed when a step has written more than the build may."""
        while True:
            await asyncio.sleep(USAGE_LOOK)
            if self._step:
                with suppress(EngineError):  # a step that ended meanwhile
                    if await self._engine.written(self._step) > self._limits.disk_bytes:
                        raise BuildFailed(too_much(self._limits.disk_bytes))


class DockerfileBuilds:
    def __init__(self, engine: Engine, registry: RegistryClient, host: HostConfig, settings: Settings) -> None:
        self._engine, self._registry, self._host, self._settings = engine, registry, host, settings
        self._fence = step_fence.StepFence(engine, settings, host)
        self._ca = host_config.own_authority(settings.host)

    async def build(self, app: str, tag: str, tree: Path, config: Mapping[str, str], progress: Progress) -> DockerBuilt:
        """Build and push. Raises: BuildFailed with the cause in one line."""
        plan = plan_build(tree, config)
        progress.step("Dockerfile app detected")
        await self._bases(plan, progress)
        repository = f"{self._settings.registry.host}/{app}"
        with progress.phase("build"):
            if needs_buildkit(plan.text):
                plan = replace(plan, text=with_own_caches(plan.text, app))
                await self._buildkit(f"{repository}:{tag}", plan, config, progress)
            else:
                await self._classic(f"{repository}:{tag}", plan, progress)
        try:
            settings = await self._image_settings(f"{repository}:{tag}", plan.processes)
            with progress.phase("upload"):
                progress.step("Sending the image to the registry")
                digest = await self._engine.push(repository, tag, self._auth())
                digest = await strip_image(self._registry, app, tag, digest, CA_PLACE)
        except (EngineError, RegistryError) as exc:
            raise BuildFailed(f"The image could not be sent to the registry: {exc}") from exc
        finally:
            await self._keep_as_cache(repository, tag)
        return DockerBuilt(digest, plan.processes, exposed_ports(settings) or plan.ports)

    async def _keep_as_cache(self, repository: str, tag: str) -> None:
        """The image stays as the next build's cache, in place of the one before."""
        before = await self._engine.image(f"{repository}:{CACHE_TAG}")
        now = await self._engine.image(f"{repository}:{tag}")
        if now is None:
            return
        await self._engine.tag(f"{repository}:{tag}", repository, CACHE_TAG)
        await self._engine.untag(f"{repository}:{tag}")
        if before and before["Id"] != now["Id"]:
            await self._engine.untag(before["Id"])

    async def _image_settings(self, name: str, processes: Mapping[str, str]) -> Mapping[str, Any]:
        """The image's own defaults. Raises: BuildFailed when nothing says what to start."""
        settings = ((await self._engine.image(name)) or {}).get("Config") or {}
        if not settings.get("Cmd") and not settings.get("Entrypoint") and not processes:
            raise BuildFailed(
                "The Dockerfile has no CMD and no ENTRYPOINT, and there is no Procfile: nothing would start."
            )
        return settings

    def _auth(self) -> dict[str, str]:
        registry = self._settings.registry
        return {"username": registry.username, "password": registry.password, "serveraddress": registry.host}

    async def _bases(self, plan: Plan, progress: Progress) -> None:
        """Every base image is here, fetched if need be."""
        for image in base_images(plan.text, plan.args):
            if await self._engine.image(image):
                continue
            progress.step(f"Fetching {image}")
            try:
                async with asyncio.timeout(PULL_TIMEOUT):
                    await self._engine.pull(
                        image if ":" in image.rpartition("/")[2] or "@" in image else image + ":latest"
                    )
            except TimeoutError as exc:
                raise BuildFailed(f"The base image {image} (FROM) was not there after {PULL_TIMEOUT:.0f} s.") from exc
            except EngineError as exc:
                raise BuildFailed(explain_pull(image, str(exc), self._settings.stack_image)) from exc

    def _parameters(self, name: str, plan: Plan) -> dict[str, Any]:
        """What the engine's build call is told, whichever builder it goes to."""
        return {
            "t": name,
            "networkmode": network_name(self._settings.instance),
            "buildargs": {**host_config.proxies(self._settings.host), **plan.args},
            "labels": {"paas.io/instance": self._settings.instance},  # each one is a step of its own
            "rm": 1,
            "forcerm": 1,
            **({"target": plan.target} if plan.target else {}),
        }

    async def _classic(self, name: str, plan: Plan, progress: Progress) -> None:
        limits = self._settings.limits
        params: dict[str, Any] = {
            **self._parameters(name, plan),
            "memory": limits.memory,
            "memswap": limits.memory,
            "cpushares": CPU_SHARES,
            "cpuperiod": CPU_PERIOD,
            "cpuquota": int(limits.cpus * CPU_PERIOD),
            "version": 1,
        }
        text = without_syntax_line(plan.text)
        if self._ca:
            text = with_host_ca(text)
        log = StepLog()
        with tempfile.TemporaryFile(dir=self._settings.data / "work") as context:
            await asyncio.to_thread(write_context, plan.context, text, self._ca, context)
            headers = {"Content-Type": "application/x-tar"}
            try:
                caps = StepCaps(self._engine, limits)
                async with asyncio.timeout(limits.timeout), watched(caps.run()):
                    stream = self._engine.progress(
                        "POST", "/build", params=params, data=chunks(context), headers=headers
                    )
                    async for item in stream:
                        for line in str(item.get("stream") or "").splitlines():
                            await caps.read(line)
                            if log.shows(line):
                                progress.detail(line)
                        await progress.drained()
            except TimeoutError as exc:
                raise BuildFailed(too_slow(limits.timeout, log.last_step)) from exc
            except EngineError as exc:
                raise BuildFailed(explain(str(exc), log.last_step, limits.memory)) from exc

    async def _buildkit(self, name: str, plan: Plan, config: Mapping[str, str], progress: Progress) -> None:
        """Config variables are secrets by their names; so are the host's pip.conf and npmrc."""
        limits, trace = self._settings.limits, buildkit.Trace()
        values = {key: value.encode() for key, value in {**self._host.files, **config}.items()}
        text = without_syntax_line(plan.text)
        if self._ca:
            text, values[CA_FILE] = with_ca_mounts(text), self._ca
        with tempfile.TemporaryFile(dir=self._settings.data / "work") as context:
            await asyncio.to_thread(write_context, plan.context, text, b"", context)
            params, mark = self._parameters(name, plan), step_fence.new_mark()
            try:
                caps = buildkit.Caps(mark, limits)
                async with asyncio.timeout(limits.timeout), self._fence.around(mark), watched(caps.run()):
                    async with aclosing(
                        buildkit.build(self._engine, params, chunks(context), values, trace, mark)
                    ) as lines:
                        async for line in lines:
                            progress.detail(line)
                            await progress.drained()
            except TimeoutError as exc:
                raise BuildFailed(too_slow(limits.timeout, trace.last_step)) from exc
            except EngineError as exc:
                raise BuildFailed(explain(str(exc), trace.last_step, limits.memory)) from exc


@dataclass
class StepLog:
    """The classic builder's output: at which step it is, and what of it people see."""

    last_step: str = "its first step"
    ours: bool = False  # in a step that we added

    def shows(self, line: str) -> bool:
        """Take in the next line; whether people see it."""
        if line.startswith("Step "):
            step = line.partition(" : ")[2]
            self.ours = CA_PLACE in step
            self.last_step = self.last_step if self.ours else step
        return bool(line.strip()) and not self.ours


def too_slow(seconds: float, step: str) -> str:
    return f"The build was stopped: not done after {seconds:.0f} s (BUILD_TIMEOUT), in: {step}"


def explain_pull(image: str, error: str, stack: str) -> str:
    if any(word in error.lower() for word in UNREACHABLE):
        return (
            f"The base image {image} (FROM) can't be fetched: its registry isn't reachable from this host. "
            f"`FROM {stack}` is always here."
        )
    return f"The base image {image} (FROM) can't be fetched: {' '.join(error.split())[:200]}"


def read_processes(tree: Path) -> dict[str, str]:
    try:
        text = snapshot.read_inside(tree, "Procfile", procfile.MAX_BYTES + 1).decode(errors="replace")
    except FileNotFoundError:
        return {}
    return procfile.parse_procfile(text)


async def chunks(file: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, CHUNK):
        yield chunk
