"""Real git clients push to a real builder, registry and engine; only the controller is a double."""

from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
pytestmark = pytest.mark.engine


def test_a_python_app_becomes_an_image_and_a_release(builder, controller, tmp_path):
    client = builder.client(tmp_path / "c", apps=("hello",))
    path = client.repository("hello", EXAMPLES / "python-web")
    out = client.push(path)
    print(out)
    build = controller.builds[-1]
    assert build["procfile"].keys() == {"web", "worker"}
    assert "-----> Python app detected" in out
    assert "Procfile declares types -> web, worker" in out
    assert "Done, hello:v" in out
    client.commit(path, {"note.txt": "two"})
    out = client.push(path)
    print(out)
    assert "Dependencies are unchanged" in out
