"""`python -m builder stack`: the run image and, on top of it, the build image; safe to run again.

bare system (debootstrap, kept as a tarball) → `docker import` → packages in a container → `docker commit`.
The host's CA bundle, proxies and apt settings are mounted into those containers and stay out of the layers.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder import host_config
from builder.engine import Engine, frames
from builder.errors import BuilderError
from builder.stack import bootstrap

FILES = Path(__file__).resolve().parent / "files"
SPEC_LABEL = "paas.io/stack-spec"
STEP_TIMEOUT = 1200  # seconds for one installation step; 30–60 on a fast mirror
APT_KEYS = ("Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::ForceIPv")
RUN_CHANGES = (
    "USER app",
    "WORKDIR /app",
    "ENV HOME=/app LANG=C.UTF-8 STACK=trixie "
    "PATH=/app/.heroku/python/bin:/app/bin:/app/node_modules/.bin:/usr/local/bin:/usr/bin:/bin",
)

Say = Callable[[str], None]


class StackFailed(BuilderError):
    """The stack image could not be made."""


@dataclass(frozen=True)
class Stack:
    image: str
    build_image: str
    data: Path
    instance: str
    host: Mapping[str, str]  # the host's environment: proxies and the CA bundle's place
    network: str = "host"  # installation needs only the host's own way out


def spec(names: tuple[str, ...]) -> str:
    """A hash of what goes into an image: it is rebuilt when this changes."""
    digest = hashlib.sha256()
    for name in (*names, "dpkg-excludes"):
        digest.update(name.encode() + b"\0" + (FILES / name).read_bytes() + b"\0")
    digest.update("\n".join((*RUN_CHANGES, bootstrap.SUITE)).encode())
    return digest.hexdigest()[:16]


def run_spec() -> str:
    return spec(("install-base", "packages-run", "npm-version", "init", "ready"))


def build_spec() -> str:
    return f"{run_spec()}-{spec(('install-build', 'packages-build'))}"


def render_apt(dump: str) -> str:
    """apt.conf for the container from the host's `apt-config dump`: proxies, retries, and the mounted CA bundle."""
    lines = [line for line in dump.splitlines() if line.startswith(APT_KEYS) and "CaInfo" not in line]
    return "\n".join([*lines, 'Acquire::https::CaInfo "/mnt/ca.crt";', 'Acquire::Retries "3";', ""])


def apt_settings() -> str:
    try:
        done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return render_apt("")
    return render_apt(done.stdout)


async def build_stack(engine: Engine, stack: Stack, say: Say) -> None:
    """Both images exist afterwards and match this code."""
    if not await current(engine, stack.image, run_spec()):
        base = await import_base(engine, stack, say)
        say(f"-----> Installing what apps run on into {stack.image}")
        await install(engine, stack, base, "install-base", stack.image, run_spec(), say)
        await engine.untag(base)
    if not await current(engine, stack.build_image, build_spec()):
        say(f"-----> Installing what builds need into {stack.build_image}")
        await install(engine, stack, stack.image, "install-build", stack.build_image, build_spec(), say)
    say(f"-----> {stack.image} is ready")


async def current(engine: Engine, image: str, wanted: str) -> bool:
    known = await engine.image(image)
    return known is not None and (known["Config"].get("Labels") or {}).get(SPEC_LABEL) == wanted


async def import_base(engine: Engine, stack: Stack, say: Say) -> str:
    """The bare system as an image; its name."""
    tarball = stack.data / f"{bootstrap.SUITE}-minbase.tar"
    stack.data.mkdir(parents=True, exist_ok=True)
    if not tarball.exists():
        say(f"-----> Fetching Debian {bootstrap.SUITE} (debootstrap)")
        await asyncio.to_thread(bootstrap.bootstrap, tarball, bootstrap.host_mirrors())
    repository, tag = f"{stack.image.rpartition(':')[0]}-base", bootstrap.SUITE
    say("-----> Importing the bare system")
    with tarball.open("rb") as archive:
        params = {"fromSrc": "-", "repo": repository, "tag": tag}
        async for _ in engine.progress("POST", "/images/create", params=params, data=archive):
            continue
    return f"{repository}:{tag}"


async def prepare(engine: Engine, base: str, folder: Path, host: Mapping[str, str]) -> None:
    """Fill `folder` with what the installation script reads at /mnt."""
    os.chmod(folder, 0o755)
    for path in FILES.iterdir():
        if path.is_file():
            shutil.copy(path, folder / path.name)
    bundle = host_config.ca_bundle(host)
    if bundle:
        shutil.copy(bundle, folder / "ca.crt")
    else:
        (folder / "ca.crt").touch()
    (folder / "apt.conf").write_text(apt_settings())
    default = bootstrap.default_mirror(await read_file(engine, base, "/etc/apt/sources.list"))
    sources, plain = bootstrap.render_sources(bootstrap.host_mirrors(), default)
    (folder / "sources.list").write_text(sources)
    (folder / "sources-main.list").write_text(plain)


async def read_file(engine: Engine, image: str, path: str) -> str:
    """The text of a file inside an image."""
    import io
    import tarfile

    container = await engine.create("", {"Image": image, "Cmd": ["true"]})
    try:
        response = await engine.open("GET", f"/containers/{container}/archive", params={"path": path})
        content = await response.read()
    finally:
        await engine.remove(container)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        first = archive.next()
        member = archive.extractfile(first) if first else None
        return member.read().decode() if member else ""


async def install(
    engine: Engine, stack: Stack, base: str, script: str, image: str, wanted: str, say: Say, words: Sequence[str] = ()
) -> None:
    """Run `script` with `words` in a container of `base` and commit the outcome as `image`, labelled `wanted`."""
    with tempfile.TemporaryDirectory(prefix="paas-stack-", dir=stack.data) as name:
        folder = Path(name)
        await prepare(engine, base, folder, stack.host)
        container = await engine.create("", container_spec(stack, base, [script, *words], folder))
        try:
            await run(engine, container, script, say)
            repository, _, tag = image.rpartition(":")
            params = {"container": container, "repo": repository, "tag": tag}
            changes = [*RUN_CHANGES, f"LABEL {SPEC_LABEL}={wanted}", 'CMD ["/bin/bash"]']
            query: Mapping[str, str] = {**params, "changes": "\n".join(changes), "comment": script}
            before = await engine.image(image)
            await engine.call("POST", "/commit", params=query, body={"Labels": {}}, timeout=300)
            if before:
                await engine.untag(before["Id"])  # the one it replaces; kept by the engine while something uses it
        finally:
            await engine.remove(container)


def container_spec(stack: Stack, base: str, command: list[str], folder: Path) -> dict[str, object]:
    environment = {**host_config.proxies(stack.host), **registry_hint(stack.host, folder)}
    return {
        "Image": base,
        "User": "root",
        "WorkingDir": "/",
        "Cmd": ["/bin/bash", f"/mnt/{command[0]}", *command[1:]],
        "Env": [f"{key}={value}" for key, value in environment.items()],
        "Labels": {"paas.io/instance": stack.instance, "paas.io/component": "stack"},
        "HostConfig": {"Binds": [f"{folder}:/mnt:ro"], "NetworkMode": stack.network},
    }


def registry_hint(host: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Where corepack finds npm, if the host's npm settings name a registry of their own."""
    config = host_config.collect(host, "/mnt", folder)
    for line in config.files["npmrc"].splitlines():
        if line.startswith("registry="):
            return {"COREPACK_NPM_REGISTRY": line.partition("=")[2].rstrip("/")}
    return {}


async def run(engine: Engine, container: str, script: str, say: Say) -> None:
    """Start the container and wait for it, telling its output. Raises: StackFailed with the last line."""
    stream = await engine.attach(container)
    await engine.start(container)
    last = ""
    try:
        async with asyncio.timeout(STEP_TIMEOUT):
            pending = b""
            async for _, chunk in frames(stream):
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    last = line.decode(errors="replace").strip() or last
                    say(f"       {last}")
            code = await engine.wait(container)
    except TimeoutError as exc:
        raise StackFailed(f"{script} did not finish in {STEP_TIMEOUT} s; its last line: {last}") from exc
    if code:
        raise StackFailed(f"{script} failed with exit code {code}; its last line: {last}")
