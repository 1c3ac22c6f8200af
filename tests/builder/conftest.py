"""A controller double that speaks the hook contract, a registry and a builder on free ports, and git clients."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import asyncssh
import pytest

from tests.registry.harness import RunningRegistry

ROOT = Path(__file__).resolve().parents[2]
STACK = os.environ.get("TEST_STACK_IMAGE", "paas/stack:trixie")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that needs the stack image may have to wait until it is made."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent) and item.get_closest_marker("engine"):
            item.add_marker(pytest.mark.timeout(900))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class FakeController:
    """Answers the builder hooks from memory; `refuse` is what a deploy fails with."""

    key: str = "builder-key"
    users: dict[str, str] = field(default_factory=dict)  # fingerprint → user
    apps: dict[str, set[str]] = field(default_factory=dict)  # app → users
    config: dict[str, dict[str, str]] = field(default_factory=dict)
    builds: list[dict] = field(default_factory=list)
    build_times: list[float] = field(default_factory=list)
    runs: dict[str, dict] = field(default_factory=dict)  # uuid → what the builder told of a build, and how it ended
    settings: dict[str, dict] = field(default_factory=dict)  # app → build settings
    tokens: dict[str, str] = field(default_factory=dict)  # API token → user
    sources: dict[str, dict] = field(default_factory=dict)  # app → its git host
    queue: list[dict] = field(default_factory=list)  # runs to claim
    delivered: list[tuple[str, dict, bytes]] = field(default_factory=list)  # webhooks
    refuse: str = ""
    delay: float = 0.0
    stream: list[dict] = field(default_factory=list)

    def answer(self, method: str, path: str, body: dict) -> tuple[int, object]:
        parts = path.strip("/").split("/")[2:]
        if parts[0] == "webhook":
            return 202, {"detail": "queued", "queued": True}
        if parts[0] == "key":
            user = self.users.get(parts[1])
            return (200, {"username": user, "apps": sorted(self.apps)}) if user else (404, "No Key matches.")
        if parts[0] == "keys":
            allowed = parts[2] in self.apps.get(parts[1], ())
            return (200, {parts[2]: []}) if allowed else (403, {"detail": "no permission"})
        if parts[0] == "push":
            user = self.tokens.get(body["token"].removeprefix("token "))
            if user is None:
                return 401, {"detail": "Invalid token."}
            if parts[1] not in self.apps:
                return 404, "No App matches."
            if user not in self.apps[parts[1]]:
                return 403, {"detail": "Its owner can allow it"}
            return 200, {"username": user, "uuid": f"uuid-of-{parts[1]}"}
        if parts[0] == "build-runs":
            return self.answer_run(parts[1:], body)
        if parts[0] == "config":
            return 200, {"values": self.config.get(body["receive_repo"], {})}
        if parts[0] == "build" and method == "POST":
            time.sleep(self.delay)
            if self.refuse:
                return 400, {"detail": self.refuse}
            self.builds.append(body)
            self.build_times.append(time.time())
            return 200, {"release": {"version": len(self.builds) + 1}}
        return 404, "not found"

    def answer_run(self, parts: list[str], body: dict) -> tuple[int, object]:
        if parts == ["abandoned"]:
            return 200, {}
        if parts == ["claim"]:
            run = self.queue.pop(0) if self.queue else None
            return 200, {"run": run, "git": self.sources.get(run["app"]) if run else None}
        if not parts:
            run = self.queued(body["receive_repo"], **body)
            return 201, {**run, "git": self.sources.get(run["app"])}
        if body["state"] != "building":
            self.runs[parts[0]]["end"] = body
        return 200, {}

    def queued(self, app: str, **more) -> dict:
        """A new run of `app`; put it into `queue` for the builder to claim it."""
        number = len(self.runs) + 1
        run = {"uuid": f"run-{number}", "number": number, "app": app, "settings": self.settings.get(app, {}), **more}
        self.runs[run["uuid"]] = run
        return run

    def end_of(self, app: str, seconds: float = 60) -> dict:
        """How the last build of `app` ended, as soon as the builder has told."""
        deadline = time.monotonic() + seconds
        while True:
            last = [run for run in self.runs.values() if run["app"] == app][-1]
            if "end" in last:
                return last["end"]
            assert time.monotonic() < deadline, last
            time.sleep(0.02)


class Handler(BaseHTTPRequestHandler):
    controller: FakeController
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one packet: two wait for each other's acknowledgement, 40 ms

    def serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(size)
        if self.path.startswith("/v2/hooks/webhook/"):
            self.controller.delivered.append((self.path.rpartition("/")[2], dict(self.headers), raw))
            raw = b""
        body = json.loads(raw or b"{}")
        if token := self.headers.get("Authorization"):
            body["token"] = token
        if self.headers.get("X-Deis-Builder-Auth") != self.controller.key:
            status, answer = 401, {"detail": "Authentication credentials were not provided."}
        else:
            status, answer = self.controller.answer(self.command, self.path, body)
        content = json.dumps(answer).encode()
        kind = "application/json"
        if status == 200 and self.controller.stream and self.path.startswith("/v2/hooks/build"):
            lines = [*self.controller.stream, answer]
            content, kind = b"".join(json.dumps(line).encode() + b"\n" for line in lines), "application/x-ndjson"
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = serve

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture(scope="session")
def controller():
    fake = FakeController()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (Handler,), {"controller": fake}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    yield fake
    server.shutdown()


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    """A Distribution server; its host:port, and the file with an account that may do everything."""
    running = RunningRegistry(tmp_path_factory.mktemp("registry"))
    yield running.host, running.credentials
    running.stop()


def wait_for_port(port: int, process: subprocess.Popen, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert process.poll() is None, f"ended with {process.returncode}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}")


@dataclass
class RunningBuilder:
    """A builder process and what is needed to push to it."""

    data: Path
    port: int
    http_port: int
    env: dict[str, str]
    controller: FakeController
    process: subprocess.Popen | None = None

    def start(self) -> None:
        log = (self.data.parent / "builder.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "builder"],
            cwd=ROOT,
            env=self.env,
            stdout=log,
            stderr=log,
            start_new_session=True,
            umask=0o027,  # the platform's own programs'
        )
        wait_for_port(self.port, self.process)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(60)

    def client(self, folder: Path, user: str = "alice", apps: tuple[str, ...] = ()) -> Client:
        """A user with a key of their own; `apps` exist afterwards and are theirs."""
        folder.mkdir(parents=True, exist_ok=True)
        key = asyncssh.generate_private_key("ssh-ed25519")
        path = folder / "id"
        key.write_private_key(str(path))
        path.chmod(0o600)
        self.controller.users[key.get_fingerprint("md5").removeprefix("MD5:")] = user
        for app in apps:
            self.controller.apps.setdefault(app, set()).add(user)
        return Client(folder, self.port)


@dataclass
class Client:
    """A folder with git repositories and the environment their pushes need."""

    folder: Path
    port: int

    @property
    def env(self) -> dict[str, str]:
        options = ("IdentitiesOnly=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
        ssh = f"ssh -i {self.folder}/id " + " ".join(f"-o {option}" for option in options)
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "T"), ("EMAIL", "t@example.test"))
        }
        return {**os.environ, **who, "GIT_SSH_COMMAND": ssh, "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(self.folder)}

    def git(self, *words: str, cwd: Path | None = None, check: bool = True, timeout: float = 120) -> str:
        """Run git; both its streams as one text."""
        done = subprocess.run(
            ["git", *words],
            cwd=cwd or self.folder,
            env=self.env,
            text=True,
            timeout=timeout,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if check:
            assert done.returncode == 0, done.stdout
        return done.stdout

    def repository(self, app: str, files: dict[str, str] | Path) -> Path:
        """A clone-like folder with one commit and the remote `deis`."""
        path = self.folder / app
        if isinstance(files, Path):
            shutil.copytree(files, path)
        else:
            path.mkdir()
        self.git("init", "-q", "-b", "master", cwd=path)
        self.git("remote", "add", "deis", f"ssh://git@127.0.0.1:{self.port}/{app}.git", cwd=path)
        if not isinstance(files, Path):
            write(path, files)
        self.commit(path)
        return path

    def commit(self, path: Path, files: dict[str, str] | None = None) -> str:
        write(path, files or {})
        self.git("add", "-A", cwd=path)
        self.git("commit", "-q", "--allow-empty", "-m", "change", cwd=path)
        return self.git("rev-parse", "HEAD", cwd=path).strip()

    def push(self, path: Path, *refs: str, check: bool = True) -> str:
        return self.git("push", "deis", *(refs or ("master",)), cwd=path, check=check)


def write(path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        target = path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        if text.startswith("#!"):
            target.chmod(0o755)


def make_builder(folder: Path, controller: FakeController, registry: tuple[str, Path], **extra: str) -> RunningBuilder:
    data = folder / "data"
    (folder / "key").write_text(controller.key + "\n")
    port, http_port = free_port(), free_port()
    instance = f"test-{os.path.basename(folder)}-{secrets.token_hex(3)}"  # other runs may use the same engine
    env = {
        **os.environ,
        "BUILDER_DATA": str(data),
        "BUILDER_SSH_LISTEN": f"127.0.0.1:{port}",
        "BUILDER_HTTP_LISTEN": f"127.0.0.1:{http_port}",
        "CONTROLLER_URL": controller.url,
        "BUILDER_KEY_FILE": str(folder / "key"),
        "REGISTRY_HOST": registry[0],
        "REGISTRY_CREDENTIALS_FILE": str(registry[1]),
        "STACK_IMAGE": STACK,
        "BUILDER_INSTANCE": instance,
        "APP_URL_TEMPLATE": "http://{app}.paas.test",
        **extra,
    }
    return RunningBuilder(data, port, http_port, env, controller)


def remove_engine_objects(instance: str) -> None:
    """Containers, images and networks of a test's builder, by label."""
    mark = f"label=paas.io/instance={instance}"
    for listing, removing in (
        (["ps", "-aq"], ["rm", "-f"]),
        (["images", "-q"], ["rmi", "-f"]),
        (["network", "ls", "-q"], ["network", "rm"]),
    ):
        found = subprocess.run(["docker", *listing, "--filter", mark], capture_output=True, text=True).stdout.split()
        if found:
            subprocess.run(["docker", *removing, *found], capture_output=True)


@pytest.fixture(scope="session")
def stack():
    """The stack image, made once on a machine and kept."""
    data = Path(os.environ.get("TEST_STACK_DATA", Path.home() / ".cache" / "paas-tests"))
    words = [sys.executable, "-m", "builder", "stack", "--tag", STACK, "--data", str(data), "--instance", "tests"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def start_builder(tmp_path_factory, controller, registry, stack):
    """Starts builders with settings of their own; all are stopped, and what they made is removed, at the end."""
    started = []

    def start(name: str, **extra: str) -> RunningBuilder:
        running = make_builder(tmp_path_factory.mktemp(name), controller, registry, **extra)
        running.start()
        started.append(running)
        return running

    yield start
    for running in started:
        running.stop()
        remove_engine_objects(running.env["BUILDER_INSTANCE"])


@pytest.fixture(scope="session")
def builder(start_builder):
    """The builder of the tests that leave it as it was."""
    return start_builder("builder", BUILD_MEMORY=str(256 << 20))


@pytest.fixture(autouse=True)
def calm(controller):
    """Every test finds the controller double friendly."""
    controller.refuse, controller.delay, controller.stream = "", 0.0, []
    yield


def run(coroutine):
    return asyncio.run(coroutine)
