"""Deploys that don't come up: the reason in words, the old release going on, the formation put back."""

import io
import time

import pytest

from controller.cluster import deploy, diagnose

BAD = "127.0.0.1:5000/blue@sha256:" + "bad00000".ljust(64, "0")
CRASHED = {
    "restartCount": 2,
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
}
KILLED = {
    "restartCount": 1,
    "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
}
NO_IMAGE = {"restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}}
NO_PROGRAM = {
    "restartCount": 0,
    "state": {
        "waiting": {
            "reason": "RunContainerError",
            "message": 'OCI runtime create failed: exec: "gunicorn": executable file not found in $PATH: unknown',
        }
    },
}
ENDED = {"restartCount": 2, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}


NOT_ALIVE = {
    "restartCount": 2,
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 137, "reason": "Error"}},
}


@pytest.mark.parametrize("code", [137, 143, 0])
def test_a_process_that_its_check_had_stopped_is_not_called_crashed(code):
    finding = diagnose.Finding(kind="crash", pod="p", type="web", text="", code=code, memory="", port=None)
    events = ["Readiness probe failed: x", "Liveness probe failed: HTTP probe failed with statuscode: 500"]
    assert diagnose.explain(finding, "image", "boom", events) == (
        "web was stopped, its liveness check failed (HTTP probe failed with statuscode 500); "
        "`healthchecks` shows the check: boom"
    )
    assert "liveness" not in diagnose.explain(finding, "image", "boom", events[:1])
    by_itself = diagnose.Finding(kind="crash", pod="p", type="web", text="", code=3, memory="", port=None)
    assert diagnose.explain(by_itself, "image", "boom", events) == "web crashed with exit code 3: boom"


class Told:
    """A cluster that has one event about each pod, and its last lines."""

    def list(self, kind, namespace, *, fields):
        assert (kind, namespace) == ("Event", "blue") and fields == "involvedObject.name=p"
        return [{"reason": "Unhealthy", "message": "Liveness probe failed: dial tcp: refused"}], "1"

    def logs(self, namespace, pod, **options):
        return "boom\n"


def test_events_are_asked_for_when_a_process_was_killed():
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"image": "x"}]}}
    finding = diagnose.Finding(kind="crash", pod="p", type="web", text="", code=137, memory="", port=None)
    assert deploy.explain(Told(), "blue", finding, [pod]).startswith(
        "web was stopped, its liveness check failed (dial tcp refused)"
    )


@pytest.mark.parametrize(
    ("fate", "text"),
    [
        (CRASHED, "web crashed with exit code 1: boom | KeyError"),
        (ENDED, "web exited with code 0; a process must keep running: boom | KeyError"),
        (NO_IMAGE, f"the image {BAD} can't be pulled: manifest unknown"),
        (
            NO_PROGRAM,
            "web can't be started, its command isn't in the image or isn't executable: "
            'exec: "gunicorn": executable file not found in $PATH: boom | KeyError',
        ),
        (KILLED, "web was killed: out of memory at 64M; raise it with `limits:set web=128M`: boom | KeyError"),
    ],
)
def test_a_push_that_fails_says_why_and_the_old_release_goes_on(live, push, cluster, fate, text):
    live.post("/v2/apps/blue/config/", {"memory": {"web": "64M"}})
    cluster.fates[BAD] = fate
    cluster.outputs["web"] = "boom\nKeyError\n"
    answer = push(sha="bad00000")
    assert (answer.status_code, answer.json()) == (400, {"detail": text})
    failed = live.get("/v2/apps/blue/releases/v4").json()
    build = live.get("/v2/apps/blue/builds/").json()["results"][0]
    assert (failed["failed"], failed["exception"]) == (True, f"error: {text}")
    assert failed["summary"] == f"bob deployed {build['uuid'][:7]} which failed"
    image = cluster.get("Deployment", "blue", "blue-web")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image != BAD
    pods = live.get("/v2/apps/blue/pods/").json()["results"]
    assert [(pod["state"], pod["release"]) for pod in pods] == [("up", "v3")]
    assert text.encode() in live.get("/v2/apps/blue/logs").content


def test_a_pull_as_nobody_is_tried_again_before_it_counts(live, push, cluster, monkeypatch):
    """A kubelet to which a pod is new may not have been shown its pull secret yet."""
    message = "no basic auth credentials: unauthorized, or it does not exist"
    cluster.fates[BAD] = {"restartCount": 0, "state": {"waiting": {"reason": "ErrImagePull", "message": message}}}
    monkeypatch.setattr(diagnose, "PULL_PATIENCE", 2)
    began = time.monotonic()
    answer = push(sha="bad00000")
    assert (answer.status_code, answer.json()) == (400, {"detail": f"the image {BAD} can't be pulled: {message}"})
    assert time.monotonic() - began > 1


def test_a_silent_process_fails_when_its_time_is_up(live, push, cluster, settings):
    settings.DEPLOY_TIMEOUT = 1
    cluster.fates[BAD] = "silent"
    answer = push(sha="bad00000")
    text = "web runs but nothing listens on port 5000; listen on 0.0.0.0:$PORT (waited 1 s)"
    assert answer.json() == {"detail": text}


def test_no_room_is_told_in_the_schedulers_words(live, push, cluster, settings):
    settings.DEPLOY_TIMEOUT = 1
    cluster.fates[BAD] = "0/1 nodes are available: 1 Insufficient memory."
    text = "no node fits web: 0/1 nodes are available: 1 Insufficient memory. (waited 1 s)"
    assert push(sha="bad00000").json() == {"detail": text}


def test_a_failed_first_push_leaves_nothing_running(blue, push, cluster):
    cluster.fates[BAD] = CRASHED
    assert push(sha="bad00000").status_code == 400
    assert cluster.all("Deployment") == [] and cluster.all("Pod") == []
    assert blue.get("/v2/apps/blue/").json()["structure"] == {}
    assert push(sha="a1b2c3d4").json() == {"release": {"version": 3}}
    assert blue.get("/v2/apps/blue/").json()["structure"] == {"web": 1}


def test_a_failed_config_drops_out(live, cluster):
    image = cluster.all("Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["image"]
    cluster.fates[image] = CRASHED
    answer = live.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    assert answer.status_code == 400
    assert live.get("/v2/apps/blue/config/").json()["values"] == {}
    assert live.get("/v2/apps/blue/releases/v3").json()["summary"] == "bob deployed a config that failed"
    del cluster.fates[image]
    assert live.post("/v2/apps/blue/config/", {"values": {"B": "2"}}).json()["values"] == {"B": "2"}


def test_rolling_back_to_a_failed_release_is_refused(live, push, cluster):
    cluster.fates[BAD] = CRASHED
    push(sha="bad00000")
    answer = live.post("/v2/apps/blue/releases/rollback/", {"version": 3})
    assert (answer.status_code, answer.json()) == (400, {"detail": "Cannot roll back to failed release."})


def test_going_one_back_passes_failed_releases_over(live, push, cluster):
    cluster.fates[BAD] = CRASHED
    push(sha="bad00000")
    push(sha="bbbbbbbb")
    assert live.post("/v2/apps/blue/releases/rollback/").json() == {"version": 5}
    assert live.get("/v2/apps/blue/releases/v5").json()["summary"] == "bob rolled back to v2"


def test_a_rollback_that_fails_says_whose_it_was(live, push, cluster):
    push(sha="bbbbbbbb")
    good = "127.0.0.1:5000/blue@sha256:" + "a1b2c3d4".ljust(64, "0")
    cluster.fates[good] = CRASHED
    assert live.post("/v2/apps/blue/releases/rollback/", {"version": 2}).status_code == 400
    summary = live.get("/v2/apps/blue/releases/v4").json()["summary"]
    assert summary == "bob performed roll back to a release that failed"


def test_a_scale_that_fails_is_503_and_the_formation_stays(live, cluster):
    image = cluster.all("Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["image"]
    cluster.fates[image] = CRASHED
    answer = live.post("/v2/apps/blue/scale/", {"web": 4})
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("(scale): web crashed")
    assert live.get("/v2/apps/blue/").json()["structure"] == {"web": 1}


@pytest.fixture
def busy(live):
    """An operation of bob's under way."""
    from controller.models import Operation, Release

    release = Release.objects.get(app__name="blue", version=2)
    return Operation.objects.create(
        app=release.app, release=release, by=release.owner, kind="deploy", state="running", runner="elsewhere:1:1"
    )


def test_a_second_deploy_is_refused_with_the_holders_name(live, push, busy):
    since = busy.created.strftime("%Y-%m-%dT%H:%M:%SZ")
    expected = {
        "detail": "Deployment for blue-web is already in progress",
        "holder": "bob",
        "since": since,
        "release": "v2",
    }
    config = live.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    assert (config.status_code, config.json()) == (409, expected)
    build = push(sha="bbbbbbbb")
    assert (build.status_code, build.json()) == (400, expected)
    scale = live.post("/v2/apps/blue/scale/", {"web": 2})
    assert (scale.status_code, scale.json()) == (409, expected)
    failed = [r["failed"] for r in live.get("/v2/apps/blue/releases/").json()["results"]]
    assert failed == [True, True, False, False]
    assert live.get("/v2/apps/blue/").json()["structure"] == {"web": 1}


def test_a_rollback_takes_the_place_of_a_queued_deploy(live, push, busy):
    from controller.models import Operation

    Operation.objects.filter(pk=busy.pk).update(state="queued")
    assert live.post("/v2/apps/blue/releases/rollback/", {"version": 2}).status_code == 201
    busy.refresh_from_db()
    assert (busy.state, busy.message) == ("failed", "superseded before it began")


def test_a_scale_that_gives_way_leaves_its_wish_and_the_release(live, busy):
    from controller.models import App, Operation

    Operation.objects.filter(pk=busy.pk).update(state="queued", kind="scale")
    App.objects.filter(name="blue").update(structure={"web": 3})
    assert live.post("/v2/apps/blue/releases/rollback/", {"version": 2}).status_code == 201
    assert live.get("/v2/apps/blue/releases/v2").json()["failed"] is False
    assert live.get("/v2/apps/blue/pods/").json()["count"] == 3


def test_waiting_for_an_app_that_is_destroyed_ends_in_words(live, busy):
    from controller.actions import operations
    from controller.models import App

    App.objects.get(name="blue").delete()
    with pytest.raises(operations.OperationFailed, match="the app was destroyed meanwhile"):
        operations.wait(busy)


def test_an_unreachable_cluster_is_503_and_told_again_later(live, cluster, monkeypatch):
    from controller.actions.carry_out import resync_apps
    from controller.cluster.client import Unreachable
    from controller.models import App

    def refuse(manifest):
        raise Unreachable("the orchestrator's API doesn't answer")

    apply = cluster.apply
    monkeypatch.setattr(cluster, "apply", refuse)
    answer = live.post("/v2/apps/blue/domains/", {"domain": "www.example.test"})
    assert answer.status_code == 503
    assert App.objects.get(name="blue").unsynced is True
    monkeypatch.setattr(cluster, "apply", apply)
    resync_apps()
    notes = cluster.get("Service", "blue", "blue")["metadata"]["annotations"]
    assert notes["router.deis.io/domains"] == "blue,www.example.test"
    assert App.objects.get(name="blue").unsynced is False


def test_a_cluster_that_knows_nothing_of_the_apps_is_told_everything(live, cluster):
    from django.core.management import call_command

    from controller.actions.carry_out import resync_apps

    image = cluster.get("Deployment", "blue", "blue-web")["spec"]["template"]["spec"]["containers"][0]["image"]
    cluster.delete("Namespace", None, "blue")
    assert cluster.get("Deployment", "blue", "blue-web") is None
    resync_apps()
    assert cluster.get("Namespace", None, "blue") is None
    call_command("resync", stdout=(told := io.StringIO()))
    assert told.getvalue() == "1 app is told to the cluster anew\n"
    resync_apps()
    made = cluster.get("Deployment", "blue", "blue-web")["spec"]
    assert (made["template"]["spec"]["containers"][0]["image"], made["replicas"]) == (image, 1)
    assert cluster.get("Secret", "blue", "registry-pull") and cluster.get("Service", "blue", "blue")


def test_a_change_of_an_app_that_is_destroyed_meanwhile_ends_at_once_and_makes_nothing(blue, cluster, monkeypatch):
    from controller.models import App

    apply, began = cluster.apply, time.monotonic()

    def destroyed_first(manifest):
        if App.objects.filter(name="blue").exists():
            monkeypatch.setattr(cluster, "apply", apply)
            assert blue.delete("/v2/apps/blue/").status_code == 204
        return apply(manifest)

    monkeypatch.setattr("controller.cluster.deploy.SETTLE", 30)
    monkeypatch.setattr(cluster, "apply", destroyed_first)
    answer = blue.delete("/v2/apps/blue/domains/blue")
    assert (answer.status_code, answer.json()) == (404, "No App matches the given query.")
    assert time.monotonic() - began < 25
    assert cluster.all("Namespace") == []
