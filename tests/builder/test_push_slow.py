"""Slow clients over real sockets, at a real builder: each is given up in time and told in one line, and nobody else
notices. The builder's patience is shortened; what it does when it ends is its own."""

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import time

import pytest

from tests.builder.conftest import wait_for_port
from tests.builder.test_push_fuzz import commands, commit_of, pack
from tests.builder.test_push_refusals import wait_until

pytestmark = pytest.mark.engine
TOKEN = "e7" * 20
ZERO = "0" * 40
CONTENT, NAME = commit_of(b"")
REFS = commands(f"{ZERO} {NAME} refs/heads/master")
PACK = pack((1, CONTENT), (2, b""), (3, os.urandom(1 << 16)))
QUICK = {"package.json": '{"name": "n", "version": "1.0.0"}', "index.js": "1"}
LOUD = {**QUICK, "bin/pre_compile": "#!/bin/sh\nyes this build says the same again and again | head -c 300000000\n"}
PATIENCE = "from builder import pace\npace.SILENCE, pace.GRACE, pace.STALL, pace.SLOWEST = 2.0, 2.0, 3.0, 1024\n"


@pytest.fixture(scope="module")
def hasty(start_builder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("patience")
    (folder / "sitecustomize.py").write_text(PATIENCE)
    running = start_builder("hasty", PYTHONPATH=str(folder), BUILD_MEMORY=str(256 << 20))
    running.controller.tokens[TOKEN] = "alice"
    wait_for_port(running.http_port, running.process)
    return running


@pytest.fixture
def slow(hasty, tmp_path, request):
    """A client, and an app of its own that is as free afterwards as before."""
    app = request.node.name.replace("test_", "").replace("_", "-")[:40].strip("-")
    client = hasty.client(tmp_path / "slow", apps=(app,))
    yield app, client
    path = client.repository(app, QUICK)
    assert f"Done, {app}:v" in client.push(path), "the app is held"
    repository = hasty.data / "repos" / f"{app}.git"
    assert not list(repository.glob("objects/tmp_objdir*")) and not list(repository.glob("objects/incoming*"))
    assert hasty.process.poll() is None


def connected(hasty, app):
    """A socket on which a chunked push has begun, its commands sent."""
    link = socket.create_connection(("127.0.0.1", hasty.http_port), timeout=60)
    head = (
        f"POST /{app}.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Content-Type: application/x-git-receive-pack-request\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    link.sendall(head.encode() + chunk(REFS + PACK[:20]))
    return link


def chunk(data):
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def session(hasty, client, app):
    """git's receiving service over ssh; its commands are sent, its list of refs is read."""
    words = shlex.split(client.env["GIT_SSH_COMMAND"])
    words += ["-p", str(hasty.port), "git@127.0.0.1", f"git-receive-pack '{app}.git'"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process.stdin.write(REFS + PACK[:20])
    process.stdin.flush()
    return process


def dribble(send):
    """A byte now and then, until the other side has had enough."""
    deadline, rest = time.monotonic() + 60, byte_by_byte()
    with contextlib.suppress(OSError):
        while time.monotonic() < deadline:
            send(next(rest))
            time.sleep(0.1)


def byte_by_byte():
    """What is missing of the pack."""
    return (bytes([one]) for one in PACK[20:])


def another_push(hasty, tmp_path, app):
    client = hasty.client(tmp_path / "other", apps=(app,))
    assert f"Done, {app}:v" in client.push(client.repository(app, QUICK))


def everything(link):
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while data := link.recv(1 << 16):
            said += data
            if b"\r\n0\r\n\r\n" in said:
                break
    return said


def test_a_trickle_over_http(hasty, slow, tmp_path):
    app, _ = slow
    with connected(hasty, app) as link:
        link.settimeout(0.1)
        said, deadline, rest = b"", time.monotonic() + 60, byte_by_byte()
        while b"0000" not in said.partition(b"ng refs")[2] and time.monotonic() < deadline:
            with contextlib.suppress(BrokenPipeError):
                link.sendall(chunk(next(rest)))
            with contextlib.suppress(TimeoutError):
                said += link.recv(1 << 16)
        assert b"The push comes too slowly" in said and b"ng refs/heads/master" in said, said
        assert said.count(b" !     ") == 1


def test_silence_over_http(hasty, slow, tmp_path):
    app, _ = slow
    with connected(hasty, app) as link:
        another_push(hasty, tmp_path, "beside-silence")
        said = everything(link)
    assert said.count(b" !     Nothing came for 2 s: the push is given up.") == 1 and b"ng refs/heads/master" in said


def test_a_trickle_over_ssh(hasty, slow):
    process = session(hasty, slow[1], slow[0])

    def send(data):
        process.stdin.write(data)
        process.stdin.flush()

    dribble(send)
    with contextlib.suppress(OSError):
        process.stdin.close()
    said = process.stdout.read()
    assert process.wait(60) == 1 and said.count(b" !     The push comes too slowly") == 1, said


def test_a_client_that_froze_over_ssh(hasty, slow, tmp_path):
    process = session(hasty, slow[1], slow[0])
    wait_until(lambda: is_held(hasty, slow[0]), 60, "the push doesn't begin")
    process.send_signal(signal.SIGSTOP)  # its machine keeps the connection open, and nothing comes
    try:
        another_push(hasty, tmp_path, "beside-frozen")
        wait_until(lambda: not is_held(hasty, slow[0]), 60, "the app is held by who is gone")
    finally:
        process.send_signal(signal.SIGCONT)
        process.stdin.close()
        said = process.stdout.read()
        process.wait(60)
    assert said.count(b"Nothing came for 2 s") == 1, said


def is_held(hasty, app):
    """Whether git works on a push of the app."""
    command = ["pgrep", "-f", f"receive-pack.*{hasty.data}/repos/{app}.git"]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_a_client_that_reads_no_output(hasty, slow, tmp_path):
    app, client = slow
    loud = hasty.client(tmp_path / "loud", apps=(app,))
    path = loud.repository(app, LOUD)
    words = ["git", "push", "deis", "master"]
    process = subprocess.Popen(
        words, cwd=path, env=loud.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        wait_until(lambda: is_held(hasty, app), 60, "the push doesn't begin")
        while b"the same again" not in process.stdout.readline():
            pass
        os.killpg(process.pid, signal.SIGSTOP)
        another_push(hasty, tmp_path, "beside-unread")
        wait_until(lambda: not is_held(hasty, app), 60, "the app is held by who doesn't read")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        process.stdout.close()
    end = hasty.controller.end_of(app)
    assert end["state"] in ("cancelled", "failed"), end
