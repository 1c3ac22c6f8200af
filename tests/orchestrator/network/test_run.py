from orchestrator.network import run


def test_a_loopback_server_needs_a_way_for_pods_and_another_does_not(tmp_path):
    config = """
current-context: x
contexts: [{name: x, context: {cluster: x, user: x}}]
clusters: [{name: x, cluster: {server: "SERVER"}}]
users: [{name: x, user: {token: t}}]
"""
    path = tmp_path / "kubeconfig"
    for server, expected in [
        ("https://127.0.0.1:6443", ("127.0.0.1", 6443)),
        ("https://localhost:7443", ("127.0.0.1", 7443)),
        ("https://192.0.2.1:6443", None),
        ("https://api.example.test", None),
    ]:
        path.write_text(config.replace("SERVER", server))
        assert run.loopback_api(path) == expected


async def test_what_fails_is_run_again(monkeypatch):
    monkeypatch.setattr(run, "RETRY", 0)
    failures = [OSError("port taken"), run.FirewallError("no nft"), ValueError("a mistake")]

    async def serve():
        if failures:
            raise failures.pop(0)
        raise KeyboardInterrupt

    try:
        await run.keep("test", serve)
    except KeyboardInterrupt:
        assert failures == []
