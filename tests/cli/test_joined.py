"""Commands joined to this end, against a real WebSocket server that speaks Kubernetes' channels."""

from __future__ import annotations

import contextlib
import http
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from cli.client import Client
from cli.commands.ps_sessions import carry_connection, parse_ports
from cli.errors import CliError, NotAllowed, NotUpgraded, UsageError
from cli.terminal import PROTOCOLS, exit_code, joined
from cli.websocket import masked, rest_of_body

SUCCESS = {"metadata": {}, "status": "Success"}
FAILED = {"status": "Failure", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}


@contextlib.contextmanager
def controller(handler: Callable[[ServerConnection], None], **options: Any) -> Iterator[Client]:
    options.setdefault("subprotocols", [PROTOCOLS[0], "v4.channel.k8s.io"])
    with serve(handler, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Client(f"http://127.0.0.1:{server.socket.getsockname()[1]}", "t" * 40)
        finally:
            server.shutdown()
            thread.join()


def run(client: Client, **options: bool) -> int:
    stream = client.upgrade("/v2/apps/shop/run/attach", PROTOCOLS, command="x")
    return joined(stream, tty=False, **options)


def test_output_and_exit_code(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    def handler(socket: ServerConnection) -> None:
        assert socket.request.headers["Authorization"] == "token " + "t" * 40
        assert socket.request.path == "/v2/apps/shop/run/attach?command=x"
        socket.send(b"\x01")  # an empty message says that the connection stands
        socket.ping()
        socket.send([b"\x01out", b"put\n"])  # in two frames
        socket.send(b"\x01" + b"a" * 70_000)
        socket.send(b"\x02trouble\n")
        socket.send(b"\x03" + json.dumps(FAILED).encode())

    with controller(handler) as client:
        assert run(client, stdin=False) == 7
    out, err = capfdbinary.readouterr()
    assert out == b"output\n" + b"a" * 70_000
    assert err == b"trouble\n"


def test_standard_input_is_passed_on_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[bytes] = []

    def handler(socket: ServerConnection) -> None:
        for message in socket:
            if message[0] == 255:
                got.append(bytes(message[1:]))
                break
            got.append(bytes(message[1:]))
        socket.send(b"\x03" + json.dumps(SUCCESS).encode())

    reader, writer = os.pipe()
    os.write(writer, b"hello\n")
    os.close(writer)
    with os.fdopen(reader) as piped, controller(handler) as client:
        monkeypatch.setattr("sys.stdin", piped)
        assert run(client) == 0
    assert got == [b"hello\n", b"\x00"]


def test_a_connection_that_ends_early_is_no_success() -> None:
    with controller(lambda socket: None) as client, pytest.raises(CliError, match="ended before the command did"):
        run(client, stdin=False)


def test_a_command_that_could_not_be_run_says_why() -> None:
    with pytest.raises(CliError, match="no such file"):
        exit_code({"status": "Failure", "message": "no such file", "details": {}})


@pytest.mark.parametrize(
    ("status", "kind"), [(403, NotAllowed), (501, NotUpgraded), (404, NotUpgraded), (400, CliError)]
)
def test_refusals_are_in_words(status: int, kind: type[CliError]) -> None:
    def refuse(connection: Any, request: Any) -> Any:
        text = "<html>" if status == 404 else '{"detail": "You may not"}'
        return connection.respond(http.HTTPStatus(status), text)

    with controller(lambda socket: None, process_request=refuse) as client, pytest.raises(kind) as caught:
        run(client)
    assert type(caught.value) is kind


@pytest.mark.parametrize("pieces", [1, 7, 4096])
def test_a_refusal_in_chunks_is_put_together(pieces: int) -> None:
    detail = "No build associated with this release to run this command"
    body = json.dumps({"detail": detail}).encode()
    raw = b"%x\r\n%b\r\n5;x=y\r\n     \r\n0\r\n\r\n" % (len(body), body)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for start in range(0, len(raw), pieces):
            theirs.sendall(raw[start : start + pieces])
        whole = rest_of_body(ours, {"transfer-encoding": "chunked"}, b"")
    assert json.loads(whole) == {"detail": detail}


def test_a_forwarded_connection_carries_bytes_both_ways() -> None:
    def handler(socket: ServerConnection) -> None:
        socket.send(b"\x00\x88\x13")
        socket.send(b"\x01\x88\x13")
        for message in socket:
            socket.send(b"\x00" + bytes(message[1:]).upper())

    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    with controller(handler) as client:
        thread = threading.Thread(target=carry_connection, args=(client, "/v2/apps/shop/portforward", theirs, 5000, ""))
        thread.start()
        ours.sendall(b"select 1")
        assert ours.recv(100) == b"SELECT 1"
        ours.sendall(b"x" * 100_000)
        received = 0
        while received < 100_000:
            received += len(ours.recv(65536))
    thread.join(60)
    assert not thread.is_alive()
    ours.close()


def test_ports_as_people_write_them() -> None:
    assert parse_ports("5432") == (5432, 5432)
    assert parse_ports("15432:5432") == (15432, 5432)
    assert parse_ports("0:80") == (0, 80)
    for wrong in ("", "a:b", "1:2:3", "70000", "5432:0"):
        with pytest.raises(UsageError):
            parse_ports(wrong)


def test_masking_is_its_own_inverse() -> None:
    for size in (0, 1, 3, 4, 5, 1000):
        data = os.urandom(size)
        assert masked(masked(data, b"\x00\x01\xfe\xff"), b"\x00\x01\xfe\xff") == data
