"""Deploying, scaling, restarting and rolling back under load loses no request."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.developer import Developer, Wrk

Example = tuple[str, Path]


def change_config(developer: Developer, app: str) -> None:
    count = developer.paas("releases", "-a", app).stdout.count("\n")
    developer.paas("config:set", f"ROUND={count}", "-a", app)


def scale_up(developer: Developer, app: str) -> None:
    developer.paas("scale", "web=4", "-a", app)


def scale_down(developer: Developer, app: str) -> None:
    developer.paas("scale", "web=2", "-a", app)


def restart(developer: Developer, app: str) -> None:
    developer.paas("ps:restart", "web", "-a", app)


def roll_back(developer: Developer, app: str) -> None:
    newest = int(re.findall(r"^v(\d+)", developer.paas("releases", "-a", app).stdout, re.M)[0])
    developer.paas("rollback", f"v{newest - 1}", "-a", app)


ACTIONS: list[Callable[[Developer, str], None]] = [change_config, scale_up, scale_down, restart, roll_back]


@pytest.fixture(scope="module", autouse=True)
def two_processes(admin: Developer, example_app: Example) -> None:
    admin.paas("scale", "web=2", "-a", example_app[0])


@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_no_request_fails_while(
    admin: Developer, example_app: Example, action: Callable[[Developer, str], None]
) -> None:
    name, _ = example_app
    with Wrk(admin.platform, name) as load:
        for _ in range(2):
            action(admin, name)
    assert load.result is not None and load.result.requests > 100, load.result
    assert (load.result.failed, load.result.not_200) == (0, 0), load.result.text
