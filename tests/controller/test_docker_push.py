"""An image pushed into the registry becomes a release by itself, once."""

import pytest

from controller.actions import docker_push
from controller.models import Event, Notice

TYPE = "application/vnd.docker.distribution.manifest.v2+json"
RUNS = "/v2/apps/blue/build-runs/"


@pytest.fixture(autouse=True)
def ports(monkeypatch):
    monkeypatch.setattr(docker_push, "exposed_ports", lambda repository, digest: [8080])


def event(digest="a", number=1, **target):
    fields = {"mediaType": TYPE, "repository": "blue", "tag": "latest", "digest": f"sha256:{digest * 64}", **target}
    return {
        "id": f"event-{number}", "action": "push", "target": fields,
        "request": {"addr": "192.0.2.9:1", "useragent": "docker/20.10"}, "actor": {"name": "paas"},
    }  # fmt: skip


@pytest.fixture
def notify(builder):
    def notified(*events):
        answer = builder.post("/v2/hooks/registry/", {"events": list(events)})
        assert answer.status_code == 200, answer.content
        docker_push.take_up_waiting()
        return answer.json()["queued"]

    return notified


def builds(user):
    return [build["image"].rpartition("@")[2] for build in user.get("/v2/apps/blue/builds/").json()["results"]]


def test_a_pushed_image_is_released_by_digest(blue, notify):
    assert notify(event()) == [1]
    assert builds(blue) == ["sha256:" + "a" * 64]
    run = blue.get(RUNS + "1").json()
    assert (run["state"], run["release"], run["by"], run["source"]) == ("succeeded", 2, "bob", "docker-push")


def test_a_repeated_notification_and_an_image_that_runs_make_no_release(blue, notify):
    notify(event())
    assert notify(event()) == []
    assert notify(event(number=2)) == [2]
    assert builds(blue) == ["sha256:" + "a" * 64] and blue.get(RUNS + "2").json()["state"] == "skipped"
    notify(event("b", 3))
    notify(event("a", 4))
    assert [digest[7] for digest in builds(blue)] == ["a", "b", "a"]


def test_only_images_pushed_under_an_apps_name_count(blue, builder, notify, sign_in):
    sign_in("carol")
    ours = event(tag="git-0a1b2c3d")
    stranger = event()
    stranger["actor"] = {"name": "carol"}
    pull = event()
    pull["action"] = "pull"
    others = (event(repository="none"), event(tag=""), event(mediaType="application/octet-stream"), event("z"))
    assert notify(ours, stranger, pull, *others, "x", {}) == []
    assert builder.post("/v2/hooks/registry/", {"events": 1}).status_code == 400


def test_a_busy_app_gets_its_image_afterwards(blue, notify, monkeypatch):
    monkeypatch.setattr(docker_push.operations, "unfinished", lambda app: object())
    notify(event())
    assert builds(blue) == [] and blue.get(RUNS + "1").json()["state"] == "queued"
    monkeypatch.undo()
    monkeypatch.setattr(docker_push, "exposed_ports", lambda repository, digest: None)
    docker_push.take_up_waiting()
    assert builds(blue) == ["sha256:" + "a" * 64]


def test_pushes_of_one_app_are_released_in_order(blue, notify):
    notify(event("a", 1), event("b", 2))
    assert [digest[7] for digest in builds(blue)] == ["b", "a"]


def test_an_image_that_cannot_be_released_is_told_in_the_log_and_to_webhooks(blue, notify, monkeypatch):
    monkeypatch.setattr(docker_push, "exposed_ports", lambda repository, digest: [])
    notify(event())
    run = blue.get(RUNS + "1").json()
    assert run["state"] == "failed" and run["cause"].startswith("Expose a port")
    assert "paas config:set PORT=" in run["hint"]
    last = Event.objects.filter(app__name="blue").latest("id")
    assert last.level == "ERROR" and last.message.startswith("blue:latest, pushed with docker, is not released: Expose")
    assert Notice.objects.filter(event="deploy.failed", app__name="blue").count() == 1
