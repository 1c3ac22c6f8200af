"""`git push` until the image is in the registry, against `docker build` of the equivalent Dockerfile with a warm cache.

A builder and a registry of their own; the controller is the tests' double, whose clock says when the image was ready:
in the registry, where every node gets it. `docker build` ends with an image that only its own engine has, so what it
takes to have it where ours is, `docker push` to the same registry, is told beside it. The bar is for `docker build`
alone. Both build the same files (`.git` is ignored), take turns, and begin when what the other left to do is done.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path

from bench import cpu
from bench.report import Row, median
from tests.builder import conftest as harness

RUNS = 9
PAUSE = 1.5  # seconds before each: a used build container goes, the next one comes
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


@dataclass
class Turn:
    """Seconds of one change: ours, `docker build`, `docker push` after it; the work of the first two in CPU seconds."""

    ours: float
    build: float
    push: float
    our_work: float
    their_work: float


@dataclass(frozen=True)
class Peer:
    """`docker build` of one app's folder, and `docker push` of it to the registry."""

    app: str
    path: Path
    image: str
    config: Path  # folder of the client's login

    def build(self) -> None:
        """By BuildKit where this host's client can."""
        self._run("build", "-q", "--network", "host", "-t", self.image, "-f", "-", str(self.path))

    def push(self) -> None:
        self._run("push", "-q", self.image)

    def remove(self) -> None:
        """Every image there was; having been pushed, each still has its digest for a name."""
        words = [docker(), "images", "--digests", "--format", "{{.Repository}}@{{.Digest}}", self.image]
        named = subprocess.run(words, capture_output=True, text=True, timeout=60).stdout.split()
        subprocess.run([docker(), "rmi", "-f", self.image, *named], capture_output=True, timeout=120)

    def _run(self, *words: str) -> None:
        env = {**environment(), "DOCKER_CONFIG": str(self.config)}
        text = DOCKERFILES[self.app] if words[0] == "build" else ""
        subprocess.run([docker(), *words], input=text, text=True, env=env, capture_output=True, check=True, timeout=300)


def measure() -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory(prefix="paas-bench-") as name, running_builder(Path(name)) as (builder, registry):
        client = builder.client(Path(name) / "client", apps=("python", "node"))
        with base_image(builder, Path(name)):
            login(registry, Path(name) / "docker")
            for app in ("python", "node"):
                path = client.repository(app, EXAMPLES / f"{app}-web")
                (path / ".dockerignore").write_text(".git\n")
                client.commit(path)
                client.push(path)
                peer = Peer(app, path, f"{registry.host}/paas-bench-{app}", Path(name) / "docker")
                peer.build()
                peer.push()
                for change in ("no", "code", "dependency"):
                    rows += measure_change(builder, client, peer, change, registry.process.pid)
                peer.remove()
    return rows


def login(registry: harness.RunningRegistry, config: Path) -> None:
    account = json.loads(registry.credentials.read_text())
    words = [docker(), "login", "-u", account["username"], "--password-stdin", registry.host]
    env = {**os.environ, "DOCKER_CONFIG": str(config)}
    subprocess.run(words, input=account["password"], text=True, env=env, capture_output=True, check=True, timeout=60)


def measure_change(
    builder: harness.RunningBuilder, client: harness.Client, peer: Peer, change: str, registry: int
) -> list[Row]:
    """Pairs of a push and a build of the same change."""
    assert builder.process
    ours = [builder.process.pid, registry, *children_of(registry), *cpu.engine()]
    turns = []
    for number in range(RUNS):
        alter(peer.app, peer.path, change, number)
        client.commit(peer.path)
        turns.append(take_turn(builder, client, peer, ours))
    what = f"{peer.app.capitalize()}: push of {'a ' if change != 'no' else ''}{change} change until the image is ready"
    ratios = [turn.ours / turn.build for turn in turns]
    note = f"pairs {' '.join(f'{ratio:.2f}' for ratio in ratios)}; load {os.getloadavg()[0]:.1f}"
    if change == "code":
        note += f"; bar {BAR} ×"
    ready, built = median([turn.ours for turn in turns]), median([turn.build for turn in turns])
    sent = median([turn.build + turn.push for turn in turns])
    work, theirs = median([turn.our_work for turn in turns]), median([turn.their_work for turn in turns])
    return [
        Row(what, ready, "s", "docker build, warm cache", built, RUNS, note),
        Row(what, ready, "s", "docker build and docker push to the same registry", sent, RUNS),
        Row(f"{what}: work of all programs", work, "s of CPU", "docker build, warm cache", theirs, RUNS),
    ]


def take_turn(builder: harness.RunningBuilder, client: harness.Client, peer: Peer, ours: list[int]) -> Turn:
    time.sleep(PAUSE)
    started = time.time()
    our_work = cpu.of_call(lambda: client.push(peer.path), ours)
    ready = builder.controller.build_times[-1] - started
    time.sleep(PAUSE)
    began = time.perf_counter()
    their_work = cpu.of_call(peer.build, cpu.engine())
    built = time.perf_counter()
    peer.push()
    return Turn(ready, built - began, time.perf_counter() - built, our_work, their_work)


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alter(app: str, path: Path, change: str, number: int) -> None:
    if change == "code":
        (path / "note.txt").write_text(f"{number} {time.time()}\n")
    elif change == "dependency":
        name, pattern, content = DEPENDENCY[app]
        file = path / name
        file.write_text(re.sub(pattern, content.format(number=time.time_ns()), file.read_text(), count=1))


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
        subprocess.run(["docker", "rmi", "-f", BASE], capture_output=True, timeout=60)


@contextmanager
def running_builder(folder: Path) -> Iterator[tuple[harness.RunningBuilder, harness.RunningRegistry]]:
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
        yield builder, registry
    finally:
        if builder:
            builder.stop()
            harness.remove_engine_objects(builder.env["BUILDER_INSTANCE"])
        registry.stop()
        server.shutdown()
