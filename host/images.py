"""`make images REGISTRY=registry.example.com/paas`: the programs' images, built from what is committed, and pushed.

The build's context is the commit's tree (`git archive`), so nothing of the checkout that isn't committed gets in, and
images are tagged with the commit. Python packages are those of requirements.lock, held by hash. What the host needs to
reach package indexes (CA bundle, pip's and apt's settings) goes in as build secrets and stays out of every layer.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from host import say
from host.errors import HostError
from host.settings import CHECKOUT

IMAGES = ("paas", "paas-router", "paas-registry", "paas-store")  # targets of the Dockerfile
DOCKERFILE = "charts/images/Dockerfile"
BASE = "debian:trixie-slim"
BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
APT_KEYS = ("Acquire::http", "Acquire::https", "Acquire::ForceIPv")
BUILD_PATIENCE, PUSH_PATIENCE = 1800.0, 900.0  # seconds for one image


@dataclass(frozen=True)
class Wish:
    registry: str  # where images are named; empty: by name alone, for an engine that nodes share
    tag: str
    base: str
    network: str  # the engine's network that package indexes are reached through
    docker: str = "docker"  # the engine's command

    def name_of(self, image: str) -> str:
        return f"{self.registry.rstrip('/')}/{image}:{self.tag}" if self.registry else f"{image}:{self.tag}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m host.images", description=__doc__)
    parser.add_argument("--registry", default="", help="registry and path in front of the images' names")
    parser.add_argument("--tag", default="", help="default: the commit, 12 characters")
    parser.add_argument("--base", default=BASE, help="a Debian 12 or 13 image, such as the stack image")
    parser.add_argument("--network", default="host", help="the engine's network that packages are fetched through")
    parser.add_argument("--no-push", action="store_true", help="leave the images on this engine")
    parser.add_argument("--commit", default="HEAD", help="what is built")
    options = parser.parse_args(arguments)
    try:
        commit = run(["git", "rev-parse", "--short=12", f"{options.commit}^{{tree}}"]).strip()
        wish = Wish(options.registry, options.tag or commit, options.base, options.network, find_docker())
        build_all(wish, options.commit)
        if options.registry and not options.no_push:
            for image in IMAGES:
                say.step(f"Pushing {wish.name_of(image)}")
                run([wish.docker, "push", "--quiet", wish.name_of(image)], patience=PUSH_PATIENCE)
    except HostError as exc:
        say.warn(str(exc))
        return 1
    print(f"\nhelm install … --set images.registry={wish.registry} --set images.tag={wish.tag}")
    return 0


def build_all(wish: Wish, commit: str) -> None:
    """Raises: HostError with the end of what the build printed."""
    with tempfile.TemporaryDirectory(prefix="paas-images-") as name:
        folder = Path(name)
        secrets = write_secrets(folder, os.environ)
        context = folder / "context.tar"
        run(["git", "archive", "--format=tar", f"--output={context}", commit])
        for image in IMAGES:
            say.step(f"Building {wish.name_of(image)} on {wish.base}")
            with context.open("rb") as tree:
                run(plan_build(wish, image, secrets), stdin=tree, patience=BUILD_PATIENCE)


def plan_build(wish: Wish, image: str, secrets: dict[str, Path]) -> list[str]:
    """The engine's command line for one image; the context comes on its standard input."""
    command = [wish.docker, "build", "--progress=plain", f"--network={wish.network}", f"--target={image}"]
    command += [f"--file={DOCKERFILE}", f"--build-arg=BASE={wish.base}", f"--tag={wish.name_of(image)}"]
    command += [f"--secret=id={name},src={path}" for name, path in sorted(secrets.items())]
    return [*command, "-"]


def find_docker() -> str:
    """A docker command that can speak to BuildKit: with the buildx plugin, or older than 23, which needs none.

    Raises: HostError.
    """
    found = [shutil.which("docker", path=folder) for folder in os.get_exec_path()]
    for command in dict.fromkeys(path for path in found if path):
        version = _output([command, "--version"]).removeprefix("Docker version ").partition(".")[0]
        if (version.isdigit() and int(version) < 23) or _output([command, "buildx", "version"]):
            return command
    raise HostError("Images are built by BuildKit, which docker reaches by its plugin: apt-get install docker-buildx")


def write_secrets(folder: Path, environ: dict[str, str] | os._Environ[str]) -> dict[str, Path]:
    """What this host reaches package indexes with, as files in `folder`."""
    found: dict[str, str] = {"apt": render_apt(_output(["apt-config", "dump"]))}
    bundle = next((environ[name] for name in BUNDLES if environ.get(name)), "")
    if bundle and Path(bundle).is_file():
        found["ca"] = Path(bundle).read_text()
    if settings := render_pip(_output([sys.executable, "-m", "pip", "config", "list"])):
        found["pip"] = settings
    paths = {}
    for name, text in found.items():
        paths[name] = folder / name
        paths[name].touch(mode=0o600)
        paths[name].write_text(text)
    return paths


def render_apt(dump: str) -> str:
    """apt.conf from `apt-config dump`: proxies and how to reach mirrors; a CA bundle is the secret beside it."""
    lines = [line for line in dump.splitlines() if line.startswith(APT_KEYS) and "CaInfo" not in line]
    return "\n".join([*lines, 'Acquire::https::CaInfo "/run/secrets/ca";', ""])


def render_pip(listed: str) -> str:
    """pip.conf from `pip config list`: its indexes alone, and of those no folder of this host."""
    lines = []
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        option, text = name.rpartition(".")[2], value.strip("'\"")
        if name.startswith("global.") and option in ("index-url", "trusted-host", "timeout") and "file:" not in text:
            lines.append(f"{option} = {text}")
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def _output(command: Sequence[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def run(command: Sequence[str], *, stdin: IO[bytes] | None = None, patience: float = 60.0) -> str:
    """What the command printed. Raises: HostError with its last lines."""
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    try:
        done = subprocess.run(
            command, stdin=stdin, capture_output=True, text=True, timeout=patience, cwd=CHECKOUT, env=environment
        )
    except FileNotFoundError as exc:
        raise HostError(f"{command[0]} isn't installed; it is needed to make images.") from exc
    except subprocess.TimeoutExpired as exc:
        raise HostError(f"`{' '.join(command[:2])}` took longer than {patience:.0f} s; run it again.") from exc
    if done.returncode:
        tail = "\n    ".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise HostError(f"`{' '.join(command[:2])}` failed:\n    {tail}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
