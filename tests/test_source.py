"""Rules of this code base that a reader relies on, checked in its own source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("cli", "controller", "builder", "orchestrator", "router", "registry", "logger", "host")
SOURCES = [path for name in PROGRAMS for path in (ROOT / name).rglob("*.py") if "migrations" not in path.parts]
MAX_FILE, MAX_FUNCTION = 500, 60
MAY_READ_ENVIRONMENT = {"settings.py", "gunicorn.py", "base.py", "deploy.py", "testing.py"}
MAY_READ_ENVIRONMENT |= {"pre_receive.py"}  # git gives its hooks nothing else


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_and_functions_stay_readable(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE, f"{path} has {text.count(chr(10))} lines: make it several rooms"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1
            assert length <= MAX_FUNCTION, f"{path}:{node.lineno} {node.name} has {length} lines"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_shell_strings(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.keyword) and node.arg == "shell":
            raise AssertionError(f"{path}:{node.value.lineno} passes shell=: use an argument list")


def test_only_settings_read_the_environment() -> None:
    readers = set()
    for path in SOURCES:
        top = path.relative_to(ROOT).parts[0]
        if top in ("cli", "host") or path.name in MAY_READ_ENVIRONMENT:
            continue
        if "os.environ" in path.read_text():
            readers.add(path.relative_to(ROOT).as_posix())
    assert not readers, f"read the environment in settings.py instead: {sorted(readers)}"


def test_the_lock_files_name_no_index() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert "://" not in (ROOT / name).read_text()
