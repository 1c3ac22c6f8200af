"""The command line by itself: installed without the platform, and started where there is no POSIX."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cli import terminal

ROOT = Path(__file__).parents[2]
POSIX_ONLY = ["fcntl", "grp", "posix_ipc", "pty", "pwd", "resource", "syslog", "termios", "tty"]
AS_ON_WINDOWS = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
for name in NAMES:
    sys.modules.pop(name, None)
sys.path.insert(0, FOLDER)
import http.client, signal, socket, ssl, subprocess, tempfile, urllib.request, webbrowser  # they choose by this Python
sys.platform = "win32"
if hasattr(signal, "SIGWINCH"):
    del signal.SIGWINCH
import pkgutil
import cli, cli.commands
for package in (cli, cli.commands):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            __import__(module.name)
from cli.main import main
sys.exit(main(["ps", "--help"]))
"""


def alone(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """`code` in a Python that has its own library and `folder`, nothing else."""
    prelude = f"NAMES = {POSIX_ONLY!r}; FOLDER = {str(folder)!r}\n"
    command = [sys.executable, "-I", "-S", "-c", prelude + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder)


def test_it_is_a_package_of_its_own_that_needs_no_other(tmp_path: Path) -> None:
    source, target = tmp_path / "cli", tmp_path / "built"
    shutil.copytree(ROOT / "cli", source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == [] and project["scripts"] == {"paas": "cli.main:main"}
    build = [sys.executable, "-c", "import setuptools; setuptools.setup()", "-q", "build", "--build-lib", str(target)]
    subprocess.run(build, cwd=source, check=True, capture_output=True, timeout=60)  # as pip does, without an index
    for words, told in (("['ps', '--help']", "paas ps:exec"), (["version"], project["version"])):
        code = f"import sys; sys.path.insert(0, FOLDER); from cli.main import main; sys.exit(main({words}))"
        done = alone(target, code)
        assert (done.returncode, done.stderr) == (0, "") and told in done.stdout, done


def test_no_module_needs_posix_to_be_imported() -> None:
    done = alone(ROOT, AS_ON_WINDOWS)
    assert (done.returncode, done.stderr) == (0, "") and "paas ps:exec" in done.stdout, done


@pytest.mark.parametrize(
    ("platform", "terminals", "no_tty", "wanted", "told"),
    [
        ("linux", True, None, True, False),
        ("linux", True, True, False, False),
        ("linux", False, None, False, False),
        ("win32", True, None, False, True),
        ("win32", True, True, False, False),
        ("win32", False, None, False, False),
    ],
)
def test_a_terminal_is_asked_for_where_there_is_one(monkeypatch, capsys, platform, terminals, no_tty, wanted, told):
    monkeypatch.setattr(sys, "platform", platform)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: terminals, raising=False)
    assert terminal.wanted(no_tty) is wanted
    assert ("this is Windows" in capsys.readouterr().err) is told
