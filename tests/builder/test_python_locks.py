import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "builder" / "buildpacks" / "python"


def load(name):
    spec = importlib.util.spec_from_file_location(f"buildpack_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


poetry_lock = load("poetry_lock")


def package(name, **more):
    return {"name": name, "version": "1.0", "files": [{"file": "x", "hash": f"sha256:{name}"}], **more}


def lines(packages, project=None):
    return poetry_lock.render({"package": packages}, project or {}).split("\n")[:-1]


def test_only_the_main_group_is_installed_with_its_hashes():
    packages = [package("flask", groups=["main"]), package("pytest", groups=["dev"])]
    assert lines(packages) == ["flask==1.0 --hash=sha256:flask"]


def test_packages_for_other_systems_stay_out():
    packages = [
        package("a", groups=["main"], markers='sys_platform == "win32"'),
        package("b", groups=["main", "dev"], markers={"main": 'python_version >= "3"', "dev": 'python_version < "3"'}),
    ]
    assert lines(packages) == ["b==1.0 --hash=sha256:b"]


def test_an_older_lock_file_follows_the_main_dependencies():
    needs = {
        "inner": {"version": "*", "markers": 'sys_platform != "win32"'},
        "extra": {"version": "*", "optional": True},
    }
    packages = [package("Web_Thing", dependencies=needs), package("inner"), package("extra"), package("pytest")]
    project = {
        "tool": {"poetry": {"dependencies": {"python": "^3.11", "web-thing": "^1", "maybe": {"optional": True}}}}
    }
    assert lines(packages, project) == ["Web_Thing==1.0 --hash=sha256:Web_Thing", "inner==1.0 --hash=sha256:inner"]


def test_a_package_from_git_switches_hashes_off_for_all():
    git = {"type": "git", "url": "https://x.test/a.git", "reference": "main", "resolved_reference": "abc"}
    packages = [package("a", groups=["main"], source=git), package("b", groups=["main"])]
    assert lines(packages) == ["a @ git+https://x.test/a.git@abc", "b==1.0"]


def test_a_pipfile_lock_keeps_hashes_extras_and_markers(tmp_path):
    default = {
        "requests": {"version": "==2", "extras": ["socks"], "hashes": ["sha256:1"], "markers": "python_version >= '3'"},
        "mine": {"git": "https://x.test/m.git", "ref": "abc"},
    }
    (tmp_path / "Pipfile.lock").write_text(json.dumps({"default": default, "develop": {"pytest": {"version": "==1"}}}))
    words = [sys.executable, str(FOLDER / "pipfile_lock.py"), str(tmp_path / "Pipfile.lock")]
    assert subprocess.run(words, capture_output=True, text=True).stdout.splitlines() == [
        "requests[socks]==2 ; python_version >= '3' --hash=sha256:1",
        "mine @ git+https://x.test/m.git@abc",
    ]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("[project]\nname='x'\n", "install"),
        ("[tool.ruff]\n", "nothing"),
        ("[tool.poetry]\nname='x'\n[build-system]\nrequires=['poetry-core']\n", "poetry lock"),
        ("[project", "pyproject.toml is not valid TOML"),
    ],
)
def test_what_a_pyproject_without_a_lock_file_asks_for(tmp_path, text, answer):
    (tmp_path / "pyproject.toml").write_text(text)
    done = subprocess.run([sys.executable, str(FOLDER / "project.py")], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith(answer)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("ERROR: No matching distribution found for nope==1\n", "asks for nope==1"),
        ("  × because nope was not found in the package registry", "asks for nope"),
        ("ERROR: Failed building wheel for psycopg2\n", "psycopg2 could not be compiled"),
        ("Temporary failure in name resolution", "can't be reached"),
        ("error: No interpreter found for Python ==3.11.* in search path", "asks for Python ==3.11.*; this stack has"),
        ("something else", ""),
    ],
)
def test_an_installations_log_is_told_in_one_line(log, words):
    done = subprocess.run(
        [sys.executable, str(FOLDER / "cause.py"), "requirements.txt"], input=log, capture_output=True, text=True
    )
    assert words in done.stdout and done.stdout.count("\n") == bool(words)
