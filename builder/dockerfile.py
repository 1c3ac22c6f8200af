"""A Dockerfile build through the engine's classic builder, which keeps to memory and CPU caps."""

from __future__ import annotations

import asyncio
import re
import tarfile
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from builder import dockerignore, layers, procfile, snapshot
from builder.engine import Engine
from builder.errors import BuildFailed, EngineError
from builder.pool import network_name
from builder.progress import Progress, human
from builder.settings import Settings

DOCKERFILE_MAX = 1 << 20
PULL_TIMEOUT = 300.0  # seconds for a base image
CHUNK = 1 << 18
CPU_PERIOD = 100_000
CACHE_TAG = "last-build"  # local name of an app's newest image
FROM = re.compile(r"^\s*FROM\s+(?:--platform=\S+\s+)?(\S+)(?:\s+AS\s+(\S+))?\s*$", re.IGNORECASE | re.MULTILINE)
ARG = re.compile(r"^\s*ARG\s+(\w+)(?:=(\S*))?\s*$", re.IGNORECASE | re.MULTILINE)
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


def base_images(text: str) -> list[str]:
    """The images that FROM lines name, without earlier stages, `scratch` and what only a build argument tells."""
    defaults = {name: (value or "").strip("\"'") for name, value in ARG.findall(text[: text.upper().find("FROM")])}
    stages, found = set(), []
    for name, alias in FROM.findall(text):
        image = re.sub(r"\$\{?(\w+)(?::-([^}]*))?\}?", lambda m: defaults.get(m[1]) or m[2] or m[0], name)
        if image.lower() not in stages and image != "scratch" and "$" not in image and image not in found:
            found.append(image)
        if alias:
            stages.add(alias.lower())
    return found


def with_build_args(text: str, config: Mapping[str, str]) -> str:
    """The Dockerfile with an ARG line for each config value at its end, as Deis does it."""
    lines = [f"ARG {key}" for key in sorted(config) if re.fullmatch(r"[A-Za-z_]\w*", key)]
    return text.rstrip("\n") + "\n" + "\n".join(lines) + "\n"


def without_syntax_line(text: str) -> str:
    """`# syntax=` would have the engine ask a public registry for a build front end."""
    return re.sub(r"(?i)\A((?:[ \t]*#.*\n)*?)[ \t]*#[ \t]*syntax[ \t]*=.*\n", r"\1", text)


def exposed_ports(config: Mapping[str, Any]) -> tuple[int, ...]:
    """TCP ports an image EXPOSEs, ascending."""
    ports = (key.partition("/") for key in config.get("ExposedPorts") or {})
    return tuple(sorted(int(number) for number, _, kind in ports if number.isdigit() and kind in ("", "tcp")))


def explain(error: str, last_step: str, memory: int) -> str:
    """The engine's error as one sentence."""
    found = re.search(r"returned a non-zero code: (\d+)", error)
    if found and found[1] == "137":
        return f"The build was killed: out of memory at {human(memory)} (BUILD_MEMORY), in: {last_step}"
    if found:
        return f"The build step failed with exit code {found[1]}: {last_step}"
    if "dockerfile parse error" in error.lower() or "unknown instruction" in error.lower():
        return f"The Dockerfile can't be read: {error.splitlines()[-1]}"
    return f"The Dockerfile build failed: {' '.join(error.split())[:300]}"


def write_context(tree: Path, text: str, target: IO[bytes]) -> None:
    """The build context as a tar in `target`: the tree without ignored files, and our reading of the Dockerfile."""
    ignored = dockerignore.load(tree)
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, info in layers.walk(tree):
            if name in ("Dockerfile", ".dockerignore") or ignored(name):
                continue
            layers.add_entry(archive, tree, name, name, info, layers.STABLE_TIME, owner=0)
        layers.add_bytes(archive, "Dockerfile", text.encode())
    target.seek(0)


class DockerfileBuilds:
    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine, self._settings = engine, settings

    async def build(self, app: str, tag: str, tree: Path, config: Mapping[str, str], progress: Progress) -> DockerBuilt:
        """Build and push. Raises: BuildFailed with the cause in one line."""
        text = snapshot.read_inside(tree, "Dockerfile", DOCKERFILE_MAX).decode(errors="replace")
        processes = read_processes(tree)
        progress.step("Dockerfile app detected")
        await self._bases(text, progress)
        args: dict[str, str] = {}
        if config.get("DEIS_DOCKER_BUILD_ARGS_ENABLED"):
            args, text = dict(config), with_build_args(text, config)
        repository = f"{self._settings.registry.host}/{app}"
        with progress.phase("build"):
            await self._run(f"{repository}:{tag}", tree, without_syntax_line(text), args, progress)
        try:
            settings = await self._image_settings(f"{repository}:{tag}", processes)
            with progress.phase("upload"):
                progress.step("Sending the image to the registry")
                digest = await self._engine.push(repository, tag, self._auth())
        except EngineError as exc:
            raise BuildFailed(f"The image could not be sent to the registry: {exc}") from exc
        finally:
            await self._keep_as_cache(repository, tag)
        return DockerBuilt(digest, processes, exposed_ports(settings))

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

    async def _bases(self, text: str, progress: Progress) -> None:
        """Every base image is here, fetched if need be."""
        for image in base_images(text):
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

    async def _run(self, name: str, tree: Path, text: str, args: Mapping[str, str], progress: Progress) -> None:
        limits = self._settings.limits
        params: dict[str, Any] = {
            "t": name,
            "memory": limits.memory,
            "memswap": limits.memory,
            "cpuperiod": CPU_PERIOD,
            "cpuquota": int(limits.cpus * CPU_PERIOD),
            "networkmode": network_name(self._settings.instance),
            "buildargs": dict(args),
            "labels": {"paas.io/instance": self._settings.instance},  # each one is a step of its own
            "rm": 1,
            "forcerm": 1,
            "version": 1,
        }
        last_step = "its first step"
        with tempfile.TemporaryFile(dir=self._settings.data / "work") as context:
            await asyncio.to_thread(write_context, tree, text, context)
            headers = {"Content-Type": "application/x-tar"}
            try:
                async with asyncio.timeout(limits.timeout):
                    stream = self._engine.progress(
                        "POST", "/build", params=params, data=chunks(context), headers=headers
                    )
                    async for item in stream:
                        for line in str(item.get("stream") or "").splitlines():
                            last_step = line.partition(" : ")[2] or last_step if line.startswith("Step ") else last_step
                            if line.strip():
                                progress.detail(line)
                        await progress.drained()
            except TimeoutError as exc:
                raise BuildFailed(
                    f"The build was stopped: not done after {limits.timeout:.0f} s (BUILD_TIMEOUT), in: {last_step}"
                ) from exc
            except EngineError as exc:
                raise BuildFailed(explain(str(exc), last_step, limits.memory)) from exc


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
