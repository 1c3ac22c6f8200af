"""A live API server in a process of its own, with the controllers and a node whose containers only pretend to run.

Tests in `on_engine/` have the same, over this machine's Docker Engine.
"""

from __future__ import annotations

import itertools

import pytest

from tests.conformance.live import Cluster, Kubectl, kubectl_path

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"), AGENT_RUNTIME="memory", AGENT_INSTANCE="conformance")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def kubectl_binary():
    path = kubectl_path()
    if path is None:
        pytest.skip("no kubectl on this machine; `make test` brings one")
    return path


@pytest.fixture
def kubectl(cluster, kubectl_binary, tmp_path_factory):
    return Kubectl(kubectl_binary, cluster.kubeconfig, tmp_path_factory.getbasetemp())


@pytest.fixture
def namespace(kubectl, request):
    """A namespace of the test's own."""
    words = request.node.name.lower().split("[")[0].removeprefix("test_").replace("_", "-")
    name = f"{words[:50].strip('-')}-{next(_numbers)}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")
