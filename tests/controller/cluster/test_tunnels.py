"""Tunnels: what the cluster answers reaches the client, bytes go both ways, and the end of either side is the end."""

import contextlib
import json
import socket
import threading

import pytest

from controller.cluster import tunnels
from controller.cluster.client import ClusterError, KubernetesCluster, Unreachable

UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
OFFERED = {"Sec-WebSocket-Key": "k" * 22 + "==", "Cookie": "never passed on"}


@contextlib.contextmanager
def api_server(answer):
    """A server that answers one request with `answer`, then echoes; gives its endpoint and what it was asked."""
    asked = []

    def serve():
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(65536).decode())
                connection.sendall(answer)
                while data := connection.recv(65536):
                    if data == b"bye":
                        return
                    connection.sendall(data.upper())

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield tunnels.Endpoint("127.0.0.1", listener.getsockname()[1], None, (("Authorization", "Bearer us"),)), asked
    finally:
        listener.close()
        thread.join(60)


def join(tunnel, **options):
    ours, theirs = socket.socketpair()
    over = threading.Event()
    tunnels.join(tunnel, theirs, pulse=lambda: None, ended=over.set, **{"allowed": lambda: True, **options})
    ours.settimeout(5)
    return ours, over


def test_a_cluster_behind_a_path_is_asked_below_it(tmp_path):
    with api_server(UPGRADED) as (endpoint, asked):
        server = {"server": f"http://{endpoint.host}:{endpoint.port}/k8s/clusters/c-1"}
        context = {"name": "x", "context": {"cluster": "c", "user": "u"}}
        document = {"clusters": [{"name": "c", "cluster": server}], "users": [{"name": "u", "user": {"token": "us"}}]}
        path = tmp_path / "kubeconfig"
        path.write_text(json.dumps({**document, "contexts": [context], "current-context": "x"}))
        KubernetesCluster(str(path)).open_tunnel("blue", "blue-web-1", "exec", [("command", "ls")], OFFERED).close()
    assert asked[0].startswith("GET /k8s/clusters/c-1/api/v1/namespaces/blue/pods/blue-web-1/exec?command=ls HTTP")
    assert "authorization: Bearer us\r\n" in asked[0]


def test_bytes_go_both_ways_after_the_clusters_own_answer():
    with api_server(UPGRADED) as (endpoint, asked):
        tunnel = tunnels.open_tunnel(endpoint, "/exec", [("command", "ls -la"), ("command", "b&c")], OFFERED)
        client, over = join(tunnel)
        assert client.recv(1000) == UPGRADED
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
        client.close()
        assert over.wait(60)
    assert asked[0].startswith("GET /exec?command=ls+-la&command=b%26c HTTP/1.1\r\n")
    assert "Authorization: Bearer us" in asked[0]
    assert "Cookie" not in asked[0]


def test_the_other_sides_end_is_the_clients():
    with api_server(UPGRADED) as (endpoint, _):
        client, over = join(tunnels.open_tunnel(endpoint, "/exec", [], OFFERED))
        client.recv(1000)
        client.sendall(b"bye")
        assert client.recv(100) == b""
        assert over.wait(60)


def test_a_silent_client_counts_as_gone():
    with api_server(UPGRADED) as (endpoint, _):
        client, over = join(tunnels.open_tunnel(endpoint, "/exec", [], OFFERED), patience=0.05)
        assert over.wait(60)
        client.close()


def test_who_is_no_longer_allowed_to_be_there_is_cut_off(monkeypatch):
    monkeypatch.setattr(tunnels, "PULSE", 0.02)
    answers = iter([True, 1 / 3, False])
    with api_server(UPGRADED) as (endpoint, _):
        tunnel = tunnels.open_tunnel(endpoint, "/exec", [], OFFERED)
        client, over = join(tunnel, allowed=lambda: next(answers))
        assert client.recv(1000) == UPGRADED
        assert client.recv(100) == b"" and over.wait(60)
        assert next(answers, "asked out") == "asked out"


def test_a_database_that_is_away_cuts_nobody_off(monkeypatch):
    monkeypatch.setattr(tunnels, "PULSE", 0.02)
    asked = threading.Semaphore(0)

    def broken():
        asked.release()
        raise OSError("no database")

    with api_server(UPGRADED) as (endpoint, _):
        client, over = join(tunnels.open_tunnel(endpoint, "/exec", [], OFFERED), allowed=broken)
        client.recv(1000)
        assert asked.acquire(timeout=60) and asked.acquire(timeout=60)
        client.sendall(b"hello")
        assert client.recv(100) == b"HELLO"
        client.close()
        assert over.wait(60)


def test_a_refusal_is_ours_in_words():
    body = b'{"kind":"Status","reason":"NotFound","message":"pods \\"x\\" not found"}'
    answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    with api_server(answer) as (endpoint, _), pytest.raises(ClusterError, match='pods "x" not found') as caught:
        tunnels.open_tunnel(endpoint, "/exec", [], OFFERED)
    assert caught.value.code == 404


def test_nobody_there_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable):
        tunnels.open_tunnel(tunnels.Endpoint("127.0.0.1", port, None), "/exec", [], OFFERED)


def test_there_is_a_limit(monkeypatch):
    monkeypatch.setattr(tunnels, "MOST", 0)
    with pytest.raises(tunnels.TooMany):
        tunnels.open_tunnel(tunnels.Endpoint("127.0.0.1", 1, None), "/exec", [], OFFERED)
