"""The same pushes where the host has no git binary: dulwich receives and unpacks."""

import pytest

pytestmark = pytest.mark.engine
APP = {"requirements.txt": "", "Procfile": "web: python3 -m http.server $PORT\n"}


@pytest.fixture(scope="module")
def bare_builder(start_builder):
    return start_builder("dulwich", BUILDER_GIT="dulwich", BUILD_POOL="0")


def test_a_push_builds_streams_and_moves_the_ref(bare_builder, controller, tmp_path):
    client = bare_builder.client(tmp_path / "c", apps=("plain",))
    path = client.repository("plain", APP)
    out = client.push(path, "master", "master:side", check=False)
    assert "remote: -----> Python app detected" in out and "remote:        Done, plain:v" in out
    assert "git push deis side:master" in out
    client.git("clone", "-q", f"ssh://git@127.0.0.1:{bare_builder.port}/plain.git", "copy")
    assert (client.folder / "copy" / "Procfile").exists()
    assert "Everything up-to-date" in client.push(path)


def test_a_failed_build_moves_nothing(bare_builder, tmp_path):
    client = bare_builder.client(tmp_path / "c", apps=("broken",))
    path = client.repository("broken", {"x": "1"})
    out = client.push(path, check=False)
    assert "No buildpack knows this app" in out and "pre-receive hook declined" in out
    assert not (bare_builder.data / "repos/broken.git/refs/heads/master").exists()
