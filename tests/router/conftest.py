"""A router, and backends, for one test or a whole module."""

import pytest

from tests.router.harness import Backend, Router, pods, service


@pytest.fixture(scope="module")
def router(tmp_path_factory):
    router = Router(tmp_path_factory.mktemp("router"))
    router.start()
    yield router
    router.stop()


@pytest.fixture
def backends():
    made = []

    def make(name="one"):
        made.append(Backend(name))
        return made[-1]

    yield make
    for backend in made:
        backend.stop()


@pytest.fixture
def make_router(tmp_path):
    made = []

    def make():
        made.append(Router(tmp_path / str(len(made))))
        return made[-1]

    yield make
    for router in made:
        router.stop()


@pytest.fixture
def objects():
    """Makers of the objects that routes come from."""

    class Makers:
        pass

    Makers.service, Makers.pods = staticmethod(service), staticmethod(pods)
    return Makers
