"""Dockerfiles as people really write them: arguments, stages, other places, heroku.yml, the host's certificates."""

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
