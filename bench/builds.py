"""`git push` until the image is in the registry, against `docker build` of the equivalent Dockerfile with a warm cache.

A builder and a registry of their own; the controller is the tests' double, whose clock says when the image was ready.
`docker build` ends with an image on the engine: what a registry would still cost it isn't counted. Both take turns.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from bench.report import Row, median
from tests.builder import conftest as harness

RUNS = 9
BAR = 1.0  # times docker build, for a change of code
EXAMPLES = harness.ROOT / "examples"
BASE = "paas-bench-base"
PACKAGE_INDEX = ("pip.conf", "npmrc")
DOCKERFILES = {
    "python": f"FROM {BASE}\nWORKDIR /app\nCOPY requirements.txt .\n"
    "RUN python3 -m venv /venv && /venv/bin/python -m pip install -q -r requirements.txt\nCOPY . .\n"
    "CMD /venv/bin/gunicorn app:app\n",
    "node": f"FROM {BASE}\nWORKDIR /app\nCOPY package.json package-lock.json ./\nRUN npm ci --omit=dev\nCOPY . .\n"
    "CMD node server.js\n",
}
DEPENDENCY = {  # the file that says what is installed, and a place in it that takes a number
    "python": ("requirements.txt", r"(# \d+\n)?\Z", "# {number}\n"),
    "node": ("package.json", r'"version": "[^"]*"', '"version": "1.0.{number}"'),
}


def measure() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="paas-bench-") as name, running_builder(Path(name)) as builder:
        client = builder.client(Path(name) / "client", apps=("python", "node"))
        with base_image(builder, Path(name)):
            for app in ("python", "node"):
                path = client.repository(app, EXAMPLES / f"{app}-web")
                client.push(path)
                docker_build(app, path)
                rows += [measure_change(builder, client, app, path, change) for change in ("no", "code", "dependency")]
    return rows


def measure_change(builder: harness.RunningBuilder, client: harness.Client, app: str, path: Path, change: str) -> Row:
    """Pairs of a push and a build of the same change."""
    ours, theirs = [], []
    for number in range(RUNS):
        alter(app, path, change, number)
        client.commit(path)
        started = time.time()
        client.push(path)
        ours.append(builder.controller.build_times[-1] - started)
        theirs.append(docker_build(app, path))
    ratios = [mine / peer for mine, peer in zip(ours, theirs, strict=True)]
    note = f"pairs {min(ratios):.2f}–{max(ratios):.2f} ×"
    if change == "code":
        note += f"; bar {BAR} ×"
    what = f"{app.capitalize()}: push of {'a ' if change != 'no' else ''}{change} change until the image is ready"
    return Row(what, median(ours), "s", "docker build, warm cache", median(theirs), RUNS, note)


def alter(app: str, path: Path, change: str, number: int) -> None:
    if change == "code":
        (path / "note.txt").write_text(f"{number} {time.time()}\n")
    elif change == "dependency":
        name, pattern, content = DEPENDENCY[app]
        file = path / name
        file.write_text(re.sub(pattern, content.format(number=time.time_ns()), file.read_text(), count=1))


def docker_build(app: str, path: Path) -> float:
    """Seconds of `docker build`, by BuildKit where this host's client can."""
    words = [docker(), "build", "-q", "--network", "host", "-t", f"paas-bench-{app}", "-f", "-", str(path)]
    started = time.perf_counter()
    subprocess.run(
        words, input=DOCKERFILES[app], text=True, env=environment(), capture_output=True, check=True, timeout=300
    )
    return time.perf_counter() - started


def environment() -> dict[str, str]:
    return {**os.environ, "DOCKER_BUILDKIT": "1" if buildkit() else "0"}


def docker() -> str:
    """A client with BuildKit if there is one: newer ones have it only with a plug-in."""
    return next(
        (path for path in ("/usr/bin/docker", shutil.which("docker")) if path and Path(path).exists()), "docker"
    )


def buildkit() -> bool:
    done = subprocess.run(
        [docker(), "version", "-f", "{{.Client.Version}}"], capture_output=True, text=True, timeout=30
    )
    if done.stdout.startswith(("18.", "19.", "20.")):
        return True
    return subprocess.run([docker(), "buildx", "version"], capture_output=True, timeout=30).returncode == 0


@contextmanager
def base_image(builder: harness.RunningBuilder, folder: Path) -> Iterator[None]:
    """The stack's build image with this host's certificates and index settings in it."""
    stack = builder.env["STACK_IMAGE"]
    build_image = stack.replace(":", "-build:")
    context = folder / "base"
    context.mkdir()
    for name in PACKAGE_INDEX:
        shutil.copy(builder.data / "host" / name, context / name)
    bundle = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
    shutil.copy(bundle, context / "ca.crt")
    # folders of this host that its pip settings name aren't there in a plain build
    text = (context / "pip.conf").read_text()
    (context / "pip.conf").write_text(
        "\n".join(line for line in text.splitlines() if "file://" not in line and " = /" not in line)
    )
    trust = " ".join(
        f"{name}=/ca.crt" for name in ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE")
    )
    lines = [
        f"FROM {build_image}",
        "USER root",
        "COPY . /",
        f"ENV {trust} PIP_CONFIG_FILE=/pip.conf NPM_CONFIG_GLOBALCONFIG=/npmrc",
    ]
    subprocess.run(
        [docker(), "build", "-q", "-t", BASE, "-f", "-", str(context)],
        input="\n".join(lines), text=True, env=environment(), check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    try:
        yield
    finally:
        names = [BASE, *(f"paas-bench-{app}" for app in DOCKERFILES)]
        subprocess.run(["docker", "rmi", "-f", *names], capture_output=True, timeout=60)


@contextmanager
def running_builder(folder: Path) -> Iterator[harness.RunningBuilder]:
    """A builder with its registry and the tests' controller double."""
    controller = harness.FakeController()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (harness.Handler,), {"controller": controller}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    controller.url = f"http://127.0.0.1:{server.server_port}"
    (folder / "registry").mkdir()
    registry = harness.RunningRegistry(folder / "registry")
    builder = None
    try:
        (folder / "builder").mkdir()
        builder = harness.make_builder(folder / "builder", controller, (registry.host, registry.credentials))
        builder.start()
        yield builder
    finally:
        if builder:
            builder.stop()
            harness.remove_engine_objects(builder.env["BUILDER_INSTANCE"])
        registry.stop()
        server.shutdown()
