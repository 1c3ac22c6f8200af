"""In the images' Python, too, a cluster's authority is trusted that lacks what newer rules ask of one."""

from __future__ import annotations

import ssl

import pytest

from builder.jobs.api import KubeApi
from controller.cluster.client import KubernetesCluster
from logger import access as logger_access
from router import access as router_access

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: c, user: {token: t}}]
contexts: [{name: c, context: {cluster: c, user: c}}]
"""


@pytest.fixture
def kubeconfig(tmp_path, monkeypatch):
    """A kubeconfig's path, under the defaults of Python 3.13."""
    plain = ssl.create_default_context

    def strict(*given, **named):
        context = plain(*given, **named)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    return str(tmp_path / "kubeconfig")


def test_no_program_asks_more_of_a_cluster_than_kubectl(kubeconfig):
    cluster = KubernetesCluster(kubeconfig)
    contexts = [
        cluster._tls(),
        cluster._client.rest_client.pool_manager.connection_pool_kw["ssl_context"],
        KubeApi(kubeconfig)._tls(),
        logger_access.load_access(kubeconfig).tls,
        router_access.load_access(kubeconfig).context,
    ]
    for context in contexts:
        assert not context.verify_flags & ssl.VERIFY_X509_STRICT
        assert context.verify_mode == ssl.CERT_REQUIRED and context.check_hostname
