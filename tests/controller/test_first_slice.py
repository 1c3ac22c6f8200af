def test_a_push_becomes_running_processes(live, cluster):
    assert live.get("/v2/apps/blue/").json()["structure"] == {"web": 1}
    pods = live.get("/v2/apps/blue/pods/").json()
    assert [(pod["type"], pod["state"], pod["release"]) for pod in pods["results"]] == [("web", "up", "v2")]


def test_the_life_of_an_app(live, push, cluster):
    assert live.post("/v2/apps/blue/config/", {"values": {"GREETING": "hi"}}).status_code == 201
    assert live.post("/v2/apps/blue/scale/", {"web": 3, "worker": "1"}).status_code == 204
    assert live.get("/v2/apps/blue/pods/").json()["count"] == 4
    assert push(sha="ffffffff").json() == {"release": {"version": 4}}
    assert live.post("/v2/apps/blue/releases/rollback/", {"version": 2}).json() == {"version": 5}
    assert live.get("/v2/apps/blue/config/").json()["values"] == {}
    assert live.get("/v2/apps/blue/pods/").json()["count"] == 4
    summaries = [r["summary"] for r in live.get("/v2/apps/blue/releases/").json()["results"]]
    assert summaries == [
        "bob rolled back to v2",
        "bob deployed fffffff",
        "bob added GREETING",
        "bob deployed a1b2c3d",
        "bob created initial release",
    ]
    assert live.post("/v2/apps/blue/pods/restart/").status_code == 200
    assert live.post("/v2/apps/blue/run", {"command": "ls"}).json() == {"exit_code": 0, "output": "ran\n"}
    assert b"bob deployed fffffff" in live.get("/v2/apps/blue/logs").content
    assert live.delete("/v2/apps/blue/").status_code == 204
    assert cluster.all("Namespace") == []
