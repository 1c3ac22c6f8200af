"""A whole API server without a socket: its core, its store in memory, a client for each user."""

from __future__ import annotations

import ssl

import pytest

from orchestrator.apiserver import bootstrap
from orchestrator.apiserver.api import Api
from orchestrator.apiserver.call import User
from orchestrator.apiserver.local import LocalClient
from orchestrator.apiserver.signer import Signer
from orchestrator.pki import ensure_pki
from orchestrator.settings import ServerSettings
from orchestrator.store.log import MemoryLog
from orchestrator.store.store import Store


class Clock:
    def __init__(self) -> None:
        self.time = 1_800_000_000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    return ensure_pki(ServerSettings(data=tmp_path_factory.mktemp("pki"), node_name="node-a"))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
async def api(tmp_path, pki, clock):
    store = Store(MemoryLog())
    store.open()
    api = Api(
        store, ServerSettings(data=tmp_path), Signer(pki.token_key), ssl.create_default_context(), "CA", now=clock
    )
    await bootstrap.ensure_objects(api)
    yield api
    await store.close()


@pytest.fixture
def client(api):
    return LocalClient(api)


@pytest.fixture
def as_user(api):
    """A client that acts as somebody; rights are not checked there, what admission checks is."""
    return lambda name, *groups: LocalClient(api, User(name, groups))


def pod(name: str, **spec) -> dict:
    containers = [{"name": "c", "image": "registry.test/app:1"}]
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"containers": containers, **spec}}


@pytest.fixture(name="pod")
def pod_factory():
    return pod
