"""Deploys without a push: what is sent, what is shown, and what a build's record says."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile

import pytest

from cli.ignore import is_ignored, kept_files, parse_rule

pytestmark = pytest.mark.usefixtures("logged_in")
DEPLOY = "POST /builder/apps/hello/deploy"
RUN = {
    "number": 7, "state": "failed", "by": "bob", "source": "git-ssh", "origin": "192.0.2.1", "ref": "master",
    "sha": "ab" * 20, "created": "2026-01-02T03:04:05Z", "seconds": 2.5, "release": None, "image": None,
    "cause": "no lock file", "hint": "npm install",
}  # fmt: skip


def lines(*items) -> bytes:
    return b"".join(json.dumps(item).encode() + b"\n" for item in items)


def sent(platform) -> dict[str, bytes]:
    (body,) = platform.bodies(DEPLOY)
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}


def test_a_folder_is_sent_without_what_gitignore_names(platform, paas, home):
    platform.on(DEPLOY, lines({"output": "-----> Python app detected\n"}, {"state": "succeeded", "number": 1}))
    folder = home / "hello"
    for name in ("app.py", "a.log", "keep.log", "node_modules/x.js", "src/b.tmp", "src/c.py", ".env"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    (folder / ".gitignore").write_text("*.log\n!keep.log\nnode_modules/\n.env\n")
    (folder / "src/.gitignore").write_text("*.tmp\n")
    done = paas("deploy", "-a", "hello")
    assert (done.code, done.out) == (0, "-----> Python app detected\n")
    assert set(sent(platform)) == {"app.py", "keep.log", "src/c.py", ".gitignore", "src/.gitignore"}
    assert platform.asked[-1].headers["Authorization"] == "token " + "a" * 40


def test_a_repository_sends_what_git_would_commit(platform, paas, repository):
    platform.on(DEPLOY, lines({"state": "succeeded", "number": 1}))
    (repository / "tracked.log").write_text("1")
    subprocess.run(["git", "add", "-f", "."], cwd=repository, check=True)
    (repository / ".gitignore").write_text("*.log\n")
    (repository / "new.py").write_text("2")
    (repository / "other.log").write_text("3")
    assert paas("deploy", str(repository), "-a", "hello").code == 0
    assert set(sent(platform)) == {"tracked.log", ".gitignore", "new.py"}


def test_a_ref_is_sent_with_its_commit(platform, paas, repository):
    platform.on(DEPLOY, lines({"state": "skipped", "number": 1}))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.test"]
    (repository / "x").write_text("committed")
    subprocess.run(["git", "add", "."], cwd=repository, check=True)
    subprocess.run([*git, "commit", "-q", "-m", "x"], cwd=repository, check=True)
    subprocess.run(["git", "tag", "v1"], cwd=repository, check=True)
    (repository / "x").write_text("changed since")
    assert paas("deploy", "--ref", "v1", "-a", "hello").code == 0
    assert sent(platform) == {"x": b"committed"}
    commit = subprocess.run(["git", "rev-parse", "v1"], cwd=repository, capture_output=True, text=True).stdout.strip()
    assert f"commit={commit}" in platform.asked[-1].path and "ref=v1" in platform.asked[-1].path
    assert "has no v9" in paas("deploy", "--ref", "v9", "-a", "hello").err


def test_a_failed_deploy_exits_with_1_and_a_refused_one_says_why(platform, paas, home):
    (home / "hello/x").write_text("1")
    platform.on(DEPLOY, lines({"output": " !     no lock file\n"}, {"state": "failed", "number": 3}))
    done = paas("deploy", "-a", "hello")
    assert (done.code, done.out) == (1, " !     no lock file\n")
    platform.on(DEPLOY, b"The archive is larger than 2 GiB; large files belong elsewhere.\n", 413)
    assert "larger than 2 GiB" in paas("deploy", "-a", "hello").err
    platform.on(DEPLOY, lines({"output": "x"}))
    assert "stopped in the middle" in paas("deploy", "-a", "hello").err
    assert paas("deploy", "nothere", "-a", "hello").code == 2
    (home / "empty").mkdir()
    assert "nothing to send" in paas("deploy", str(home / "empty"), "-a", "hello").err


def test_builds_are_shown_with_their_cause_and_the_next_command(platform, paas):
    platform.page("/v2/apps/hello/build-runs/", [RUN])
    assert (
        "failed  2026-01-02T03:04:05Z  2.5 s  bob  git-ssh  abababab           no lock file"
        in paas("builds", "--all", "-a", "hello").out
    )
    out = paas("builds:info", "-a", "hello").out
    assert "from:     git-ssh 192.0.2.1" in out and "next:     npm install" in out
    platform.page("/v2/apps/hello/build-runs/", [])
    assert paas("builds", "--all", "-a", "hello").code == 0
    assert "no build yet" in paas("builds:info", "-a", "hello").err
    assert paas("builds:info", "x", "-a", "hello").code == 2


def test_output_is_printed_and_a_build_stopped(platform, paas):
    platform.on("GET /v2/apps/hello/build-runs/7/", RUN)
    platform.on("GET /builder/apps/hello/builds/7/output", b"-----> one\n\n       two\n")
    assert paas("builds:output", "7", "-a", "hello").out == "-----> one\n\n       two\n"
    assert paas("builds:output", "7", "-f", "-a", "hello").code == 1  # it failed
    platform.on("GET /v2/apps/hello/build-runs/7/", {**RUN, "state": "building"})
    platform.on("POST /builder/apps/hello/builds/7/cancel", {"number": 7})
    assert paas("builds:cancel", "7", "-a", "hello").out == "Cancelling build 7... done\n"
    platform.on("GET /v2/apps/hello/build-runs/8/", {**RUN, "number": 8, "state": "queued"})
    platform.on("POST /v2/apps/hello/build-runs/8/cancel", {**RUN, "state": "cancelled"})
    assert paas("builds:cancel", "8", "-a", "hello").code == 0


def test_build_settings_are_sent_as_what_they_are(platform, paas):
    route = "/v2/apps/hello/build-settings/"
    platform.on(f"POST {route}", {}, 201)
    platform.on(f"GET {route}", {"root": "api", "paths": ["api", "lib"], "submodules": True})
    done = paas("builds:set", "root=api", "paths=api,lib", "submodules=yes", "-a", "hello")
    assert platform.bodies(f"POST {route}") == [{"root": "api", "paths": ["api", "lib"], "submodules": True}]
    assert "paths       api,lib" in done.out and "submodules  yes" in done.out
    paas("builds:unset", "root", "-a", "hello")
    assert platform.bodies(f"POST {route}")[-1] == {"root": None}
    assert paas("builds:set", "colour=red", "-a", "hello").code == 2


def test_a_remote_over_http_takes_the_login_from_paas(platform, paas, repository, monkeypatch):
    assert paas("git:remote", "--http", "-a", "hello").code == 0
    url = subprocess.run(["git", "remote", "get-url", "deis"], capture_output=True, text=True).stdout.strip()
    assert url == f"{platform.url}/hello.git"
    config = subprocess.run(["git", "config", "--local", "--list"], capture_output=True, text=True).stdout
    assert f"credential.{platform.url}.helper=!" in config and "a" * 40 not in config
    asked = f"protocol=http\nhost=paas.localhost:{platform.port}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(asked))
    assert paas("git:credential", "get").out == f"username=bob\npassword={'a' * 40}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("protocol=http\nhost=elsewhere.example\n"))
    assert paas("git:credential", "get").out == ""
    monkeypatch.setattr("sys.stdin", io.StringIO(asked))
    assert paas("git:credential", "erase").out == ""


def test_connecting_shows_key_webhook_and_secret(platform, paas):
    source = {
        "url": "ssh://git@h/x",
        "branch": "main",
        "owner": "bob",
        "public_key": "ssh-ed25519 AAAA",
        "webhook": "w",
    }
    platform.on("POST /v2/apps/hello/git/", {**source, "secret": "s3cret"}, 201)
    out = paas("git:connect", "git@h:x", "--branch", "main", "-a", "hello").out
    assert "ssh-ed25519 AAAA" in out and "s3cret" in out
    platform.on("POST /v2/apps/hello/build-runs/", {**RUN, "state": "queued"}, 201)
    assert "Build 7 is queued" in paas("git:deploy", "--no-wait", "-a", "hello").out


@pytest.mark.parametrize(
    ("rule", "name", "ignored"),
    [
        ("*.log", "a/b.log", True),
        ("/a.log", "b/a.log", False),
        ("/a.log", "a.log", True),
        ("doc/*.txt", "doc/a.txt", True),
        ("doc/*.txt", "doc/x/a.txt", False),
        ("**/tmp", "a/b/tmp", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**", "a/x", True),
        ("build/", "build", False),
        ("[!a].c", "b.c", True),
        ("[!a].c", "a.c", False),
        (r"\#x", "#x", True),
        ("#x", "#x", False),
        ("?.py", "ab.py", False),
    ],
)
def test_rules_mean_what_git_means(rule, name, ignored):
    rules = [one for one in [parse_rule(rule)] if one]
    assert is_ignored(name, False, [("", rules)]) is ignored


def test_kept_files_agree_with_git(home):
    folder = home / "hello"
    names = ["a.py", "x/a.py", "x/b.log", "x/y/c.log", "x/keep.log", "build/out", "src/build", "d/e/f.txt", "d/g.txt"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    (folder / ".gitignore").write_text("*.log\n!keep.log\nbuild/\n/d/*\n!/d/e\n")
    mine = kept_files(folder)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    out = subprocess.run(
        ["git", "ls-files", "-o", "--exclude-standard"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert mine == sorted(out.splitlines())
