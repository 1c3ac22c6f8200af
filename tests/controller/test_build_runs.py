"""The record of builds: what each way in leaves in it, failed ones too, and the queue in it."""

import pytest

from controller.actions import build_runs
from controller.models import BuildRun

RUNS = "/v2/apps/blue/build-runs/"


def begin(builder, **more):
    body = {"receive_user": "bob", "receive_repo": "blue", "source": "git-ssh", "origin": "192.0.2.1", **more}
    answer = builder.post("/v2/hooks/build-runs/", body)
    assert answer.status_code == 201, answer.content
    return answer.json()


def end(builder, run, state, **more):
    return builder.post(f"/v2/hooks/build-runs/{run['uuid']}/", {"state": state, **more})


def test_a_failed_build_is_recorded_with_who_from_where_how_long_and_why(blue, builder):
    run = begin(builder, ref="master", sha="a1" * 20)
    assert end(builder, run, "failed", cause="no lock file", hint="npm install").status_code == 200
    told = blue.get(RUNS + "1").json()
    assert (told["by"], told["origin"], told["source"], told["ref"]) == ("bob", "192.0.2.1", "git-ssh", "master")
    assert (told["state"], told["cause"], told["hint"]) == ("failed", "no lock file", "npm install")
    assert told["seconds"] >= 0 and told["release"] is None
    end(builder, run, "succeeded")  # too late
    assert blue.get(RUNS + "1").json()["state"] == "failed"


def test_a_push_is_linked_to_its_release(blue, builder, push):
    run = begin(builder)
    assert push(run=run["uuid"]).status_code == 200
    end(builder, run, "succeeded", sha="b2" * 20)
    told = blue.get(RUNS).json()["results"][0]
    assert (told["number"], told["state"], told["release"], told["sha"]) == (1, "succeeded", 2, "b2" * 20)


def test_a_pulled_image_is_a_build_too_even_one_that_fails(blue, cluster):
    body = {"image": "example.com/team/x:1", "procfile": {"web": "run"}}
    assert blue.post("/v2/apps/blue/builds/", body).status_code == 201
    assert blue.post("/v2/apps/blue/builds/", {"image": "deis/router:1"}).status_code == 400
    second, first = blue.get(RUNS).json()["results"]
    assert (first["source"], first["state"], first["release"]) == ("image", "succeeded", 2)
    assert second["state"] == "failed" and "part of the platform" in second["cause"]


def test_strangers_see_no_builds(blue, builder, sign_in):
    begin(builder)
    carol = sign_in("carol")
    for path in (RUNS, RUNS + "1", "/v2/apps/blue/git/", "/v2/apps/blue/build-settings/"):
        assert carol.get(path).status_code == 403
    assert carol.post(RUNS + "1/cancel").status_code == 403
    assert carol.post("/v2/hooks/build-runs/", {}).status_code == 403


def test_a_token_is_checked_with_the_right_to_the_app(blue, builder, sign_in):
    answer = builder.get("/v2/hooks/push/blue", Authorization=f"token {blue.token}")
    assert answer.json() == {"username": "bob", "uuid": blue.get("/v2/apps/blue").json()["uuid"]}
    assert builder.get("/v2/hooks/push/blue").status_code == 401
    assert builder.get("/v2/hooks/push/blue", Authorization="token " + "0" * 40).status_code == 401
    carol = sign_in("carol")
    assert builder.get("/v2/hooks/push/blue", Authorization=f"token {carol.token}").status_code == 403
    assert blue.get("/v2/hooks/push/blue").status_code == 403


def test_a_token_for_one_app_may_push_to_that_one_by_its_scope(blue, builder):
    blue.post("/v2/apps/", {"id": "green"})

    def asked(app, *scopes):
        made = blue.post("/v2/tokens/", {"name": "-".join((app, *scopes)), "scopes": scopes, "app": app}).json()
        return builder.get("/v2/hooks/push/blue", Authorization=f"token {made['token']}")

    assert asked("blue", "deploy").json()["username"] == "bob"
    assert "needs the scope 'deploy'" in asked("blue", "read").json()["detail"]
    assert "for another app alone" in asked("green", "deploy").json()["detail"]


def connect(user, url="https://git.example.com/team/blue.git", **more):
    answer = user.post("/v2/apps/blue/git/", {"url": url, **more})
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_a_connected_app_queues_builds_that_the_builder_claims_in_order(blue, builder):
    assert blue.post(RUNS).status_code == 404
    told = connect(blue, branch="trunk")
    assert told["public_key"].startswith("ssh-ed25519 ") and len(told["secret"]) == 48
    assert "secret" not in blue.get("/v2/apps/blue/git/").json()
    assert blue.post(RUNS).status_code == 201 and blue.post(RUNS, {"ref": "v1.2"}).status_code == 201
    claimed = [builder.post("/v2/hooks/build-runs/claim").json() for _ in range(3)]
    assert [one["run"] and one["run"]["wish"] for one in claimed] == [{"ref": "trunk"}, {"ref": "v1.2"}, None]
    assert claimed[0]["run"]["by"] == "bob" and claimed[0]["git"]["private_key"].startswith("-----BEGIN OPENSSH")
    assert end(builder, claimed[0]["run"], "building").status_code == 200


def test_a_killed_builder_loses_nothing_that_was_queued(blue, builder):
    connect(blue)
    blue.post(RUNS)
    watched = begin(builder)
    claimed = builder.post("/v2/hooks/build-runs/claim").json()["run"]
    end(builder, claimed, "building")
    builder.post("/v2/hooks/build-runs/abandoned", {"age": 60})  # began since that builder did
    assert blue.get(f"{RUNS}{watched['number']}").json()["state"] == "building"
    builder.post("/v2/hooks/build-runs/abandoned")
    assert blue.get(f"{RUNS}{watched['number']}").json()["cause"] == build_runs.STOPPED
    again = builder.post("/v2/hooks/build-runs/claim").json()["run"]
    assert again["number"] == claimed["number"]
    for _ in range(3):
        builder.post("/v2/hooks/build-runs/abandoned")
        builder.post("/v2/hooks/build-runs/claim")
    assert blue.get(f"{RUNS}{claimed['number']}").json()["state"] == "failed"


def test_a_build_that_waits_can_be_cancelled_and_does_not_begin(blue, builder):
    connect(blue)
    blue.post(RUNS)
    claimed = builder.post("/v2/hooks/build-runs/claim").json()["run"]
    assert blue.post(RUNS + "1/cancel").json()["state"] == "cancelled"
    assert end(builder, claimed, "building").status_code == 409
    assert blue.post(RUNS + "1/cancel").status_code == 409


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ext::sh -c id",
        "https://user:pw@git.example.com/x.git",
        "https://git.example.com/../x",
        "ssh://-oProxyCommand=x/x.git",
        "ssh://-x@git.example.com/x",
        "git@host",
        "https://git.example.com/x?y",
        "--upload-pack=x",
        "https:///x",
    ],
)
def test_a_url_that_git_must_not_get_is_refused(blue, url):
    answer = blue.post("/v2/apps/blue/git/", {"url": url})
    assert answer.status_code == 400 and "url" in answer.json()


def test_short_ssh_addresses_are_understood(blue):
    assert connect(blue, "git@git.example.com:team/blue.git")["url"] == "ssh://git@git.example.com/team/blue.git"
    assert blue.post("/v2/apps/blue/git/", {"url": "https://h.test/x", "branch": "-x"}).json().keys() == {"branch"}
    assert blue.delete("/v2/apps/blue/git/").status_code == 204
    assert blue.get("/v2/apps/blue/git/").status_code == 404


def test_build_settings_are_checked_and_kept(blue, builder):
    path = "/v2/apps/blue/build-settings/"
    assert blue.get(path).json() == {"root": "", "paths": [], "submodules": False}
    changed = blue.post(path, {"root": "/services/api/", "paths": ["lib", "services/api/"]})
    assert changed.json() == {"root": "services/api", "paths": ["lib", "services/api"], "submodules": False}
    assert begin(builder)["settings"]["root"] == "services/api"
    assert blue.post(path, {"paths": None, "root": ""}).json()["root"] == ""
    assert blue.post(path, {"root": ""}).status_code == 409
    for wrong in ({"root": "../x"}, {"root": "a//b"}, {"paths": "x"}, {"paths": [":(glob)x"]}, {"other": 1}):
        assert blue.post(path, wrong).status_code == 400


def test_old_runs_are_forgotten(blue, builder, settings):
    settings.BUILD_RUNS_KEPT = 2
    for _ in range(4):
        end(builder, begin(builder), "failed")
    build_runs.forget_old_runs()
    assert sorted(BuildRun.objects.values_list("number", flat=True)) == [3, 4]
    assert begin(builder)["number"] == 5
