"""Backup and restore of a platform whose database is PostgreSQL's, over a server of our own."""

from __future__ import annotations

import json
import sqlite3
import tarfile
from pathlib import Path

import psycopg
import pytest

from host import backup, choices, postgres, restore
from host.errors import HostError
from host.settings import PORTS, Platform, next_free_port
from tests.controller import postgres_server

OLD = "127.0.0.1:5999"
IMAGE = f"{OLD}/blue@sha256:1"


@pytest.fixture(scope="module")
def server():
    with postgres_server.started() as url:
        yield url


@pytest.fixture
def databases(server):
    """Two fresh databases: one of a platform, one that is empty."""
    urls = []
    with psycopg.connect(server, autocommit=True) as connection:
        for name in ("used", "empty"):
            connection.execute(f"DROP DATABASE IF EXISTS {name} (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
            urls.append(server.rpartition("/")[0] + f"/{name}")
    with psycopg.connect(urls[0]) as connection:
        connection.execute("CREATE TABLE controller_build (id serial PRIMARY KEY, image text)")
        connection.execute("INSERT INTO controller_build (image) VALUES (%s), ('elsewhere/x:1')", (IMAGE,))
    return urls


@pytest.fixture
def platform(tmp_path: Path, databases, monkeypatch: pytest.MonkeyPatch) -> Platform:
    """A platform that was once told of its database by `make up`, and later by nobody."""
    for name in choices.KEPT:
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    for folder in ("run", "orchestrator", "controller"):
        (home / folder).mkdir(parents=True)
    (home / "controller" / "db.sqlite3").write_bytes(b"of before PostgreSQL")
    with sqlite3.connect(home / "orchestrator" / "store.db") as log:
        log.execute("CREATE TABLE log (revision INTEGER PRIMARY KEY, resource TEXT, value BLOB)")
    made = Platform(home=home, registry_port=5999)
    made.save()
    choices.remember(home, {"PAAS_DATABASE_URL": databases[0]})
    environ: dict[str, str] = {}
    choices.recall(home, environ)
    monkeypatch.setenv("PAAS_DATABASE_URL", environ["PAAS_DATABASE_URL"])
    return made


@pytest.fixture(autouse=True)
def other_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: set[int] = set()
    for name in PORTS:
        taken.add(port := next_free_port(22850, taken))
        monkeypatch.setenv(f"PAAS_{name.upper()}", str(port))


def images(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [image for (image,) in connection.execute("SELECT image FROM controller_build ORDER BY id")]


def test_a_database_comes_back_into_an_empty_one(platform, databases, tmp_path, monkeypatch):
    full, empty = databases
    backup.back_up(platform, tmp_path / "b.tar")
    with tarfile.open(tmp_path / "b.tar") as archive:
        assert "controller/database.dump" in archive.getnames() and "controller/db.sqlite3" not in archive.getnames()
        facts = json.load(archive.extractfile("manifest.json"))
    assert facts["postgresql"] == postgres.server_version(full)
    monkeypatch.setenv("PAAS_DATABASE_URL", empty)
    fresh = restore.restore(tmp_path / "there", tmp_path / "b.tar")
    assert images(empty) == [f"{fresh.registry_host}/blue@sha256:1", "elsewhere/x:1"]
    assert images(full) == [IMAGE, "elsewhere/x:1"]
    assert not list((tmp_path / "there" / "controller").iterdir())
    with psycopg.connect(empty) as connection:  # its sequences go on as well
        assert connection.execute("INSERT INTO controller_build (image) VALUES ('') RETURNING id").fetchone() == (3,)


def test_a_database_that_is_in_use_is_not_written_over(platform, tmp_path, monkeypatch):
    backup.back_up(platform, tmp_path / "b.tar")
    monkeypatch.delenv("PAAS_DATABASE_URL")
    with pytest.raises(HostError, match="has 1 tables already"):  # the one it was of, as choices.env says
        restore.restore(tmp_path / "there", tmp_path / "b.tar")
    assert not (tmp_path / "there").exists()


def test_the_two_kinds_of_database_do_not_mix(platform, tmp_path, monkeypatch):
    backup.back_up(platform, tmp_path / "b.tar")
    monkeypatch.setenv("PAAS_DATABASE_URL", "")
    with pytest.raises(HostError, match="holds a database of PostgreSQL"):
        restore.restore(tmp_path / "there", tmp_path / "b.tar")
    with sqlite3.connect(platform.home / "controller" / "new.sqlite3") as rows:
        rows.execute("CREATE TABLE x (y)")
    (platform.home / "controller" / "new.sqlite3").replace(platform.home / "controller" / "db.sqlite3")
    (platform.home / choices.FILE).unlink()
    backup.back_up(platform, tmp_path / "s.tar")
    monkeypatch.setenv("PAAS_DATABASE_URL", "postgres://x@127.0.0.1:1/x")
    with pytest.raises(HostError, match="holds a SQLite database"):
        restore.restore(tmp_path / "there", tmp_path / "s.tar")


def test_a_server_that_is_away_or_a_dump_that_fails_leaves_no_file(platform, tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "program", lambda name, least: "/bin/false")
    with pytest.raises(HostError, match="not backed up: false says: exit code 1"):
        backup.back_up(platform, tmp_path / "b.tar")
    monkeypatch.setenv("PAAS_DATABASE_URL", "postgres://x@127.0.0.1:1/x")
    with pytest.raises(HostError, match="can't be reached"):
        backup.back_up(platform, tmp_path / "b.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_missing_and_old_programs_are_told_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(postgres, "INSTALLED", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(HostError, match=r"`pg_dump` is missing: .*apt-get install postgresql-client"):
        postgres.program("pg_dump", 16)
    for version in (13, 15):
        path = tmp_path / str(version) / "bin" / "pg_dump"
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}.7 (Debian {version}.7-0)'\n")
        path.chmod(0o755)
    assert postgres.program("pg_dump", 14) == str(tmp_path / "15" / "bin" / "pg_dump")
    with pytest.raises(HostError, match="here is of version 15, and the database of 17.*postgresql-client-17"):
        postgres.program("pg_dump", 17)


def test_no_password_is_among_the_arguments():
    url = "postgres://bob:s%40cret@db.example:6432/shop?sslmode=verify-full"
    assert postgres.environment(url) == {
        "PGHOST": "db.example", "PGPORT": "6432", "PGUSER": "bob", "PGPASSWORD": "s@cret", "PGDATABASE": "shop",
        "PGSSLMODE": "verify-full",
    }  # fmt: skip


def test_choices_are_kept_and_given_back_to_their_defaults(tmp_path):
    choices.remember(tmp_path, {"PAAS_HTTP_PORT": "80"})
    assert not (tmp_path / choices.FILE).exists()
    choices.remember(tmp_path, {"PAAS_REGISTRATION": "enabled", "PAAS_LOG_DAYS": "3"})
    assert (tmp_path / choices.FILE).stat().st_mode & 0o777 == 0o600
    environ = {"PAAS_REGISTRATION": ""}
    choices.recall(tmp_path, environ)
    assert environ == {"PAAS_REGISTRATION": "", "PAAS_LOG_DAYS": "3"}
    choices.remember(tmp_path, environ)
    later: dict[str, str] = {}
    choices.recall(tmp_path, later)
    assert later == {"PAAS_LOG_DAYS": "3"}
