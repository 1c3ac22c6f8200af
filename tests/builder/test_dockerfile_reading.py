import pytest

from builder.dockerfile import (
    base_images,
    explain,
    explain_pull,
    exposed_ports,
    with_build_args,
    without_syntax_line,
)


def test_every_base_image_is_found_once_and_stages_are_none():
    text = "ARG V=3.13\nFROM python:$V AS build\nRUN x\nFROM --platform=linux/amd64 node AS web\n"
    text += "FROM scratch\nFROM build\n"
    assert base_images(text) == ["python:3.13", "node"]


def test_config_goes_in_as_build_arguments_after_everything_else():
    assert with_build_args("FROM x", {"B": "1", "A": "2", "bad-name": "3"}) == "FROM x\nARG A\nARG B\n"


def test_a_syntax_line_is_dropped_and_other_comments_stay():
    assert without_syntax_line("# syntax=docker/dockerfile:1\nFROM x\n") == "FROM x\n"
    assert without_syntax_line("# hello\n# Syntax = a\nFROM x\n") == "# hello\nFROM x\n"
    assert without_syntax_line("FROM x\n# syntax=late\n") == "FROM x\n# syntax=late\n"


def test_tcp_ports_are_told_in_order():
    assert exposed_ports({"ExposedPorts": {"9000/tcp": {}, "80": {}, "53/udp": {}}}) == (80, 9000)
    assert exposed_ports({"ExposedPorts": None}) == ()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("The command '/bin/sh -c make' returned a non-zero code: 2", "failed with exit code 2: RUN make"),
        ("The command 'x' returned a non-zero code: 137", "out of memory at 1 GiB"),
        ("dockerfile parse error on line 2: unknown instruction: X", "can't be read: dockerfile parse error on line 2"),
        ("COPY failed: no such file", "The Dockerfile build failed: COPY failed: no such file"),
    ],
)
def test_the_engines_errors_become_one_sentence(error, words):
    assert words in explain(error, "RUN make", 1 << 30)


def test_an_unreachable_registry_names_what_is_always_here():
    told = explain_pull("python:3", "Get https://x: dial tcp: lookup x: no such host", "paas/stack:trixie")
    assert "isn't reachable" in told and "FROM paas/stack:trixie" in told
