"""`make test` tries a few failed tests again, names who passed only then, and fails with the others."""

import pytest

from host import testing
from host.errors import HostError


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A suite of its own, whose tests fail as often as their files say."""
    monkeypatch.setattr(testing, "CHECKOUT", tmp_path)
    monkeypatch.setattr(testing, "unsteady", [])
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # it asks for none
    (tmp_path / "pytest.ini").write_text("[pytest]\n")

    def write(failures: dict[str, int]):
        for name, times in failures.items():
            (tmp_path / f"test_{name}.py").write_text(
                "from pathlib import Path\n"
                f"count = Path({str(tmp_path)!r}, {name!r})\n"
                f"def test_{name}():\n"
                "    run = len(count.read_text()) if count.exists() else 0\n"
                "    count.write_text('x' * (run + 1))\n"
                f"    assert run >= {times}\n"
            )

        def runs(name):
            return len((tmp_path / name).read_text())

        return runs

    return write


def test_who_fails_once_is_tried_alone_and_named(suite, tmp_path):
    runs = suite({"steady": 0, "late": 1})
    testing._pytest(str(tmp_path), limit=180)
    assert (runs("steady"), runs("late")) == (1, 2)
    assert testing.unsteady == ["test_late.py::test_late"]


def test_who_fails_twice_has_failed(suite, tmp_path):
    runs = suite({"steady": 0, "broken": 9})
    with pytest.raises(HostError, match="exited with 1"):
        testing._pytest(str(tmp_path), limit=180)
    assert (runs("steady"), runs("broken"), testing.unsteady) == (1, 2, [])


def test_many_failures_are_no_accident(suite, tmp_path):
    runs = suite({f"broken{number}": 9 for number in range(testing.FEW + 1)})
    with pytest.raises(HostError):
        testing._pytest(str(tmp_path), limit=180)
    assert runs("broken0") == 1
