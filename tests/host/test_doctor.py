"""`make doctor`: what only the host sees, told while the platform is stopped, broken or well."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from host import doctor
from host.errors import HostError
from host.settings import Platform
from host.supervisor import render
from host.up import with_code_version

DOCKER = {"ServerVersion": "28.1", "LiveRestoreEnabled": True, "MemoryLimit": True, "PidsLimit": True}


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    home = tmp_path / "home"
    for folder in ("run", "secrets", "operator", "orchestrator/pki"):
        (home / folder).mkdir(parents=True)
    home.chmod(0o700)
    (home / "secrets" / "django.key").write_text("secret\n")
    return Platform(home=home, docker_host=f"unix://{home}/run/docker.sock")


def levels(findings) -> list[tuple[str, str]]:
    return [(each.name, each.level) for each in findings]


def certificate(path: Path, days: float) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(days=900)).not_valid_after(now + timedelta(days=days))
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


def test_a_stopped_platform_is_told_in_whole_with_what_to_do(platform, capsys, monkeypatch):
    def refuse(*arguments, **options):
        raise HostError("`paas api` failed: nobody answers")

    monkeypatch.setattr(doctor.operator, "paas", refuse)
    assert doctor.run(platform) == 1
    said = capsys.readouterr().out
    assert "fail  programs: the supervisor doesn't run\n      `make up` starts the platform\n" in said
    assert "fail  engine: unix://" in said and "fail  controller: can't be asked: `paas api` failed" in said
    assert "ok    secrets: 1 files, readable by root alone\n" in said and "platform's disk: " in said


def test_what_the_controller_sees_is_told_as_well(platform, monkeypatch):
    finding = {"name": "redis", "level": "ok", "text": "answers", "fix": ""}
    answer = json.dumps({"time": "2026-01-01T00:00:00Z", "findings": [finding]})
    monkeypatch.setattr(doctor.operator, "paas", lambda *arguments, **options: answer)
    assert list(doctor.seen_by_the_controller(platform)) == [doctor.Finding("redis", "ok", "answers")]


@pytest.mark.parametrize(
    ("change", "level", "told"),
    [
        ({}, "ok", "Docker 28.1, containers outlive it"),
        ({"LiveRestoreEnabled": False}, "warn", "apps end when it stops"),
        ({"MemoryLimit": False}, "warn", "no memory limits"),
    ],
)
def test_an_engine_is_judged_by_what_it_says_of_itself(change, level, told):
    found = list(doctor.judge_engine({**DOCKER, **change}))
    assert any(each.level == level and told in each.text for each in found), found


def test_certificates_are_told_two_months_before_they_end(platform):
    folder = platform.home / "orchestrator" / "pki"
    for name, days in (("ca", 3000), ("server", 400)):
        certificate(folder / f"{name}.crt", days)
    (well,) = doctor.look_at_certificates(platform)
    assert well.level == "ok" and "2 of the platform's own" in well.text
    certificate(folder / "agent.crt", 59)
    certificate(folder / "router.crt", -1)
    found = list(doctor.look_at_certificates(platform))
    assert levels(found) == [("certificate", "warn"), ("certificate", "fail")]
    assert "router.crt ended" in found[1].text and "make up" in found[1].fix


def test_secrets_that_others_may_read_are_told_by_their_path(platform):
    path = platform.home / "secrets" / "django.key"
    path.chmod(0o644)
    assert levels(doctor.look_at_secrets(platform)) == [("secrets", "ok")]  # nobody gets into the folder
    platform.home.chmod(0o755)
    (found,) = doctor.look_at_secrets(platform)
    assert (found.level, found.fix) == ("fail", f"chmod 600 {path}")


def test_a_line_that_cannot_be_read_is_told_before_it_stops_make_up(platform):
    (platform.home / "controller.env").write_text("SMTP_URL=smtp://mail\nnonsense\n")
    (found,) = doctor.look_at_settings(platform)
    assert found.level == "fail" and "controller.env, line 2" in found.text


def test_newer_code_than_what_runs_is_told(platform):
    programs = [with_code_version(program) for program in doctor.plan_programs(platform, {})]
    configuration = platform.home / "supervisord.conf"
    configuration.write_text(render(platform, programs, {}))
    (found,) = doctor.look_at_checkout(platform)
    assert found.level == "ok"
    code = next(each.environment["PAAS_CODE"] for each in programs if each.name == "builder")
    configuration.write_text(configuration.read_text().replace(code, "0" * 16))
    (found,) = doctor.look_at_checkout(platform)
    assert found.level == "warn" and found.text.endswith("what runs: builder")


def test_a_check_that_breaks_is_a_finding(platform, monkeypatch):
    def broken(platform):
        raise RuntimeError("no such file")

    monkeypatch.setattr(doctor, "CHECKS", {"kernel": broken})
    (found,) = doctor.examine(platform)
    assert (found.name, found.level, found.text) == ("kernel", "fail", "can't be looked at: no such file")
