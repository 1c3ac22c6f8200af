"""One-off commands: begun, ended by their time, their client or a word, and nothing of them left."""

from datetime import timedelta

import pytest
from django.utils import timezone

from controller.actions import one_offs
from controller.models import App, OneOff

RUNNING = {"phase": "Running", "containerStatuses": [{"restartCount": 0, "state": {"running": {}}}]}


@pytest.fixture
def lasting(cluster, monkeypatch):
    """One-off pods run on instead of ending at once."""
    create = cluster.create

    def created(manifest):
        pod = create(manifest)
        set_status(cluster, pod["metadata"]["name"], RUNNING)
        return pod

    monkeypatch.setattr(cluster, "create", created)
    return cluster


def set_status(cluster, name, status):
    cluster._objects["Pod", "blue", name]["status"] = status


def ended(code, reason=""):
    state = {"terminated": {"exitCode": code, "reason": reason or ("Error" if code else "Completed")}}
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"restartCount": 0, "state": state}]}


def begin(api, **body):
    answer = api.post("/v2/apps/blue/runs/", {"command": "python import.py", **body})
    assert answer.status_code == 201, answer.content
    return answer.json()


def later(seconds):
    OneOff.objects.update(
        created=timezone.now() - timedelta(seconds=seconds), heartbeat=timezone.now() - timedelta(seconds=seconds)
    )


def test_a_detached_command_has_a_pod_with_its_time_limit(live, lasting):
    row = begin(live, timeout=90)
    pod = lasting.get("Pod", "blue", row["name"])
    assert pod["spec"]["activeDeadlineSeconds"] == 90
    assert pod["spec"]["restartPolicy"] == "Never"
    assert (row["state"], row["kind"], row["release"], row["by"]) == ("running", "detached", "v2", "bob")
    assert live.get("/v2/apps/blue/runs/").json()["results"][0]["name"] == row["name"]


def test_how_it_ended_is_kept_after_its_pod_is_gone(live, lasting):
    row = begin(live)
    set_status(lasting, row["name"], ended(3))
    one_offs.tend()
    assert lasting.get("Pod", "blue", row["name"]) is not None, "its last lines have yet to be read"
    OneOff.objects.update(ended=timezone.now() - timedelta(seconds=one_offs.LINGER + 1))
    one_offs.tidy()
    assert lasting.get("Pod", "blue", row["name"]) is None
    short = row["name"].removeprefix("blue-")
    shown = live.get(f"/v2/apps/blue/runs/{short}/").json()
    assert (shown["state"], shown["exit_code"]) == ("failed", 3)


def test_a_command_over_its_time_says_so(live, lasting):
    row = begin(live, timeout=60)
    set_status(lasting, row["name"], {**ended(137), "reason": "DeadlineExceeded"})
    one_offs.tend()
    assert live.get(f"/v2/apps/blue/runs/{row['name']}/").json()["reason"] == "its time limit of 60 s was over"
    assert "its time limit of 60 s was over" in live.get("/v2/apps/blue/logs").content.decode()


@pytest.mark.parametrize("seconds", [0, -5, 24 * 3600 + 1])
def test_a_time_limit_has_bounds(live, seconds):
    answer = live.post("/v2/apps/blue/runs/", {"command": "x", "timeout": seconds})
    assert answer.status_code == 400 and "timeout" in answer.json()


def test_stopping_removes_the_pod_and_says_who_did(live, lasting):
    row = begin(live)
    assert live.delete(f"/v2/apps/blue/runs/{row['name']}/").status_code == 204
    assert lasting.get("Pod", "blue", row["name"]) is None
    assert live.get(f"/v2/apps/blue/runs/{row['name']}/").json()["reason"] == "stopped by bob"
    assert live.delete("/v2/apps/blue/runs/run-zzzzz/").status_code == 404


def test_an_attached_command_ends_with_its_clients_silence(live, lasting):
    app = App.objects.get(name="blue")
    row = one_offs._begin(app, one_offs.wish_to_run(app), "sleep 600", app.owner, OneOff.ATTACHED, 600)
    lasting.create(one_offs.render_session(one_offs.wish_to_run(app), row.name, 600))
    one_offs.tend()
    assert lasting.get("Pod", "blue", row.name) is not None
    later(one_offs.SILENT + 1)
    one_offs.tend()
    assert lasting.get("Pod", "blue", row.name) is None
    assert live.get(f"/v2/apps/blue/runs/{row.name}/").json()["reason"] == "the client hung up"


def test_a_waiting_request_that_is_hung_up_stops_its_command(live, lasting):
    app = App.objects.get(name="blue")
    with pytest.raises(one_offs.ClientGone):
        one_offs.run(app=app, command="sleep 600", by=app.owner, gone=lambda: True)
    assert [p for p in lasting.all("Pod", "blue") if p["metadata"]["labels"]["type"] == "run"] == []
    assert app.one_offs.get().reason == "the client hung up"


def test_an_app_runs_so_many_at_once(live, lasting, monkeypatch):
    monkeypatch.setattr(one_offs, "MOST_AT_ONCE", 1)
    begin(live)
    answer = live.post("/v2/apps/blue/runs/", {"command": "x"})
    assert answer.status_code == 429 and "already" in answer.json()["detail"]


def test_only_the_newest_ended_ones_are_remembered(live, lasting, monkeypatch):
    monkeypatch.setattr(one_offs, "KEPT", 2)
    for _ in range(4):
        live.delete(f"/v2/apps/blue/runs/{begin(live)['name']}/")
    one_offs.tidy()
    assert live.get("/v2/apps/blue/runs/").json()["count"] == 2


def test_who_may(live, lasting, sign_in, anonymous):
    eve = sign_in("eve")
    row = begin(live)
    upgrade = {"Upgrade": "websocket", "Sec-WebSocket-Key": "x" * 24}
    for path in ("run/attach?command=ls", "exec?process=web&command=ls", "portforward?port=5000"):
        assert eve.get(f"/v2/apps/blue/{path}", **upgrade).status_code == 403
        assert anonymous.get(f"/v2/apps/blue/{path}", **upgrade).status_code == 401
    assert eve.get("/v2/apps/blue/runs/").status_code == 403
    assert eve.post("/v2/apps/blue/runs/", {"command": "ls"}).status_code == 403
    assert eve.delete(f"/v2/apps/blue/runs/{row['name']}/").status_code == 403
    live.post("/v2/apps/blue/perms/", {"username": "eve"})
    assert eve.delete(f"/v2/apps/blue/runs/{row['name']}/").status_code == 204, "a collaborator may stop what it began"


def test_a_plain_request_to_a_tunnel_is_told_what_speaks_it(live):
    answer = live.get("/v2/apps/blue/exec?process=web&command=ls")
    assert answer.status_code == 400 and "WebSocket" in answer.json()["detail"]
    upgrade = {"Upgrade": "websocket", "Sec-WebSocket-Key": "x" * 24}
    assert live.get("/v2/apps/blue/exec?process=web&command=ls", **upgrade).status_code == 501


def test_a_command_finds_its_releases_environment_though_no_deploy_has_put_it_there(live, lasting, cluster):
    cluster.delete("Secret", "blue", "blue-v2-env")
    assert live.post("/v2/apps/blue/runs/", {"command": "true", "timeout": 60}).status_code == 201
    assert cluster.get("Secret", "blue", "blue-v2-env") is not None
