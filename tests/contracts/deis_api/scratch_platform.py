"""The wire tests' fixtures against a live scratch platform: `SCRATCH_HOME=/tmp/scratch-… pytest …`.

Tests that look into the controller's own process or into a made-up cluster are left out.
"""

from __future__ import annotations

import http.client
import json
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pytest
import redis

from controller.cluster.client import KubernetesCluster
from tests.controller.harness import KEPT_TABLES

HOME = Path(os.environ.get("SCRATCH_HOME", ""))
IN_PROCESS = {"cluster", "settings", "rf", "in_process"}
EMPTY_DEADLINE = 30.0  # seconds for a test's namespaces to go


@dataclass
class Answer:
    """What a test reads of Django's own response."""

    status_code: int
    headers: http.client.HTTPMessage
    content: bytes

    @property
    def streaming_content(self) -> list[bytes]:
        return [self.content]

    def json(self) -> object:
        return json.loads(self.content)


class LiveAPI:
    """Requests over HTTP, with the methods of `harness.API`."""

    def __init__(self, port: int, headers: dict[str, str] | None = None, token: str | None = None) -> None:
        self._port, self.token = port, token
        self._headers = headers or ({"Authorization": f"token {token}"} if token else {})

    def get(self, path, **headers):
        return self._send("GET", path, None, headers)

    def post(self, path, body=None, **headers):
        return self._send("POST", path, body, headers)

    def delete(self, path, body=None):
        return self._send("DELETE", path, body, {})

    def _send(self, method, path, body, headers):
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        try:
            known = {"Content-Type": "application/json", **self._headers, **headers}
            connection.request(method, quote(path, safe="/?&=%:*"), data, known)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@pytest.fixture
def cluster():
    """No made-up cluster here; `database` leaves out the tests that ask for it."""


@pytest.fixture
def quick_flush():
    """Nothing to make quick."""


@pytest.fixture(scope="session")
def port():
    label = {"metadata": {"name": "node-0000", "labels": {"disk": "ssd"}}}  # as the node of the cluster in memory
    KubernetesCluster(str(HOME / "orchestrator" / "admin.kubeconfig")).apply(
        {"apiVersion": "v1", "kind": "Node", **label}
    )
    return json.loads((HOME / "platform.json").read_text())["controller_port"]


@pytest.fixture
def wire_port(port):
    return port


@pytest.fixture(autouse=True)
def database(request):
    """An empty platform for each test."""
    if hidden := IN_PROCESS & set(request.fixturenames):
        pytest.skip(f"looks into the controller's process ({', '.join(sorted(hidden))})")
    if not (HOME / "platform.json").exists():
        pytest.fail(f"SCRATCH_HOME={HOME} is no running scratch platform; `make scratch` prints its folder")
    forget_everything()


def forget_everything() -> None:
    api = KubernetesCluster(str(HOME / "orchestrator" / "controller.kubeconfig"))
    deadline = time.monotonic() + EMPTY_DEADLINE
    while names := [item["metadata"]["name"] for item in api.list("Namespace", None, "heritage=deis")[0]]:
        assert time.monotonic() < deadline, f"the namespaces {names} did not go"
        for name in names:
            api.delete("Namespace", None, name)
            for pod in api.list("Pod", name)[0]:
                api.delete("Pod", name, pod["metadata"]["name"], grace=0)  # nobody waits for their last seconds
        time.sleep(0.1)
    with sqlite3.connect(HOME / "controller" / "db.sqlite3", timeout=20) as tables:
        tables.execute("PRAGMA foreign_keys=OFF")
        for (table,) in tables.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
            if table not in KEPT_TABLES and not table.startswith("sqlite_"):
                tables.execute(f'DELETE FROM "{table}"')
    tables.close()
    redis.Redis(unix_socket_path=str(HOME / "run" / "redis.sock")).flushdb()  # counted wrong passwords


@pytest.fixture
def anonymous(port):
    return LiveAPI(port)


@pytest.fixture
def builder(port):
    return LiveAPI(port, {"X-Deis-Builder-Auth": (HOME / "secrets" / "builder.key").read_text().strip()})


@pytest.fixture
def sign_in(port):
    def signed_in(username, password="correct horse"):
        body = {"username": username, "password": password, "email": f"{username}@example.test"}
        assert LiveAPI(port).post("/v2/auth/register/", body).status_code == 201
        answer = LiveAPI(port).post("/v2/auth/login/", {"username": username, "password": password})
        return LiveAPI(port, token=answer.json()["token"])

    return signed_in
