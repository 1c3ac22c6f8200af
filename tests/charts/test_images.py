"""The images: what goes into them, and what of this machine doesn't."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from host import images
from host.errors import HostError
from tests.charts.rendering import ROOT, objects, pods

DOCKERFILE = (ROOT / images.DOCKERFILE).read_text()
WISH = images.Wish("registry.example.com/paas/", "1", "base:1", "host", "/usr/bin/docker")


def test_each_image_of_the_chart_is_a_target_of_the_dockerfile():
    targets = set(re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.MULTILINE))
    assert set(images.IMAGES) <= targets
    used = {container["image"] for _, spec in pods(objects({})) for container in spec["containers"]}
    assert {name.partition(":")[0] for name in used} == set(images.IMAGES)


def test_what_is_copied_is_there_and_python_packages_are_locked():
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split()), line
    assert "--require-hashes" in DOCKERFILE and "ARG BASE=" in DOCKERFILE
    assert DOCKERFILE.count("USER 10100:10100") == len(images.IMAGES)


def test_the_build_is_of_a_base_of_choice_with_secrets_outside_of_layers(tmp_path: Path):
    command = images.plan_build(WISH, "paas", {"ca": tmp_path / "ca"})
    assert command[0] == "/usr/bin/docker" and command[-1] == "-", "the context is a commit's tree, by a pipe"
    assert {"--build-arg=BASE=base:1", "--target=paas", f"--secret=id=ca,src={tmp_path}/ca"} <= set(command)
    assert "--tag=registry.example.com/paas/paas:1" in command
    assert images.Wish("", "1", "base:1", "host").name_of("paas") == "paas:1"


def test_only_ways_to_package_indexes_are_taken_from_this_machine(tmp_path: Path):
    apt = images.render_apt('Acquire::http::Proxy "http://proxy:1";\nAcquire::https::CaInfo "/x";\nDir "/";\n')
    assert apt == 'Acquire::http::Proxy "http://proxy:1";\nAcquire::https::CaInfo "/run/secrets/ca";\n'
    listed = "global.index-url='https://pypi.example/simple'\nglobal.find-links='/opt/wheels'\ninstall.user='1'\n"
    assert images.render_pip(listed) == "[global]\nindex-url = https://pypi.example/simple\n"
    assert images.render_pip("global.extra-index-url='file:///opt/simple'\n") == ""
    (tmp_path / "bundle").write_text("certificates")
    found = images.write_secrets(tmp_path, {"SSL_CERT_FILE": str(tmp_path / "bundle")})
    assert found["ca"].read_text() == "certificates" and found["ca"].stat().st_mode & 0o077 == 0


def test_a_docker_that_cannot_speak_to_buildkit_is_passed_over(tmp_path: Path, monkeypatch):
    for name, version, plugin in (("new", "28.2.2", "exit 1"), ("old", "20.10.24+dfsg1", "exit 1")):
        (tmp_path / name).mkdir()
        script = f'#!/bin/sh\n[ "$1" = --version ] && echo "Docker version {version}, build x" && exit\n{plugin}\n'
        (tmp_path / name / "docker").write_text(script)
        (tmp_path / name / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/new:{tmp_path}/old")
    assert images.find_docker() == f"{tmp_path}/old/docker"
    monkeypatch.setenv("PATH", f"{tmp_path}/new")
    with pytest.raises(HostError, match="docker-buildx"):
        images.find_docker()
