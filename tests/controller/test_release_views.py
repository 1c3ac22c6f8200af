"""What releases tell (states, differences, output), how they go live, cancelling, halves of a rollback."""

import pytest

from controller.actions import carry_out
from controller.actions.pulse import Pulse
from controller.models import App, Operation


def listed(user, **query):
    path = "/v2/apps/blue/releases/?" + "&".join(f"{key}={value}" for key, value in query.items())
    return {row["version"]: row for row in user.get(path).json()["results"]}


def test_details_are_told_on_request_alone(live):
    assert "state" not in listed(live)[2]
    assert "state" not in live.get("/v2/apps/blue/releases/v2/").json()
    detailed = live.get("/v2/apps/blue/releases/v2/?detail=true").json()
    assert (detailed["state"], detailed["cause"], detailed["sha"]) == ("watched", "build", "a1b2c3d4")
    assert detailed["structure"] == {"web": 1}


def test_states(live, push, cluster):
    image = "127.0.0.1:5000/blue@sha256:" + "bad".ljust(64, "0")
    cluster.fates[image] = {"restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                            "lastState": {"terminated": {"exitCode": 1}}}  # fmt: skip
    assert push(sha="b1b2c3d4", image=image).status_code == 400
    live.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    found = listed(live, detail="true")
    assert {version: row["state"] for version, row in found.items()} == {
        1: "empty", 2: "past", 3: "failed", 4: "watched",
    }  # fmt: skip
    assert found[3]["reason"].startswith("web crashed with exit code 1")
    assert [found[n]["cause"] for n in (1, 2, 3, 4)] == ["create", "build", "build", "config"]


def test_a_diff_names_what_changed_and_hides_values(live, push):
    live.post("/v2/apps/blue/config/", {"values": {"A": "secret-1", "B": "x"}, "memory": {"web": "64M"}})
    live.post("/v2/apps/blue/scale/", {"web": 3})
    push(sha="b1b2c3d4", procfile={"web": "python app2.py", "clock": "tick"})
    live.post("/v2/apps/blue/config/", {"values": {"A": "secret-2", "B": None}})
    answer = live.get("/v2/apps/blue/releases/v3/diff/v5/")
    assert b"secret" not in answer.content
    diff = answer.json()
    assert (diff["from"], diff["to"]) == (3, 5)
    assert {change["name"]: change["after"] for change in diff["code"]}["sha"] == "b1b2c3d4"
    assert diff["procfile"] == [
        {"name": "clock", "change": "added", "before": None, "after": "tick"},
        {"name": "web", "change": "changed", "before": "python app.py", "after": "python app2.py"},
        {"name": "worker", "change": "removed", "before": "python work.py", "after": None},
    ]
    assert diff["config"] == [
        {"section": "values", "name": "A", "change": "changed", "before": "…", "after": "…"},
        {"section": "values", "name": "B", "change": "removed", "before": "…", "after": None},
    ]
    formation = live.get("/v2/apps/blue/releases/v2/diff/v5/").json()["formation"]
    assert {"name": "web", "change": "changed", "before": 1, "after": 3} in formation
    limits = live.get("/v2/apps/blue/releases/v2/diff/v3/").json()["config"]
    assert {"section": "memory", "name": "web", "change": "added", "before": None, "after": "64M"} in limits
    assert live.get("/v2/apps/blue/releases/v2/diff/v99/").status_code == 404


def test_the_output_ends_with_the_reason_of_a_failure(live, push, cluster):
    cluster.commands["release"] = 1
    cluster.outputs["release"] = "oops\n"
    push(sha="b1b2c3d4", procfile={"web": "x", "release": "migrate"})
    data = live.get("/v2/apps/blue/releases/v3/output/").json()
    assert [(line["source"], line["text"]) for line in data["results"]] == [
        ("step", "Running release: migrate"),
        ("release", "oops"),
        ("platform", "the release command failed with exit code 1: oops"),
    ]
    assert (data["version"], data["state"], data["count"]) == (3, "failed", 3)


@pytest.mark.parametrize(("only", "values", "sha"), [("code", {"A": "2"}, "a1b2c3d4"), ("config", {}, "b1b2c3d4")])
def test_a_rollback_may_be_of_code_or_config_alone(live, push, only, values, sha):
    live.post("/v2/apps/blue/config/", {"values": {"A": "2"}})
    push(sha="b1b2c3d4")
    assert live.post("/v2/apps/blue/releases/rollback/", {"version": 2, "only": only}).json() == {"version": 5}
    assert live.get("/v2/apps/blue/config/").json()["values"] == values
    release = live.get("/v2/apps/blue/releases/v5/?detail=true").json()
    assert (release["sha"], release["summary"]) == (sha, f"bob rolled back to v2 ({only} only)")


def test_what_runs_is_not_rolled_back_to_a_release_without_a_build(blue, push):
    blue.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    assert push(sha="a1b2c3d4").json()["release"]["version"] == 3
    rollback = "/v2/apps/blue/releases/rollback/"
    for body, text in (
        ({"version": 2}, "v2 has no build that could run; only its config can come back."),
        ({"version": 2, "only": "code"}, "v2 has no build that could run; only its config can come back."),
        ({}, "Nothing ran before v3: there is no release to go back to."),
    ):
        answer = blue.post(rollback, body)
        assert (answer.status_code, answer.json()) == (400, {"detail": text})
    assert max(listed(blue)) == 3
    assert blue.post(rollback, {"version": 2, "only": "config"}).json() == {"version": 4}


def test_a_rollback_from_an_empty_release_goes_live(blue, push, cluster):
    push(sha="a1b2c3d4")
    app = App.objects.get(name="blue")
    empty = app.releases.get(version=1)
    app.releases.create(owner=app.owner, version=3, config=empty.config, summary="nothing", structure={"web": 1})
    assert blue.post("/v2/apps/blue/releases/rollback/", {"version": 2}).json() == {"version": 4}
    [deployment] = cluster.all("Deployment", "blue")
    assert deployment["metadata"]["annotations"]["deis.io/release"] == "v4"


def test_a_rollback_of_something_else_is_refused_by_name(live):
    assert list(live.post("/v2/apps/blue/releases/rollback/", {"only": "all"}).json()) == ["only"]


def test_rules_are_filled_in_from_deis_variables_and_the_platform(live):
    rules = live.get("/v2/apps/blue/deploy/").json()
    assert rules == {
        "surge": None, "unavailable": 0, "timeout": 120, "release_timeout": 600, "watch": 120, "rollback": True,
        "errors": 50, "set": [],
    }  # fmt: skip
    live.post("/v2/apps/blue/config/", {"values": {"DEIS_DEPLOY_BATCHES": "3", "DEIS_DEPLOY_TIMEOUT": "40"}})
    rules = live.get("/v2/apps/blue/deploy/").json()
    assert (rules["surge"], rules["timeout"], rules["set"]) == (3, 40, [])


def test_rules_reach_the_next_deploy(live, cluster):
    answer = live.post("/v2/apps/blue/deploy/", {"surge": "50%", "unavailable": 1, "timeout": 30, "watch": 0})
    assert (answer.status_code, answer.json()["set"]) == (201, ["surge", "timeout", "unavailable", "watch"])
    live.post("/v2/apps/blue/config/", {"values": {"DEIS_DEPLOY_BATCHES": "3"}})
    spec = cluster.get("Deployment", "blue", "blue-web")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": "50%", "maxUnavailable": 1}
    assert spec["progressDeadlineSeconds"] == 40
    assert listed(live, detail="true")[3]["state"] == "live", "nothing is watched for 0 s"
    assert live.post("/v2/apps/blue/deploy/", {"surge": None}).json()["surge"] == 3


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"surge": "many"}, 400, "surge"),
        ({"surge": "101%"}, 400, "surge"),
        ({"surge": -1}, 400, "surge"),
        ({"surge": 0}, 400, "surge"),
        ({"unavailable": True}, 400, "unavailable"),
        ({"timeout": 0}, 400, "timeout"),
        ({"watch": 3601}, 400, "watch"),
        ({"errors": 0}, 400, "errors"),
        ({"nonsense": 1}, 400, "nonsense"),
        ({"watch": None}, 422, "detail"),
        ({}, 409, "detail"),
    ],
)
def test_bad_rules_are_refused_by_field(live, body, status, field):
    answer = live.post("/v2/apps/blue/deploy/", body)
    assert (answer.status_code, list(answer.json())) == (status, [field])


def test_nobody_waits_who_says_so(live, cluster, monkeypatch):
    monkeypatch.setattr("controller.actions.operations.enqueue", lambda *args: None)
    answer = live.post("/v2/apps/blue/config/?wait=false", {"values": {"A": "1"}})
    assert (answer.status_code, answer.json()["values"]) == (201, {"A": "1"})
    found = listed(live, detail="true")
    assert (found[3]["state"], found[2]["state"]) == ("pending", "watched")


def test_cancelling_what_no_worker_has_taken_yet(live, monkeypatch):
    monkeypatch.setattr("controller.actions.operations.enqueue", lambda *args: None)
    live.post("/v2/apps/blue/config/?wait=false", {"values": {"A": "1"}})
    answer = live.post("/v2/apps/blue/deploy/cancel/")
    assert (answer.status_code, answer.json()) == (200, {"kind": "deploy", "release": 3, "back_to": 2})
    assert listed(live)[3]["exception"] == "error: cancelled by bob"
    assert live.get("/v2/apps/blue/config/").json()["values"] == {}


def test_a_worker_stops_a_command_that_hangs_when_somebody_cancels(live, push, cluster, monkeypatch):
    monkeypatch.setattr("controller.actions.operations.enqueue", lambda *args: None)
    cluster.commands["release"] = "hangs"
    body = {"image": "r.test/x:2", "procfile": {"web": "x", "release": "y"}, "ports": [80]}
    live.post("/v2/apps/blue/builds/?wait=false", body)
    operation = Operation.objects.get(release__version=3)
    apply = cluster.apply

    def cancelled_meanwhile(manifest):
        if manifest["kind"] == "Job":
            Operation.objects.filter(pk=operation.pk).update(cancelled_by="bob")
        return apply(manifest)

    monkeypatch.setattr(cluster, "apply", cancelled_meanwhile)
    monkeypatch.setattr("controller.cluster.commands.TICK", 0.05)
    monkeypatch.setattr(Pulse, "PERIOD", 0.05)
    carry_out.carry_out(operation.pk)
    operation.refresh_from_db()
    assert (operation.state, operation.message) == ("failed", "cancelled by bob")
    assert cluster.all("Job") == []
    assert App.objects.get(name="blue").current_release().version == 2
    assert cluster.get("Deployment", "blue", "blue-web")["metadata"]["annotations"]["deis.io/release"] == "v2"


def test_there_may_be_nothing_to_cancel(live):
    answer = live.post("/v2/apps/blue/deploy/cancel/")
    text = "nothing of blue is being deployed or scaled; there is nothing to cancel"
    assert (answer.status_code, answer.json()) == (409, {"detail": text})


@pytest.mark.parametrize("state", ["cancelled", "failed"])
def test_a_pusher_who_hangs_up_stops_the_deploy_of_the_push(live, push, builder, monkeypatch, state):
    run = builder.post(
        "/v2/hooks/build-runs/", {"receive_user": "bob", "receive_repo": "blue", "source": "git-ssh"}
    ).json()
    monkeypatch.setattr("controller.actions.operations.enqueue", lambda *args: None)
    monkeypatch.setattr("controller.actions.operations.wait", lambda operation: None)
    push(sha="b1b2c3d4", run=run["uuid"])
    assert builder.post(f"/v2/hooks/build-runs/{run['uuid']}/", {"state": state}).status_code == 200
    exception = listed(live)[3]["exception"]
    assert exception == ("error: cancelled by bob" if state == "cancelled" else None)


@pytest.mark.parametrize("text", ["\u00b2", "9" * 5000])
def test_variables_that_are_no_sensible_number_break_no_deploy(blue, push, text):
    """Without a build nothing is deployed, so that the config stays."""
    names = ("DEIS_DEPLOY_BATCHES", "DEIS_DEPLOY_TIMEOUT", "KUBERNETES_DEPLOYMENTS_REVISION_HISTORY_LIMIT")
    assert blue.post("/v2/apps/blue/config/", {"values": dict.fromkeys(names, text)}).status_code == 201
    assert blue.get("/v2/apps/blue/deploy/").status_code == 200
    assert push().status_code == 200
