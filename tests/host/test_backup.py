"""A backup is whole while others write, says when it is damaged, and fits another machine's ports."""

from __future__ import annotations

import base64
import json
import sqlite3
import tarfile
import threading
from pathlib import Path

import pytest

from host import backup, restore
from host.errors import HostError
from host.settings import PORTS, Platform, load, next_free_port

OLD = "127.0.0.1:5999"


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """The files of a platform, as its programs leave them."""
    home = tmp_path / "home"
    for folder in ("run", "controller", "orchestrator/pki", "secrets", "operator", "registry/blobs", "builder/repos/a"):
        (home / folder).mkdir(parents=True)
    made = Platform(home=home, registry_port=5999)
    made.save()
    with sqlite3.connect(home / "controller/db.sqlite3") as rows:
        rows.execute("PRAGMA journal_mode=WAL")
        rows.execute("CREATE TABLE controller_build (image TEXT)")
        rows.execute("CREATE TABLE pairs (one INTEGER, two INTEGER)")
        rows.execute("INSERT INTO controller_build VALUES (?)", (f"{OLD}/blue@sha256:1",))
    with sqlite3.connect(home / "orchestrator/store.db") as log:
        log.execute("CREATE TABLE log (revision INTEGER PRIMARY KEY, resource TEXT, value BLOB)")
        pull = base64.b64encode(json.dumps({"auths": {OLD: {}}}).encode()).decode()
        secret = {"kind": "Secret", "data": {".dockerconfigjson": pull}}
        pod = {"kind": "Pod", "spec": {"image": f"{OLD}/blue@sha256:1"}}
        for number, (resource, value) in enumerate((("secrets", secret), ("pods", pod), ("nodes", {}))):
            log.execute("INSERT INTO log VALUES (?, ?, ?)", (number, resource, json.dumps(value).encode()))
    (home / "secrets/django.key").write_text("a secret\n")
    (home / "operator/admin.json").write_text(json.dumps({"controller": made.url}))
    (home / "builder/repos/a/HEAD").write_text("ref: refs/heads/main\n")
    return made


@pytest.fixture
def other_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: set[int] = set()
    for name in PORTS:
        taken.add(port := next_free_port(22750, taken))
        monkeypatch.setenv(f"PAAS_{name.upper()}", str(port))


def test_a_platform_comes_back_under_other_ports(platform, other_ports, tmp_path):
    backup.back_up(platform, tmp_path / "b.tar")
    there = tmp_path / "there"
    fresh = restore.restore(there, tmp_path / "b.tar")
    assert load(there) == fresh and fresh.registry_port != 5999 and fresh.pod_cidr == platform.pod_cidr
    assert (there / "secrets/django.key").read_text() == "a secret\n"
    assert (there / "builder/repos/a/HEAD").exists()
    assert json.loads((there / "operator/admin.json").read_text())["controller"] == fresh.url
    image = f"{fresh.registry_host}/blue@sha256:1"
    with sqlite3.connect(there / "controller/db.sqlite3") as rows:
        assert rows.execute("SELECT image FROM controller_build").fetchone() == (image,)
    with sqlite3.connect(there / "orchestrator/store.db") as log:
        values = {resource: json.loads(value) for resource, value in log.execute("SELECT resource, value FROM log")}
    assert values["pods"]["spec"]["image"] == image
    pull = json.loads(base64.b64decode(values["secrets"]["data"][".dockerconfigjson"]))
    assert list(pull["auths"]) == [fresh.registry_host]


def test_nodes_of_another_machine_stay_behind(platform, other_ports, tmp_path, monkeypatch):
    backup.back_up(platform, tmp_path / "b.tar")
    monkeypatch.setattr(Platform, "node_name", "elsewhere")
    restore.restore(tmp_path / "there", tmp_path / "b.tar")
    with sqlite3.connect(tmp_path / "there/orchestrator/store.db") as log:
        assert [name for (name,) in log.execute("SELECT resource FROM log")] == ["secrets"]


def test_a_database_is_copied_between_transactions(platform, tmp_path):
    """A writer keeps both columns alike and never stops; every copy has them alike."""
    stop = threading.Event()

    def write() -> None:
        with sqlite3.connect(platform.home / "controller/db.sqlite3", timeout=30) as rows:
            number = 0
            while not stop.is_set():
                number += 1
                rows.execute("INSERT INTO pairs VALUES (?, 0)", (number,))
                rows.execute("UPDATE pairs SET two = one")
                rows.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            copy = tmp_path / f"{number}.db"
            backup.copy_database(platform.home / "controller/db.sqlite3", copy)
            with sqlite3.connect(copy) as rows:
                assert rows.execute("SELECT count(*) FROM pairs WHERE one != two").fetchone() == (0,)
                assert rows.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        stop.set()
        writer.join(timeout=10)


@pytest.mark.parametrize("hurt", ["cut", "changed"])
def test_a_damaged_backup_restores_nothing(platform, other_ports, tmp_path, hurt):
    file = tmp_path / "b.tar"
    backup.back_up(platform, file)
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] if hurt == "cut" else content.replace(b"a secret", b"another!"))
    with pytest.raises(HostError, match="damaged|no whole backup"):
        restore.restore(tmp_path / "there", file)
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file"),
        ("text", "it is no tar file"),
        ("another", "has no manifest.json"),
        ("list", "has no"),
    ],
)
def test_what_is_no_backup_is_refused_in_a_sentence(tmp_path, other_ports, content, words):
    file = tmp_path / "b.tar"
    if content == "text":
        file.write_text("hello\n")
    elif content is not None:
        name = "manifest.json" if content == "list" else "README.md"
        (tmp_path / name).write_text("[1]")
        with tarfile.open(file, "w") as archive:
            archive.add(tmp_path / name, name)
    with pytest.raises(HostError, match=words) as caught:
        restore.restore(tmp_path / "there", file)
    assert "\n" not in str(caught.value) and "othing was restored" in str(caught.value)
    assert not (tmp_path / "there").exists() and not (tmp_path / "there.restoring").exists()


def test_nothing_that_exists_is_written_over(platform, tmp_path):
    backup.back_up(platform, tmp_path / "b.tar")
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    with pytest.raises(HostError, match="exists already"):
        backup.back_up(platform, tmp_path / "b.tar")
    with pytest.raises(HostError, match="isn't empty"):
        restore.restore(platform.home, tmp_path / "b.tar")
