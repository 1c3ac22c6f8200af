"""A logged-in user in an empty home and folder, and the double of a controller."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import main

sys.path.insert(0, str(Path(__file__).parent))
from platform_double import Double


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DEIS_PROFILE", "PAAS_PROFILE", "DEIS_DRINK_OF_CHOICE", "http_proxy", "HTTP_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "hello"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.chdir(folder)
    return tmp_path


@pytest.fixture
def platform(home: Path) -> Iterator[Double]:
    double = Double()
    yield double
    double.close()


@pytest.fixture
def logged_in(home: Path, platform: Double) -> Path:
    path = home / ".deis" / "client.json"
    path.parent.mkdir()
    profile = {"username": "bob", "ssl_verify": True, "controller": platform.url, "token": "a" * 40}
    path.write_text(json.dumps(profile | {"response_limit": 0}))
    return path


@pytest.fixture
def paas(home: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    def run(*words: str) -> Result:
        capfd.readouterr()
        code = main(list(words))
        captured = capfd.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def repository(home: Path) -> Path:
    folder = home / "hello"
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder
