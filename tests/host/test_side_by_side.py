"""Two controllers and four workers over one PostgreSQL: nothing acknowledged is lost, nothing is deployed twice.

Builds, config changes, scales and rollbacks of one app come at the same time, at either controller.
"""

from __future__ import annotations

import dataclasses
import http.client
import itertools
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from host import scratch, secret_files, simulated_nodes
from host.programs import Program, base_environment
from host.scratch import CHECKOUT, FOLDERS, WORKER_READY, Scratch, free_ports, plan_scratch, scratch_platform
from tests.controller import postgres_server

STORM, LONGEST = 8.0, 60.0  # seconds of requests; and at most, while too few came through
CALM = 4.0  # seconds between rollbacks, which take the place of what is under way
ROLLBACKS = 2  # after which the others are among themselves
AGAIN, NEXT = 0.1, 0.6  # seconds after a refusal, and after a success, which lets others through
REQUEST = 40  # seconds that one may take at most
WORKERS = 4
PROCFILE = {"web": "python app.py", "worker": "python work.py"}
REFUSED = (400, 409)  # another change is under way, or a rollback took this one's place
STATE = """
import json
from controller.models import App, Operation
app = App.objects.get(name="blue")
releases = app.releases.order_by("version").select_related("build", "config")
print(json.dumps({
    "structure": app.structure,
    "releases": [
        {"version": r.version, "failed": r.failed, "cause": r.cause, "summary": r.summary,
         "image": r.build.image if r.build else "", "values": r.config.values}
        for r in releases
    ],
    "operations": list(Operation.objects.values("id", "release__version", "kind", "state", "attempts", "superseded")),
}))
"""


class SideBySide(Scratch):
    """A scratch platform whose controller runs twice and whose worker runs four times."""

    def __init__(self, home: Path, ports: list[int]) -> None:
        super().__init__(scratch_platform(home, ports[0]))
        self.urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.programs = {program.name: program for program in plan_scratch(self.platform)}

    def start(self) -> None:
        for name in ("redis", "orchestrator-server"):
            self._launch(self.programs[name])
        self._migrate()
        programs = [self.programs["orchestrator-server"], *self.controllers()]
        workers = self.workers()
        for program in [*programs[1:], *workers]:
            self._launch(program)
        self._await_ready(programs[0])
        simulated_nodes.write_certificate(self.platform)
        self._launch(self.programs["orchestrator-agent"])
        for program in programs:
            self._await_ready(program)
        self._await(lambda: simulated_nodes.all_ready(self.platform), "orchestrator-agent")
        for program in workers:
            self._await(lambda name=program.name: WORKER_READY in self.log(name), program.name)

    def controllers(self) -> list[Program]:
        one = self.programs["controller"]
        return [
            dataclasses.replace(
                one,
                name=f"controller-{number}",
                environment={**one.environment, "CONTROLLER_LISTEN": urlsplit(url).netloc},
                ready=f"{url}/readiness",
            )
            for number, url in enumerate(self.urls)
        ]

    def workers(self) -> list[Program]:
        one = self.programs["controller-worker"]
        return [
            dataclasses.replace(one, name=f"worker-{number}", command=[*one.command, "-n", f"worker-{number}@%h"])
            for number in range(WORKERS)
        ]

    def log(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")

    def state(self) -> dict[str, Any]:
        """What the database holds of the app."""
        environment = base_environment(os.environ) | self.programs["controller"].environment
        command = [sys.executable, str(CHECKOUT / "manage.py"), "shell", "--no-imports", "-c", STATE]
        done = subprocess.run(command, cwd=CHECKOUT, env=environment, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def deployments(self) -> dict[str, Any]:
        items = simulated_nodes._ask(self.platform, "/apis/apps/v1/namespaces/blue/deployments")
        return {item["metadata"]["name"]: item for item in items}


@pytest.fixture
def postgres() -> Iterator[str]:
    with postgres_server.started() as url:
        yield url


@pytest.fixture
def platform(postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SideBySide]:
    monkeypatch.setattr(scratch, "database_url", lambda platform: postgres)
    for name in FOLDERS:
        (tmp_path / name).mkdir()
    secret_files.ensure(tmp_path / "secrets")
    running = SideBySide(tmp_path, free_ports(2))
    running.platform.save()
    try:
        running.start()
        yield running
    finally:
        running.stop()


@dataclasses.dataclass
class Answer:
    status: int
    body: Any


class Storm:
    """Requests from several threads, by turns to either controller, and what was acknowledged of them."""

    def __init__(self, platform: SideBySide) -> None:
        self.turns = itertools.cycle(platform.urls)
        self.key = (platform.platform.home / "secrets" / "builder.key").read_text().strip()
        self.token = ""
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()
        self.built: dict[str, int] = {}  # image → version
        self.configured: list[str] = []
        self.scaled: dict[str, int] = {}
        self.rolled_back: dict[int, int] = {}  # version → the one it went back to
        self.refused: list[str] = []

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Answer:
        with self.lock:
            where = urlsplit(next(self.turns))
        connection = http.client.HTTPConnection(where.hostname or "", where.port or 0, timeout=REQUEST)
        headers = {"Content-Type": "application/json", "X-Deis-Builder-Auth": self.key}
        if self.token:
            headers["Authorization"] = f"token {self.token}"
        connection.request("GET" if body is None else "POST", path, body and json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return Answer(response.status, json.loads(text) if text else None)

    def tried(self, answer: Answer, wanted: int) -> bool:
        """Whether it was acknowledged; else it must have been refused for a reason."""
        if answer.status == wanted:
            return True
        assert answer.status in REFUSED or "superseded" in str(answer.body), answer
        self.refused.append(str(answer.body))
        return False

    def build(self) -> bool:
        sha = f"{next(self.numbers):040x}"
        image = f"127.0.0.1:5000/blue@sha256:{sha:0>64}"
        body = {"receive_user": "bob", "receive_repo": "blue", "sha": sha, "image": image, "procfile": PROCFILE}
        answer = self.ask("/v2/hooks/build/", {**body, "dockerfile": ""})
        if done := self.tried(answer, 200):
            self.built[image] = answer.body["release"]["version"]
        return done

    def configure(self) -> bool:
        key = f"KEY_{next(self.numbers)}"
        if done := self.tried(self.ask("/v2/apps/blue/config/", {"values": {key: "1"}}), 201):
            self.configured.append(key)
        return done

    def scale(self, kind: str) -> bool:
        count = self.scaled.get(kind, 1) % 2 + 1
        if done := self.tried(self.ask("/v2/apps/blue/scale/", {kind: count}), 204):
            self.scaled[kind] = count
        return done

    def roll_back(self) -> bool:
        time.sleep(CALM)
        if len(self.rolled_back) == ROLLBACKS:
            return True
        target = list(self.built.values())[-1]
        answer = self.ask("/v2/apps/blue/releases/rollback/", {"version": target})
        if done := self.tried(answer, 201):
            self.rolled_back[answer.body["version"]] = target
        return done

    def rage(self) -> None:
        deeds: list[Callable[[], bool]] = [self.build, self.build, self.configure, self.configure, self.roll_back]
        deeds += [lambda: self.scale("web"), lambda: self.scale("worker")]
        began, broken = time.monotonic(), []

        def repeat(deed: Callable[[], bool]) -> None:
            try:
                while not self.is_over(time.monotonic() - began) and not broken:
                    time.sleep(NEXT if deed() else AGAIN)
            except BaseException as exc:
                broken.append(exc)

        threads = [threading.Thread(target=repeat, args=(deed,)) for deed in deeds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=LONGEST + REQUEST)
        assert not broken, broken
        assert not any(thread.is_alive() for thread in threads)

    def is_over(self, seconds: float) -> bool:
        enough = min(len(self.built), len(self.configured), len(self.rolled_back)) > 1 and len(self.scaled) == 2
        return seconds > LONGEST or (seconds > STORM and enough and bool(self.refused))


@pytest.mark.timeout(400)
def test_nothing_acknowledged_is_lost_and_nothing_deployed_twice(platform: SideBySide) -> None:
    storm = Storm(platform)
    account = {"username": "bob", "password": "correct horse battery"}
    storm.ask("/v2/auth/register/", {**account, "email": "bob@example.test"})
    storm.token = storm.ask("/v2/auth/login/", account).body["token"]
    assert storm.ask("/v2/apps/", {"id": "blue"}).status == 201
    assert storm.build()
    storm.rage()
    state = platform.state()
    assert_that_enough_happened(storm)
    assert_that_all_acknowledged_is_there(storm, state)
    assert_that_each_release_follows_from_the_one_before(state)
    assert_that_nothing_ran_twice(platform, state)
    assert_that_the_cluster_runs_the_last_release(storm, platform, state)


def assert_that_enough_happened(storm: Storm) -> None:
    told = f"{len(storm.built)} builds, {len(storm.configured)} configs, {storm.scaled}, {storm.rolled_back}"
    print(told, f"{len(storm.refused)} refused")
    assert len(storm.built) > 1 and storm.configured and storm.scaled and storm.rolled_back and storm.refused, told


def assert_that_all_acknowledged_is_there(storm: Storm, state: dict[str, Any]) -> None:
    releases = {release["version"]: release for release in state["releases"]}
    assert sorted(releases) == list(range(1, len(state["releases"]) + 1))
    for image, version in storm.built.items():
        assert (releases[version]["image"], releases[version]["failed"]) == (image, False)
    for version, target in storm.rolled_back.items():
        assert not releases[version]["failed"] and f"rolled back to v{target}" in releases[version]["summary"]
    good = [release for release in state["releases"] if not release["failed"]]
    for key in storm.configured:
        assert any(release["cause"] == "config" and key in release["values"] for release in good), key
    assert state["structure"] == {"web": 1, "worker": 0} | storm.scaled


def assert_that_each_release_follows_from_the_one_before(state: dict[str, Any]) -> None:
    """Of the good ones: a change that another one overwrote would break the chain, to the last release's config."""
    good = [release for release in state["releases"] if not release["failed"]]
    by_version = {release["version"]: release for release in good}
    for before, release in itertools.pairwise(good):
        image, values = release["image"], release["values"]
        if release["cause"] == "build":
            assert values == before["values"] and image != before["image"]
        elif release["cause"] == "config":
            assert image == before["image"] and before["values"].items() < values.items()
            assert len(values) == len(before["values"]) + 1
        else:
            named = re.search(r"rolled back to v(\d+)", release["summary"])
            assert named is not None, release
            target = by_version[int(named[1])]
            assert (image, values) == (target["image"], target["values"])


def assert_that_nothing_ran_twice(platform: SideBySide, state: dict[str, Any]) -> None:
    assert all(operation["state"] in ("succeeded", "failed") for operation in state["operations"])
    assert all(operation["attempts"] <= 1 for operation in state["operations"])
    deployed = [operation["release__version"] for operation in state["operations"] if operation["kind"] == "deploy"]
    assert len(deployed) == len(set(deployed))
    said = "".join(platform.log(f"worker-{number}") for number in range(WORKERS))
    lines = [json.loads(line) for line in said.splitlines() if '"operation ended"' in line]
    ended = [line["operation"] for line in lines]
    assert len(ended) == len(set(ended))
    assert set(ended) == {operation["id"] for operation in state["operations"] if operation["attempts"]}
    busy = [n for n in range(WORKERS) if '"operation ended"' in platform.log(f"worker-{n}")]
    assert len(busy) > 1, f"only {busy} of the workers had work"


def assert_that_the_cluster_runs_the_last_release(storm: Storm, platform: SideBySide, state: dict[str, Any]) -> None:
    last = [release for release in state["releases"] if not release["failed"]][-1]
    deployments = platform.deployments()
    for kind, count in state["structure"].items():
        deployment = deployments[f"blue-{kind}"]
        template, container = deployment["spec"]["template"], deployment["spec"]["template"]["spec"]["containers"][0]
        assert template["metadata"]["labels"]["version"] == f"v{last['version']}"
        assert (container["image"], deployment["spec"]["replicas"]) == (last["image"], count)
        assert deployment["status"].get("updatedReplicas", 0) == deployment["status"].get("replicas", 0) == count
    assert storm.ask("/v2/apps/blue/config/").body["values"] == last["values"]
