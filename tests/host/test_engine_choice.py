"""Which engine a new platform takes: Docker's own on the machine's socket, never what only speaks like it."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from host import engine
from host.programs import own_docker_host
from host.settings import Platform

DOCKER = {"ApiVersion": "1.41", "Components": [{"Name": "Engine"}, {"Name": "containerd"}, {"Name": "runc"}]}
PODMAN = {"ApiVersion": "1.41", "Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}]}


@contextmanager
def answering(socket: Path, version: dict[str, object]) -> Iterator[None]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(version).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "local"

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with socketserver.ThreadingUnixStreamServer(str(socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def machine_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "docker.sock"
    monkeypatch.setattr(engine, "MACHINE_SOCKET", str(path))
    return path


def test_the_machines_docker_is_used(tmp_path: Path, machine_socket: Path) -> None:
    with answering(machine_socket, DOCKER):
        assert engine.choose(Platform(home=tmp_path)) == f"unix://{machine_socket}"


def test_podman_on_dockers_socket_is_left_alone(
    tmp_path: Path, machine_socket: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(machine_socket, PODMAN):
        assert engine.choose(Platform(home=tmp_path)) == own_docker_host(Platform(home=tmp_path))
    assert "is Podman Engine's, not Docker's" in capsys.readouterr().out


def test_without_an_engine_the_platform_has_its_own(tmp_path: Path, machine_socket: Path) -> None:
    assert engine.choose(Platform(home=tmp_path)) == own_docker_host(Platform(home=tmp_path))
