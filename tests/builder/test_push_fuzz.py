"""Hostile clients: broken packs, refs and commands get one line, and the server goes on."""

import hashlib
import http.client
import os
import random
import struct
import subprocess
import time
import zlib

import pytest

pytestmark = pytest.mark.engine
ZERO = "0" * 40
TOKEN = "f5" * 20


def packet(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return f"{len(data) + 4:04x}".encode() + data


def commands(*updates: str) -> bytes:
    first, *rest = updates
    return packet(first + "\0 report-status side-band-64k") + b"".join(map(packet, rest)) + b"0000"


def pack(*objects: tuple[int, bytes]) -> bytes:
    """A pack of whole objects: (type number, content)."""
    body = b"PACK" + struct.pack(">II", 2, len(objects))
    for kind, content in objects:
        size, first = len(content), (kind << 4) | (len(content) & 15)
        size >>= 4
        while size:
            body += bytes([first | 128])
            first, size = size & 127, size >> 7
        body += bytes([first]) + zlib.compress(content)
    return body + hashlib.sha1(body).digest()


def sha(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content).hexdigest()


def commit_of(tree: bytes) -> tuple[bytes, str]:
    who = b"T <t@example.test> 1700000000 +0000"
    content = b"tree " + sha("tree", tree).encode() + b"\nauthor " + who + b"\ncommitter " + who + b"\n\nx\n"
    return content, sha("commit", content)


def talk(client, builder, app: str, payload: bytes, seconds: float = 90) -> bytes:
    """Everything the server says to `payload` after its advertisement."""
    ssh = client.env["GIT_SSH_COMMAND"].split() + [
        "-p",
        str(builder.port),
        "git@127.0.0.1",
        f"git-receive-pack '{app}.git'",
    ]
    done = subprocess.run(ssh, input=payload, capture_output=True, timeout=seconds)
    return done.stdout + done.stderr


def push_tree(client, builder, app, tree: bytes, *more: tuple[int, bytes]) -> bytes:
    content, name = commit_of(tree)
    payload = commands(f"{ZERO} {name} refs/heads/master") + pack((1, content), (2, tree), *more)
    return talk(client, builder, app, payload)


@pytest.fixture
def target(builder, tmp_path):
    client = builder.client(tmp_path / "c", apps=("fuzzed",))
    yield client
    repo = builder.data / "repos" / "fuzzed.git"
    assert not (repo / "refs/heads/master").exists()
    deadline = time.monotonic() + 60
    while list(repo.glob("objects/tmp_objdir*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(repo.glob("objects/tmp_objdir*"))
    assert client.git("ls-remote", f"ssh://git@127.0.0.1:{builder.port}/fuzzed.git") == ""


def test_broken_packs_are_refused(builder, target):
    content, name = commit_of(b"")
    good = pack((1, content), (2, b""))
    refs = commands(f"{ZERO} {name} refs/heads/master")
    for broken in (good[:-1] + bytes([good[-1] ^ 1]), b"PACK" + b"\0" * 30, good[:20], b"", b"noise" * 50):
        out = talk(target, builder, "fuzzed", refs + broken)
        assert b"ok refs/heads/master" not in out


@pytest.mark.parametrize("names", [["refs/heads/" + "x" * 60_000], [f"refs/heads/b{number}" for number in range(3000)]])
def test_huge_refs_and_many_move_nothing(builder, target, names):
    content, name = commit_of(b"")
    payload = commands(*(f"{ZERO} {name} {one}" for one in names)) + pack((1, content), (2, b""))
    out = talk(target, builder, "fuzzed", payload)
    assert b"\x00ok " not in out and b"Traceback" not in out and builder.process.poll() is None


def test_broken_packs_are_refused_over_http(builder, target):
    builder.controller.tokens[TOKEN] = "alice"
    builder.controller.apps.setdefault("fuzzed", set()).add("alice")
    content, name = commit_of(b"")
    good, refs = pack((1, content), (2, b"")), commands(f"{ZERO} {name} refs/heads/master")
    dice = random.Random(11)
    broken = [good[: dice.randrange(1, len(good))] for _ in range(4)]
    broken += [good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :] for at in (6, 15, len(good) - 1)]
    for one in broken:
        status, out = post(builder, "fuzzed", refs + one)
        assert status == 200 and b"ok refs/heads/master" not in out and b"Traceback" not in out, out
        assert b"unpack" in out or b"ng refs/heads/master" in out, out
    for noise in (dice.randbytes(5000), b"0" * 100, b"ffff" + b"x" * 100):
        assert post(builder, "fuzzed", noise)[0] in (200, 400)


def post(builder, app: str, body: bytes) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", builder.http_port, timeout=60)
    kind = {"Content-Type": "application/x-git-receive-pack-request", "Authorization": f"Bearer {TOKEN}"}
    try:
        connection.request("POST", f"/{app}.git/git-receive-pack", body, headers=kind)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_missing_objects_are_refused(builder, target):
    content, name = commit_of(b"")
    out = talk(target, builder, "fuzzed", commands(f"{ZERO} {name} refs/heads/master") + pack((1, content)))
    assert b"ok refs/heads/master" not in out and (b"unpack" in out or b"missing" in out)


@pytest.mark.parametrize("name", [b"..", b".", b".git", b".GIT", b"a/b", b""])
def test_trees_with_hostile_names_are_refused(builder, target, name):
    blob = b"x"
    tree = b"100644 " + name + b"\0" + bytes.fromhex(sha("blob", blob))
    out = push_tree(target, builder, "fuzzed", tree, (3, blob))
    assert b"ok refs/heads/master" not in out


@pytest.mark.parametrize(
    "ref", ["refs/heads/../../x", "refs/heads/a..b", "HEAD", "refs/heads/x.lock", "/etc/passwd", "refs/heads/ü\x01"]
)
def test_hostile_refs_move_nothing(builder, target, ref):
    content, name = commit_of(b"")
    out = talk(target, builder, "fuzzed", commands(f"{ZERO} {name} {ref}") + pack((1, content), (2, b"")))
    assert b"\x00ok " not in out and b"ok " + ref.encode() not in out


def test_noise_and_slow_clients_do_not_stop_others(builder, target, tmp_path):
    dice = random.Random(7)
    for size in (1, 10, 1000, 100_000):
        talk(target, builder, "fuzzed", dice.randbytes(size))
    ssh = target.env["GIT_SSH_COMMAND"].split() + [
        "-p",
        str(builder.port),
        "git@127.0.0.1",
        "git-receive-pack 'fuzzed.git'",
    ]
    slow = subprocess.Popen(ssh, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        slow.stdin.write(b"0")
        slow.stdin.flush()
        other = builder.client(tmp_path / "o", apps=("unfuzzed",))
        files = {"requirements.txt": "", "Procfile": "web: x\n"}
        assert "Done, unfuzzed:v" in other.push(other.repository("unfuzzed", files))
    finally:
        slow.kill()
        slow.wait()
    assert builder.process.poll() is None
    descriptors = len(os.listdir(f"/proc/{builder.process.pid}/fd"))
    assert descriptors < 100
