"""Cloud Native Buildpacks against a builder image of our own making: its `creator` keeps to the lifecycle's contract
(arguments, environment, folders, layout on disk) and is not the real one, which no package index has."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.builder.test_push_custom_buildpacks import login, run_in

pytestmark = pytest.mark.engine
BUILDER, RUN = "paas-test-cnb/builder:1", "paas-test-cnb/run:1"
CREATOR = Path(__file__).parent / "cnb_creator.py"


@pytest.fixture
def builder_image(builder, tmp_path):
    stack = builder.env["STACK_IMAGE"]
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "creator").write_text(CREATOR.read_text())
    metadata = json.dumps({"stack": {"runImage": {"image": RUN}}})
    apis = json.dumps({"platform": {"supported": ["0.11", "0.12", "0.13", "0.14"]}})
    (tmp_path / "image" / "Dockerfile").write_text(
        f"FROM {stack}\nUSER root\nCOPY --chown=0:0 creator /cnb/lifecycle/creator\n"
        "RUN chmod 755 /cnb/lifecycle/creator && /usr/sbin/useradd -u 1234 cnb\n"
        f"LABEL io.buildpacks.builder.metadata='{metadata}' io.buildpacks.lifecycle.apis='{apis}'\n"
        'ENV CNB_USER_ID=1234 CNB_GROUP_ID=1234\nUSER cnb\nENTRYPOINT ["/bin/false"]\n'
    )
    words = ["docker", "build", "-q", "-t", BUILDER, str(tmp_path / "image")]
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "DOCKER_BUILDKIT": "0"})
    subprocess.run(["docker", "tag", stack, RUN], check=True)
    yield
    subprocess.run(["docker", "rmi", BUILDER, RUN], capture_output=True)


def test_a_builder_image_named_by_the_app_makes_its_image(builder_image, builder, controller, registry, tmp_path):
    client = builder.client(tmp_path / "c", apps=("native",))
    controller.config["native"] = {"CNB_BUILDER": BUILDER, "COLOUR": "blue"}
    path = client.repository("native", {"app.txt": "hello", "Dockerfile": "FROM nowhere.invalid/x\n"})
    out = client.push(path)
    assert "api 0.13, user 1234, colour blue, cached 0" in out
    build = controller.builds[-1]
    assert build["procfile"] == {"web": "/cnb/process/web", "worker": "/cnb/process/worker"}
    assert build["dockerfile"] == "true" and build["stack"] == "container"
    login(registry)
    assert run_in(build["image"], "/bin/bash", "-c", build["procfile"]["web"]) == "launched web: hello\n"
    client.commit(path, {"app.txt": "again"})
    assert "cached 1" in client.push(path)
    controller.config["native"]["REFUSE"] = "21"
    client.commit(path, {"app.txt": "third"})
    assert "No buildpack of the builder image knows this app" in client.push(path, check=False)
    controller.config["native"]["REFUSE"] = "steal"
    client.commit(path, {"app.txt": "fourth"})
    assert "left out a layer that isn't the run image's" in client.push(path, check=False)
    assert subprocess.run(["docker", "ps", "-q", "--filter", f"ancestor={BUILDER}"], capture_output=True).stdout == b""


def test_an_image_that_is_no_builder_is_refused(builder, controller, tmp_path):
    client = builder.client(tmp_path / "c", apps=("plainimage",))
    controller.config["plainimage"] = {"CNB_BUILDER": builder.env["STACK_IMAGE"]}
    assert "is not a builder image" in client.push(client.repository("plainimage", {"x": "1"}), check=False)
