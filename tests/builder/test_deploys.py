"""Deploys without git: archives sent over HTTP, good, broken and hostile ones; output kept; builds stopped."""

import bz2
import gzip
import http.client
import io
import json
import tarfile
import threading

import pytest

from tests.builder.test_push_refusals import APP, SLOW, build_runs, cause, wait_until

pytestmark = pytest.mark.engine
TOKEN = "d4" * 20


def archive(files: dict[str, str], *entries: tarfile.TarInfo, prefix: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(prefix + name)
            entry.size, entry.mode = len(text.encode()), 0o755 if text.startswith("#!") else 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
        for entry in entries:
            tar.addfile(entry, io.BytesIO(b"\0" * entry.size))
    return out.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, size
    return made


class Deployer:
    def __init__(self, builder):
        self.builder = builder
        self.pieces: list[bytes] = []  # of all answers, as they come
        builder.controller.tokens[TOKEN] = "dora"

    def app(self, name: str) -> str:
        self.builder.controller.apps.setdefault(name, set()).add("dora")
        return name

    def ask(self, method: str, path: str, body=None, token: str = TOKEN) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.builder.http_port, timeout=60)
        try:
            connection.request(method, path, body, headers={"Authorization": f"token {token}"})
            answer = connection.getresponse()
            said = []
            while piece := answer.read1():
                said.append(piece)
                self.pieces.append(piece)
            return answer.status, b"".join(said)
        finally:
            connection.close()

    def deploy(self, app: str, body: bytes, query: str = "", token: str = TOKEN) -> tuple[str, dict]:
        """(what it prints, how it ended)."""
        status, answer = self.ask("POST", f"/builder/apps/{app}/deploy{query}", body, token)
        assert status == 200, answer
        items = [json.loads(line) for line in answer.splitlines() if line.strip()]
        return "".join(item.get("output", "") for item in items), items[-1]


@pytest.fixture
def deployer(builder):
    return Deployer(builder)


def test_an_archive_is_built_like_a_push_and_its_output_kept(deployer, controller):
    app = deployer.app("tarry")
    commit = "ab" * 20
    out, end = deployer.deploy(app, gzip.compress(archive(APP)), f"?ref=v1&commit={commit}")
    assert "-----> Python app detected" in out and "Done, tarry:v" in out and end["state"] == "succeeded"
    run = list(controller.runs.values())[-1]
    assert (run["source"], run["ref"], run["sha"], run["receive_user"]) == ("upload", "v1", commit, "dora")
    assert controller.builds[-1]["sha"] == commit[:8] and controller.builds[-1]["run"] == run["uuid"]
    status, kept = deployer.ask("GET", f"/builder/apps/{app}/builds/{run['number']}/output")
    assert status == 200 and kept.decode() == out
    for body in (bz2.compress(archive(APP)), archive(APP, prefix="./")):
        assert deployer.deploy(app, body)[1]["state"] == "succeeded"
    wait_until(lambda: not list((deployer.builder.data / "uploads").iterdir()), 5, "an archive stays")


@pytest.mark.parametrize(
    ("what", "body", "words"),
    [
        ("traversal", archive({"../../etc/x": "1"}), "can't be unpacked"),
        ("absolute", archive({"/etc/x": "1"}), "can't be unpacked"),
        ("through a link", archive({}, entry("a", tarfile.SYMTYPE, "/etc"), entry("a/x")), "both as a folder"),
        ("device", archive({}, entry("d", tarfile.CHRTYPE)), "neither file, folder nor link"),
        ("pipe", archive({}, entry("d", tarfile.FIFOTYPE)), "neither file, folder nor link"),
        ("hard link out", archive({}, entry("d", tarfile.LNKTYPE, "/etc/passwd")), "can't be unpacked"),
        ("hard link nowhere", archive({}, entry("d", tarfile.LNKTYPE, "e")), "leads nowhere"),
        ("hard link through a link",
         archive({}, entry("a", tarfile.SYMTYPE, "/etc"), entry("d", tarfile.LNKTYPE, "a/passwd")), "leads nowhere"),
        ("twice", archive({"a": "1"}, entry("a")), "twice"),
        ("git inside", archive({".git/config": "1"}), "can't be unpacked"),
        ("noise", b"\x00\x01" * 2000, "can't be read"),
        ("cut off", gzip.compress(archive(APP), mtime=0)[:60], "can't be read"),
        ("no tar", b"<html>", "can't be read"),
        ("huge header", gzip.compress(archive({}, entry("x", tarfile.XHDTYPE, size=8 << 20)), mtime=0),
         "larger than any real"),
    ],
)  # fmt: skip
def test_a_hostile_archive_is_refused_in_one_line(deployer, what, body, words):
    out, end = deployer.deploy(deployer.app("hostile"), body)
    lines = [line for line in out.splitlines() if line.startswith(" !     ")]
    assert end["state"] == "failed" and len(lines) == 1 and words in lines[0], out


def test_an_archive_bomb_is_refused_while_it_is_unpacked(start_builder, controller):
    small = Deployer(start_builder("bombs", BUILD_SOURCE_BYTES=str(4 << 20), BUILD_POOL="0"))
    app = small.app("bomb")
    bomb = gzip.compress(archive({}, entry("zeros", size=64 << 20)))
    assert "unpacks to more than 4 MiB" in small.deploy(app, bomb)[0]
    links = archive({"a": "x" * (1 << 20)}, *(entry(f"l{n}", tarfile.LNKTYPE, "a") for n in range(9)))
    assert "unpacks to more than 4 MiB" in small.deploy(app, links)[0]
    status, text = small.ask("POST", f"/builder/apps/{app}/deploy", b"x" * (5 << 20))
    assert status == 413 and b"larger than 4 MiB" in text


def test_only_who_may_deploy_gets_in(deployer, controller):
    app = deployer.app("closed")
    controller.tokens["e5" * 20] = "eve"
    for path in (f"/builder/apps/{app}/deploy", f"/builder/apps/{app}/builds/1/cancel"):
        assert deployer.ask("POST", path, b"", "f6" * 20)[0] == 401
        assert deployer.ask("POST", path, b"", "e5" * 20)[0] == 403
    assert deployer.ask("GET", f"/builder/apps/{app}/builds/1/output", token="e5" * 20)[0] == 403
    assert deployer.ask("POST", "/builder/apps/nothere/deploy", b"")[0] == 404
    assert deployer.ask("POST", f"/builder/apps/{app}/deploy", b"")[0] == 400
    assert deployer.ask("POST", f"/builder/apps/{app}/deploy?ref=$(id)", b"x")[0] == 400
    assert deployer.ask("GET", f"/builder/apps/{app}/builds/99/output")[0] == 404


def test_deploys_of_one_app_wait_for_each_other_and_can_be_stopped(deployer, controller):
    app = deployer.app("orderly")
    outs: dict[str, tuple[str, dict]] = {}
    first = threading.Thread(target=lambda: outs.update(first=deployer.deploy(app, archive(SLOW))))
    first.start()
    wait_until(build_runs, 60, "the build doesn't start")
    number = list(controller.runs.values())[-1]["number"]
    second = threading.Thread(target=lambda: outs.update(second=deployer.deploy(app, archive(APP))))
    second.start()
    followed = threading.Thread(
        target=lambda: outs.update(
            followed=deployer.ask("GET", f"/builder/apps/{app}/builds/{number}/output?follow=true")
        )
    )
    followed.start()
    wait_until(lambda: b"Waiting for dora" in b"".join(deployer.pieces), 60, "the second deploy doesn't wait")
    wait_until(
        lambda: b"".join(deployer.pieces).count(b"waiting in the build") == 2,
        60,
        "nobody follows the first one's output",
    )
    assert deployer.ask("POST", f"/builder/apps/{app}/builds/{number}/cancel")[0] == 200
    wait_until(lambda: not build_runs(), 20, "the build goes on")
    for thread in (first, second, followed):
        thread.join(60)
    out, end = outs["first"]
    assert cause("remote: " + out.splitlines()[-1]) == ["The build was cancelled by dora."]
    assert end["state"] == "cancelled" and b"waiting in the build" in outs["followed"][1]
    out, end = outs["second"]
    assert end["state"] == "succeeded" and "Waiting for dora, who is deploying orderly since" in out
    assert deployer.ask("POST", f"/builder/apps/{app}/builds/{number}/cancel")[0] == 404


def test_a_folder_of_the_archive_can_be_the_app(deployer, controller):
    app = deployer.app("folded")
    controller.settings[app] = {"root": "services/api"}
    tree = {f"services/api/{name}": text for name, text in APP.items()}
    assert deployer.deploy(app, archive({**tree, "other/x": "1"}))[1]["state"] == "succeeded"
    assert "There is no folder services/api" in deployer.deploy(app, archive(APP))[0]


def test_a_push_that_touches_nothing_of_the_app_is_taken_and_not_built(builder, controller, tmp_path):
    client = builder.client(tmp_path / "c", apps=("mono",))
    controller.settings["mono"] = {"root": "api", "paths": ["api", "lib"]}
    path = client.repository("mono", {f"api/{name}": text for name, text in APP.items()})
    assert "Done, mono:v" in client.push(path)
    commit = client.commit(path, {"web/index.html": "x"})
    built = len(controller.builds)
    out = client.push(path)
    assert "Nothing in api, lib changed since" in out and len(controller.builds) == built
    assert controller.end_of("mono")["state"] == "skipped"
    assert (builder.data / "repos/mono.git/refs/heads/master").read_text().strip() == commit
    client.commit(path, {"lib/x": "1"})
    assert "Done, mono:v" in client.push(path)
