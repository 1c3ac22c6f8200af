"""Pushes that need no container: the image is the one that a container would have made, and what must run runs."""

import subprocess
import time
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = pytest.mark.engine
PURE = {
    "python": {"requirements.txt": "", "app.py": "1", "lib/data.txt": "x", ".slugignore": "*.md\n", "a.md": ""},
    "node": {"package.json": '{"name": "n", "version": "1.0.0"}', "index.js": "1", "sub/more.js": "2"},
}


def idle_container(builder, before=""):
    """The container that waits for a build, as soon as there is one that isn't `before`."""
    words = ["docker", "ps", "-q", "--filter", f"label=paas.io/instance={builder.env['BUILDER_INSTANCE']}"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()
        if len(found) == 1 and found[0] != before:
            return found[0]
        time.sleep(0.05)
    raise AssertionError("no single container waits")


def steps(out):
    return [line for line in out.splitlines() if "----->" in line]


@pytest.mark.parametrize("language", ["python", "node"])
def test_an_image_without_a_container_is_the_same(builder, controller, tmp_path, language):
    app = f"pure-{language}"
    client = builder.client(tmp_path / "c", apps=(app,))
    path = client.repository(app, PURE[language])
    client.push(path)
    client.commit(path, {"lib/other": "1"})
    waiting = idle_container(builder)
    whole = client.push(path)
    made = controller.builds[-1]
    waiting = idle_container(builder, waiting)
    again = client.push(path, "master:main")  # the same commit under its other name
    assert controller.builds[-1] is not made
    assert idle_container(builder) == waiting
    for told in ("image", "procfile", "stack", "sha"):
        assert controller.builds[-1][told] == made[told]
    assert steps(again) == steps(whole) and any("unchanged" in line for line in steps(again))


def test_what_must_run_runs_again(builder, controller, tmp_path):
    client = builder.client(tmp_path / "c", apps=("impure",))
    path = client.repository("impure", {"requirements.txt": "", "app.py": "print(1)"})
    for number in "12":
        client.commit(path, {"lib/x": number})
        client.push(path)
    client.commit(path, {"bin/post_compile": "#!/bin/sh\necho compiled by hand"})
    assert "compiled by hand" in client.push(path)
    client.commit(path, {"lib/x": "3"})
    assert "compiled by hand" in client.push(path)
    client.git("rm", "-q", "bin/post_compile", cwd=path)
    client.commit(path, {"requirements.txt": "# nothing more\n"})
    assert "Installing dependencies" in client.push(path)
    controller.config["impure"] = {"DEIS_DISABLE_CACHE": "1"}
    for number in "45":
        client.commit(path, {"lib/x": number})
        assert "Installing dependencies" in client.push(path)
