"""One platform for the whole end-to-end run: the one `make test` started, else one made and destroyed here."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from host import settings
from host.settings import Platform
from tests.e2e.developer import Developer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/e2e/" in item.path.as_posix():
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    if home := os.environ.get("PAAS_TEST_HOME"):
        found = settings.load(Path(home))
        assert found is not None, f"PAAS_TEST_HOME={home} holds no platform"
        yield found
        return
    from host import down, up

    os.environ["PAAS_HOME"] = str(tmp_path_factory.mktemp("paas") / "home")
    try:
        yield up.run(with_example=False)
    finally:
        down.destroy()


@pytest.fixture(scope="session")
def admin_password(platform: Platform) -> str:
    from host import operator

    return operator.set_password(platform)


@pytest.fixture(scope="session")
def admin(platform: Platform, admin_password: str, tmp_path_factory: pytest.TempPathFactory) -> Developer:
    developer = Developer(platform, tmp_path_factory.mktemp("admin"), "admin", admin_password)
    developer.paas("keys:add", f"admin-{secrets.token_hex(3)}", str(developer.home / "key.pub"))
    return developer


@pytest.fixture
def app_name(admin: Developer) -> Iterator[Callable[[str], str]]:
    """Names for apps, destroyed after the test."""
    made: list[str] = []

    def name(prefix: str = "app") -> str:
        made.append(f"{prefix}-{secrets.token_hex(3)}")
        return made[-1]

    yield name
    for app in made:
        admin.paas("destroy", "-a", app, f"--confirm={app}", ok=False)


@pytest.fixture(scope="module")
def example_app(admin: Developer) -> Iterator[tuple[str, Path]]:
    """The Python example, pushed: its name and its folder. Shared by the tests of one file."""
    name = f"shared-{secrets.token_hex(3)}"
    folder = admin.example(name)
    admin.paas("create", name, cwd=folder)
    admin.push(folder)
    yield name, folder
    admin.paas("destroy", "-a", name, f"--confirm={name}", ok=False)
