import pytest

from builder.dockerfile import explain, explain_pull, exposed_ports, plan_build
from builder.dockerfile_text import (
    base_images,
    needs_buildkit,
    with_build_args,
    with_ca_mounts,
    with_host_ca,
    with_own_caches,
    without_syntax_line,
)
from builder.errors import BuildFailed
from builder.heroku_yml import parse
from builder.strip import strip_layers


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
        ("secret TOKEN not found: not found", "paas config:set TOKEN="),
        ("executor failed running [/bin/sh -c x]: exit code: 3", "failed with exit code 3: RUN make"),
        ("target stage x could not be found", "has no stage of that name"),
        ("COPY failed: no such file", "The Dockerfile build failed: COPY failed: no such file"),
    ],
)
def test_the_engines_errors_become_one_sentence(error, words):
    assert words in explain(error, "RUN make", 1 << 30)


def test_an_unreachable_registry_names_what_is_always_here():
    told = explain_pull("python:3", "Get https://x: dial tcp: lookup x: no such host", "paas/stack:trixie")
    assert "isn't reachable" in told and "FROM paas/stack:trixie" in told


def test_the_target_the_path_and_heroku_yml_are_read(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "Dockerfile").write_text("FROM a")
    (tmp_path / "sub/D").write_text("FROM b")
    assert plan_build(tmp_path, {}).text == "FROM a" and plan_build(tmp_path, {}).ports == ()
    plan = plan_build(tmp_path, {"DOCKERFILE_PATH": "sub/D", "DOCKERFILE_TARGET": "t"})
    assert (plan.text, plan.context, plan.target, plan.args) == ("FROM b", tmp_path, "t", {})
    (tmp_path / "heroku.yml").write_text(
        "build:\n  docker:\n    web: {dockerfile: sub/D, target: prod}\n  config: {A: 1}\n"
        "run:\n  web: serve\n  worker: {command: [one, two], image: web}\nrelease: {image: web, command: [migrate]}\n"
    )
    plan = plan_build(tmp_path, {"SECRET": "x"})
    assert plan.ports == (5000,)
    assert (plan.text, plan.context, plan.target) == ("FROM b", tmp_path / "sub", "prod")
    assert plan.args == {"A": "1"}
    assert plan.processes == {"web": "serve", "worker": "one && two", "release": "migrate"}
    assert plan_build(tmp_path, {"SECRET": "x", "DEIS_DOCKER_BUILD_ARGS_ENABLED": "1"}).args["SECRET"] == "x"


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "out/Dockerfile", ".", "missing"])
def test_a_dockerfile_outside_of_the_repository_is_refused(tmp_path, name):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "Dockerfile").write_text("FROM a")
    (tree / "out").symlink_to(tmp_path)
    with pytest.raises(BuildFailed):
        plan_build(tree, {"DOCKERFILE_PATH": name})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("build: [", "not valid YAML in line"),
        ("run: {web: x}", "names no Dockerfile"),
        ("build: {docker: {web: A, worker: B}}", "different images"),
        ("build: {docker: {web: A}}\nrun: {web: {image: web}}", "run.web has no command"),
        ("build: {docker: {web: A}}\nrun: {Web: x}", "process type 'Web'"),
    ],
)
def test_a_heroku_yml_that_cannot_be_served_is_told(text, words):
    with pytest.raises(BuildFailed, match=words):
        parse(text)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("FROM a\nRUN --mount=type=cache,target=/x pip install y\n", True),
        ("FROM a\nRUN <<EOF\npip\nEOF\n", True),
        ("FROM a\nCOPY --chown=1 --chmod=755 a b\n", True),
        ("FROM a\nRUN echo \\\n  # RUN --mount=x\n  --mount=no\nCOPY --from=x a b\n", False),
        ("FROM a\n# RUN --mount=type=cache x\nENV A=<<EOF\n", False),
    ],
)
def test_what_only_buildkit_can_do_is_noticed(text, needs):
    assert needs_buildkit(text) is needs


def test_every_stage_learns_the_hosts_certificates_and_the_image_keeps_none_of_them():
    text = "ARG V=1\nFROM a AS one\nRUN <<EOF\nFROM b\nEOF\nFROM scratch\nCOPY x y\n"
    lines = with_host_ca(text).splitlines()
    assert lines[2] == "COPY .paas-host-ca.crt /run/paas-host/ca.crt" and lines.count(lines[2]) == 1
    runs = [line for line in with_ca_mounts(text).splitlines() if line.startswith("RUN")]
    assert runs == ["RUN --mount=type=secret,id=.paas-host-ca.crt,target=/run/paas-host/ca.crt,mode=0444 <<EOF"]
    steps = [
        {"created_by": "base"},
        {"created_by": "/bin/sh -c #(nop) COPY file:1 in /run/paas-host/ca.crt "},
        {"created_by": "/bin/sh -c #(nop)  ARG PIP_CERT=/run/paas-host/ca.crt", "empty_layer": True},
        {"created_by": "|1 PIP_CERT=/run/paas-host/ca.crt /bin/sh -c pip install x"},
    ]
    config = {"history": steps, "rootfs": {"diff_ids": ["a", "b", "c"]}}
    manifest, config = strip_layers({"layers": [1, 2, 3]}, config, "/run/paas-host/ca.crt")
    assert manifest["layers"] == [1, 3] and config["rootfs"]["diff_ids"] == ["a", "c"]
    assert [step["created_by"][:4] for step in config["history"]] == ["base", "|1 P"]


def test_cache_mounts_are_the_apps_own():
    text = (
        "FROM a\nRUN --mount=type=cache,target=/x \\\n  --mount=type=cache,id=pip,dst=/y --mount=type=secret,id=T x\n"
    )
    told = with_own_caches(text, "shop")
    assert "--mount=type=cache,target=/x,id=shop:/x " in told
    assert "--mount=type=cache,dst=/y,id=shop:pip --mount=type=secret,id=T x" in told
