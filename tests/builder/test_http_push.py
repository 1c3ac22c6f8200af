"""git over HTTP: the same rules and words as over SSH, with a token."""

import gzip
import http.client
import os
import signal
import subprocess
import time

import pytest

from tests.builder.test_push_fuzz import commands, commit_of, pack, packet
from tests.builder.test_push_refusals import APP, SLOW, Pushing, build_runs, cause, head, wait_until

pytestmark = pytest.mark.engine
TOKEN = "a1" * 20
ZERO = "0" * 40


@pytest.fixture
def user(builder, tmp_path):
    """A client whose remote `deis` is HTTP, with a token in the URL; call it with the app's name and files."""
    builder.controller.tokens[TOKEN] = "alice"
    client = builder.client(tmp_path / "c")

    def made(app, files, token=TOKEN):
        builder.controller.apps.setdefault(app, set()).add("alice")
        path = client.repository(app, files)
        client.git("remote", "set-url", "deis", url(builder, app, token), cwd=path)
        return path

    made.client = client
    return made


def url(builder, app, token=TOKEN) -> str:
    return f"http://alice:{token}@127.0.0.1:{builder.http_port}/{app}.git"


def post(builder, app, service, body, token=TOKEN, **headers) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", builder.http_port, timeout=60)
    kind = {"Content-Type": f"application/x-git-{service}-request", "Authorization": f"Bearer {token}"}
    try:
        connection.request("POST", f"/{app}.git/git-{service}", body, headers={**kind, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_a_push_streams_the_build_and_is_recorded(builder, user):
    path = user("webby", APP)
    out = user.client.push(path)
    assert "remote: -----> Python app detected" in out and "Done, webby:v" in out and head(builder, "webby")
    end = builder.controller.end_of("webby")
    run = list(builder.controller.runs.values())[-1]
    assert (end["state"], run["source"], run["origin"], run["ref"]) == ("succeeded", "git-http", "127.0.0.1", "master")
    assert run["receive_user"] == "alice" and end["sha"] == head(builder, "webby")
    assert "Everything up-to-date" in user.client.push(path)
    user.client.git("clone", "-q", url(builder, "webby"), "copy")
    assert (user.client.folder / "copy" / "Procfile").read_text() == APP["Procfile"]


def test_large_bodies_come_chunked_and_packed(builder, user):
    path = user("bulky", {**APP, "noise.bin": os.urandom(3 << 20).hex()})
    assert "Done, bulky:v" in user.client.push(path)  # above http.postBuffer: probe, then chunked
    content, name = commit_of(b"")
    body = commands(f"{ZERO} {name} refs/heads/side") + pack((1, content), (2, b""))
    status, answer = post(builder, "bulky", "receive-pack", gzip.compress(body), **{"Content-Encoding": "gzip"})
    assert status == 200 and b"Only master and main are deployed" in answer


def test_refusals_read_as_over_ssh(builder, user):
    path = user("picky", {"notes.md": "x"})
    out = user.client.push(path, check=False)
    assert "No buildpack knows this app" in cause(out)[0] and "pre-receive hook declined" in out
    assert head(builder, "picky") == ""
    out = user.client.push(path, "master:feature", check=False)
    assert cause(out) == ["Only master and main are deployed. To deploy this branch: git push deis feature:master"]


def test_who_has_no_right_reads_why(builder, user):
    path = user("guarded", APP)
    git = user.client.git

    def push_to(address):
        return git("push", address, "master", cwd=path, check=False)

    for bad in ("b2" * 20, "password"):
        out = push_to(url(builder, "guarded", bad))
        assert "Authentication failed" in out or "could not read" in out
    assert "remote error: There is no app nothere." in push_to(url(builder, "nothere"))
    builder.controller.apps["foreign"] = {"mallory"}
    assert "remote error: You may not push to foreign. Its owner can allow it" in push_to(url(builder, "foreign"))
    assert post(builder, "foreign", "receive-pack", b"0000")[0] == 403
    assert post(builder, "guarded", "receive-pack", b"0000", token="c3" * 20)[0] == 401
    assert post(builder, "UPPER", "receive-pack", b"0000")[0] == 404
    assert post(builder, "guarded", "receive-pack", b"x", **{"Content-Type": "text/plain"})[0] == 415


def test_git_stores_its_login_through_a_credential_helper(builder, user):
    path = user("helped", APP)
    helper = "!f() { echo username=any; echo password=" + TOKEN + "; }; f"
    address = f"http://127.0.0.1:{builder.http_port}/helped.git"
    out = user.client.git("-c", f"credential.helper={helper}", "push", address, "master", cwd=path)
    assert "Done, helped:v" in out


def test_a_second_push_hears_who_holds_the_app_and_interrupting_stops_the_build(builder, user):
    path = user("webbusy", SLOW)
    first = Pushing(user.client, path)
    wait_until(build_runs, 20, "the build doesn't start")
    out = user.client.push(path, check=False)
    assert "remote error: Another git push is ongoing: alice is pushing webbusy since" in out
    content, name = commit_of(b"")
    body = commands(f"{ZERO} {name} refs/heads/master") + pack((1, content), (2, b""))
    status, answer = post(builder, "webbusy", "receive-pack", body)
    assert status == 200 and b"Another git push is ongoing" in answer and b"ng refs/heads/master refused" in answer
    os.killpg(first.process.pid, signal.SIGINT)
    first.finish()
    wait_until(lambda: not build_runs(), 2, "the build goes on")
    assert builder.controller.end_of("webbusy")["state"] == "cancelled"


def test_hostile_requests_get_an_answer_and_leave_nothing(builder, user):
    user("httpfuzz", APP)
    content, name = commit_of(b"")
    refs, good = commands(f"{ZERO} {name} refs/heads/master"), pack((1, content), (2, b""))
    broken = [refs + good[:-1] + bytes([good[-1] ^ 1]), refs + good[:30], refs, b"", b"0000", b"zzzz", b"\xff" * 5000]
    broken += [packet("x" * 60_000), b"0009\x00\x00\x00\x00\x00", gzip.compress(refs + good)[:40]]
    for body in broken:
        status, answer = post(builder, "httpfuzz", "receive-pack", body)
        assert status in (200, 400) and b"ok refs/heads/master" not in answer
    for body in (b"", b"0000", b"junk" * 100):
        assert post(builder, "httpfuzz", "upload-pack", body)[0] == 200
    status, _ = post(builder, "httpfuzz", "receive-pack", b"not gzip", **{"Content-Encoding": "gzip"})
    assert status in (200, 400)
    repository = builder.data / "repos" / "httpfuzz.git"
    wait_until(lambda: not list(repository.glob("objects/tmp_objdir*")), 60, "a quarantine stays")
    assert head(builder, "httpfuzz") == "" and builder.process.poll() is None
    wait_until(lambda: len(os.listdir(f"/proc/{builder.process.pid}/fd")) < 100, 60, "descriptors stay")


def test_a_client_that_hangs_up_frees_the_app(builder, user):
    user("hangup", APP)
    connection = http.client.HTTPConnection("127.0.0.1", builder.http_port, timeout=60)
    connection.putrequest("POST", "/hangup.git/git-receive-pack")
    for key, value in {
        "Content-Type": "application/x-git-receive-pack-request", "Authorization": f"token {TOKEN}",
        "Content-Length": "100000",
    }.items():  # fmt: skip
        connection.putheader(key, value)
    connection.endheaders()
    connection.send(packet(f"{ZERO} {'a' * 40} refs/heads/master\0 report-status"))
    time.sleep(0.3)
    out = subprocess.run(
        ["git", "ls-remote", url(builder, "hangup")], capture_output=True, text=True, env=user.client.env, timeout=60
    )
    assert out.returncode == 0
    connection.close()

    def pushes() -> bool:
        status, answer = post(builder, "hangup", "receive-pack", commands(f"{ZERO} {'a' * 40} refs/heads/x") + b"PACK")
        return b"ongoing" not in answer

    wait_until(pushes, 60, "the app stays held")
