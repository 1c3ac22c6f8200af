"""Dockerfiles as people really write them: arguments, stages, other places, heroku.yml, the host's certificates."""

import hashlib
import secrets
import subprocess

import pytest

from tests.builder.test_push_custom_buildpacks import login, run_in

pytestmark = pytest.mark.engine
FROM = "FROM paas-test-base\n"


@pytest.fixture
def base(builder):
    """`paas-test-base`: a small image with a shell and Python."""
    subprocess.run(["docker", "tag", builder.env["STACK_IMAGE"], "paas-test-base"], check=True)
    yield
    subprocess.run(["docker", "rmi", "paas-test-base"], capture_output=True)


def test_stages_targets_and_heroku_yml_decide_what_is_built(base, builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("staged",))
    controller.config["staged"] = {"HIDDEN": "not-an-argument"}
    dockerfile = FROM.rstrip() + " AS made\nARG COLOUR\nARG HIDDEN\nCOPY part /app/part\n"
    dockerfile += "RUN echo $COLOUR-${HIDDEN:-none}-$(cat /app/part) >/app/out\nFROM made AS other\nRUN false\n"
    files = {
        "deploy/Dockerfile": dockerfile,
        "deploy/part": "inner",
        "part": "outer",
        "heroku.yml": "build:\n  docker:\n    web: {dockerfile: deploy/Dockerfile, target: made}\n"
        "  config: {COLOUR: blue}\nrun:\n  web: cat /app/out\nrelease:\n  command: [echo migrated]\n",
    }
    out = client.push(client.repository("staged", files))
    assert "Dockerfile app detected" in out
    build = controller.builds[-1]
    assert build["procfile"] == {"web": "cat /app/out", "release": "echo migrated"} and build["dockerfile"] == "true"
    login(registry)
    assert run_in(build["image"], "cat", "/app/out") == "blue-none-inner\n"


def test_build_arguments_come_from_config_when_they_are_allowed(base, builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("argued",))
    controller.config["argued"] = {
        "COLOUR": "blue",
        "DEIS_DOCKER_BUILD_ARGS_ENABLED": "1",
        "DOCKERFILE_PATH": "Dockerfile.prod",
        "DOCKERFILE_TARGET": "last",
    }
    text = FROM.rstrip() + " AS last\nARG COLOUR\nRUN echo $COLOUR >/app/out\nCMD cat /app/out\nFROM last\nRUN false\n"
    client.push(client.repository("argued", {"Dockerfile.prod": text, "Dockerfile": "FROM nowhere.invalid/x\n"}))
    login(registry)
    assert run_in(controller.builds[-1]["image"], "cat", "/app/out") == "blue\n"
    controller.config["argued"]["DOCKERFILE_TARGET"] = "none"
    path = client.folder / "argued"
    client.commit(path, {"x": "1"})
    assert "has no stage of that name" in client.push(path, check=False)


def test_run_steps_trust_what_the_host_trusts_and_the_image_keeps_nothing_of_it(
    base, start_builder, controller, registry, tmp_path
):
    bundle = tmp_path / "bundle.pem"
    bundle.write_text("only this host's\n")
    builder = start_builder("ownca", SSL_CERT_FILE=str(bundle))
    client = builder.client(tmp_path / "c", apps=("trusting",))
    text = FROM + "RUN cat $SSL_CERT_FILE $PIP_CERT >/app/seen\nUSER app\nCMD cat /app/seen\n"
    client.push(client.repository("trusting", {"Dockerfile": text}))
    login(registry)
    show = "cat /app/seen; ls /run | grep -c paas; env | grep -c _CERT"
    assert run_in(controller.builds[-1]["image"], "sh", "-c", show) == "only this host's\nonly this host's\n0\n0\n"


MOUNTS = """# syntax=docker/dockerfile:1
FROM paas-test-base
ENV MARK={mark}
RUN --mount=type=secret,id=TOKEN,mode=0444 --mount=type=cache,target=/app/cache,uid=10001 \\
    sha256sum </run/secrets/TOKEN >/app/out && date >>/app/cache/runs && wc -l </app/cache/runs >>/app/out
RUN {run}
CMD cat /app/out
"""


def test_secrets_and_caches_are_mounted_by_buildkit_and_stay_out_of_the_image(
    base, builder, controller, registry, tmp_path
):
    client = builder.client(tmp_path / "c", apps=("mounted",))
    token = secrets.token_hex(50_000)  # more than a window of HTTP/2
    controller.config["mounted"] = {"TOKEN": token}
    path = client.repository(
        "mounted", {"Dockerfile": MOUNTS.format(mark=token[:9], run="cat $SSL_CERT_FILE >/dev/null; echo one")}
    )
    out = client.push(path)
    assert "RUN --mount=type=secret,id=TOKEN" in out and "paas-host-ca" not in out and "id=mounted:" not in out
    login(registry)
    show = (
        "sh",
        "-c",
        "cat /app/out; cat /run/secrets/* /run/paas-host/* 2>/dev/null | wc -c; env | grep -c -e TOKEN -e NO_PROXY",
    )
    told = run_in(controller.builds[-1]["image"], *show).split()
    assert told[0] == hashlib.sha256(token.encode()).hexdigest() and int(told[2]) >= 1 and told[3:] == ["0", "0"]
    client.commit(path, {"Dockerfile": MOUNTS.format(mark=token[:9], run="echo two")})
    assert "(cached)" in client.push(path)
    client.commit(path, {"Dockerfile": MOUNTS.format(mark=token[:9], run="exit 9")})
    assert "failed with exit code 9: RUN exit 9" in client.push(path, check=False)
    client.commit(
        path, {"Dockerfile": MOUNTS.replace("id=TOKEN", "id=NONE,required=true").format(mark=token[:9], run="true")}
    )
    assert "config:set NONE=" in client.push(path, check=False)


def test_a_buildkit_step_is_killed_when_it_takes_too_much_memory(base, builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("greedy",))
    eat = "python3 -c 'import time; any(time.sleep(1) or not b\"x\" * (1 << 30) for _ in range(60))'"
    text = f"FROM paas-test-base\nRUN --mount=type=cache,target=/app/c {eat}\nCMD true\n"
    out = client.push(client.repository("greedy", {"Dockerfile": text}), check=False)
    assert "out of memory at 256 MiB" in out
