"""What `paas doctor`, `paas backup` and `paas restore` print, run and exit with."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from cli.commands import backup

WELL = {"name": "redis", "level": "ok", "text": "answers", "fix": ""}
LOW = {"name": "disk", "level": "warn", "text": "4.0 of 20 GiB free", "fix": "`paas gc` removes images nobody keeps"}
AWAY = {"name": "registry", "level": "fail", "text": "can't be looked at", "fix": "see `make status`"}


@pytest.fixture
def seen(platform, logged_in):
    """Says what the controller finds, at what time."""

    def answer(*findings, ahead=0.0):
        now = (datetime.now(UTC) + timedelta(seconds=ahead)).isoformat()
        platform.on("GET /v2/doctor", {"time": now, "findings": list(findings)})

    return answer


def test_doctor_prints_a_finding_a_line_and_what_to_do(seen, paas):
    seen(WELL, LOW)
    result = paas("doctor")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "ok    redis: answers\n"
        "warn  disk: 4.0 of 20 GiB free\n"
        "      `paas gc` removes images nobody keeps\n"
        "ok    this machine's clock: 0 s between it and the controller's\n"
    )


def test_doctor_exits_with_1_when_something_fails(seen, paas):
    seen(WELL, AWAY)
    result = paas("doctor")
    assert result.code == 1
    assert "fail  registry: can't be looked at\n      see `make status`\n" in result.out


def test_doctor_compares_this_machines_clock(seen, paas):
    seen(ahead=3600)
    result = paas("doctor")
    assert (result.code, result.out) == (
        0,
        "warn  this machine's clock: 3600 s between it and the controller's\n"
        "      let both machines keep time by NTP\n",
    )


def test_doctor_as_json_is_the_findings(seen, paas):
    seen(WELL, AWAY)
    result = paas("doctor", "--json")
    assert result.code == 1 and '"name": "registry"' in result.out and "this machine's clock" in result.out


def test_doctor_is_for_administrators(platform, logged_in, paas):
    platform.on("GET /v2/doctor", {"detail": "You do not have permission to perform this action."}, 403)
    result = paas("doctor")
    assert result.code != 0 and result.out == "" and result.err.startswith("Error: ")


@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_backup_and_restore_run_the_set_up_program_of_this_machine(paas, home, monkeypatch, verb):
    ran = []

    def call(command, cwd):
        ran.append((command, cwd))
        print(f"-----> {verb}", flush=True)
        return 3

    monkeypatch.setattr(subprocess, "call", call)
    result = paas(verb, "paas.tar")
    assert (result.code, result.out, result.err) == (3, f"-----> {verb}\n", "")
    file = str(home / "hello" / "paas.tar")
    assert ran == [([sys.executable, "-m", "host", verb, file], backup.CHECKOUT)]


@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_backup_and_restore_elsewhere_say_where_they_work(paas, home, monkeypatch, verb):
    monkeypatch.setattr(backup, "CHECKOUT", home)
    result = paas(verb, "paas.tar")
    assert (result.code, result.out, result.err) == (
        1,
        "",
        f"Error: `paas {verb}` works on the platform's own machine alone, where it is installed by `make up`.\n",
    )


def test_backup_wants_a_file(paas):
    result = paas("backup")
    assert (result.code, result.out) == (2, "")
    assert result.err == "Error: backup:make needs <file>, for example: paas backup /root/paas.tar\n"
