"""A release that went live is watched; one that fails is taken back by itself, with the reason told everywhere."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from controller.actions import watches
from controller.models import App, Event, Operation, OutputLine, Release, Watch
from controller.router_metrics import Traffic

LAST = {"lastState": {"terminated": {"exitCode": 1, "reason": "Error"}}}


def crashed(times, waiting="CrashLoopBackOff"):
    return LAST | {"restartCount": times, "state": {"waiting": {"reason": waiting}}}


def alter(cluster, version, container=None, **conditions):
    """Lets something happen to the web pods of a release."""
    for key, pod in list(cluster._objects.items()):
        if key[0] == "Pod" and pod["metadata"]["labels"].get("version") == f"v{version}":
            if container is not None:
                pod["status"]["containerStatuses"] = [container]
            if conditions:
                pod["status"]["conditions"] = [{"type": "Ready", **conditions}]


def look(seconds=0.0):
    """A look, `seconds` from now."""
    Watch.objects.update(looked=timezone.now() - timedelta(seconds=10))
    watches.look_at_releases()


def releases(user):
    return {r["version"]: r for r in user.get("/v2/apps/blue/releases/").json()["results"]}


@pytest.fixture
def second(live, push):
    """v3 is live, v2 is what to go back to."""
    assert push(sha="b1b2c3d4").status_code == 200
    return live


def test_every_release_that_went_live_is_watched_for_the_apps_time(second):
    watch = Watch.objects.get(release__version=3)
    assert watch.state == "watching"
    assert (watch.until - watch.since).total_seconds() == 120


def test_a_release_that_does_well_passes(second):
    begun = timezone.now() - timedelta(seconds=121)
    Watch.objects.filter(release__version=3).update(since=begun, until=begun + timedelta(seconds=120))
    look()
    assert Watch.objects.get(release__version=3).state == "passed"
    assert OutputLine.objects.filter(release__version=3).last().text == "v3 has run for 120 s without trouble"
    assert releases(second)[3]["failed"] is False


def test_a_crash_loop_takes_the_release_back(second, cluster):
    cluster.outputs["web"] = "no database configured\n"
    alter(cluster, 3, crashed(1))
    look()
    reason = "web crashed with exit code 1: no database configured"
    failed = releases(second)[3]
    assert failed["failed"] is True
    assert failed["exception"] == f"error: rolled back to v2 after it went live: {reason}"
    assert App.objects.get(name="blue").current_release().version == 2
    deployed = cluster.get("Deployment", "blue", "blue-web")
    assert deployed["metadata"]["annotations"]["deis.io/release"] == "v2"
    operation = Operation.objects.get(kind="restore")
    assert (operation.state, operation.release.version, operation.by) == ("succeeded", 2, None)
    assert Event.objects.filter(level="ERROR").last().message == f"v3 was rolled back to v2: {reason}"
    assert OutputLine.objects.filter(release__version=3).last().text == f"v3 was rolled back to v2: {reason}"


def test_one_restart_is_no_loop(second, cluster):
    alter(cluster, 3, LAST | {"restartCount": 1, "state": {"running": {}}})
    look()
    assert releases(second)[3]["failed"] is False
    alter(cluster, 3, LAST | {"restartCount": 2, "state": {"running": {}}})
    look()
    assert releases(second)[3]["failed"] is True


def test_restarts_from_before_it_went_live_do_not_count(second, cluster):
    (pod,) = (p for p in cluster.all("Pod", "blue") if p["metadata"]["labels"]["version"] == "v3")
    Watch.objects.filter(release__version=3).update(restarts={pod["metadata"]["name"]: 3})
    alter(cluster, 3, LAST | {"restartCount": 3, "state": {"running": {}}})
    look()
    assert releases(second)[3]["failed"] is False


def test_a_process_out_of_memory_takes_the_release_back(second, cluster):
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    look()
    alter(cluster, 3, {"restartCount": 1, "lastState": killed, "state": {"running": {}}})
    look()
    assert "web was killed: out of memory" in releases(second)[3]["exception"]


def test_checks_that_fail_for_a_while_take_the_release_back(second, cluster):
    def unready(seconds):
        since = (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        alter(cluster, 3, {"restartCount": 0, "state": {"running": {}}}, status="False", lastTransitionTime=since)

    unready(5)
    look()
    assert releases(second)[3]["failed"] is False
    unready(30)
    look()
    assert "web runs but its readiness check fails" in releases(second)[3]["exception"]


@pytest.mark.parametrize("condition", [{"status": "Unknown"}, {"status": "True", "lastTransitionTime": "now"}])
def test_processes_on_a_node_that_is_or_was_away_are_not_the_releases_fault(second, cluster, condition):
    moment = datetime.now(UTC).isoformat()
    condition = {"type": "Ready", **condition, **({"lastTransitionTime": moment} if len(condition) > 1 else {})}
    cluster._objects["Node", None, "node-1"]["status"] = {"conditions": [condition]}
    alter(cluster, 3, {"state": {"running": {}}}, status="False", lastTransitionTime="2020-01-01T00:00:00Z")
    for pod in cluster._objects.values():
        pod.get("spec", {})["nodeName"] = "node-1"
    look()
    assert releases(second)[3]["failed"] is False


@pytest.fixture
def traffic(monkeypatch):
    """What the router says it has answered so far."""
    counts = {"2xx": 0, "5xx": 0}
    monkeypatch.setattr(watches, "read_traffic", lambda: {"blue": Traffic(classes=dict(counts))})
    return counts


def test_too_many_5xx_answers_take_the_release_back(second, traffic):
    traffic["5xx"] = 500  # of the release before
    look()
    traffic["2xx"] += 60
    traffic["5xx"] += 40
    look()
    assert releases(second)[3]["failed"] is False, "40 of 100 is under the half"
    traffic["5xx"] += 40
    look()
    assert "57% of 140 requests in the last 20 s were answered with 5xx" in releases(second)[3]["exception"]


def test_a_few_5xx_answers_say_nothing(second, traffic):
    look()
    traffic["5xx"] += 19
    look()
    assert releases(second)[3]["failed"] is False


def test_maintenance_is_no_failure(second, traffic):
    second.post("/v2/apps/blue/settings/", {"maintenance": True})
    look()
    traffic["5xx"] += 1000
    look()
    assert releases(second)[3]["failed"] is False


def test_the_first_release_stays_and_says_why(live, cluster):
    alter(cluster, 2, crashed(2))
    look()
    assert releases(live)[2]["failed"] is False
    said = Event.objects.filter(level="ERROR").last().message
    assert "v2 is live but failing: web crashed" in said
    assert said.endswith("It stays, because there is no earlier release to go back to")
    assert Watch.objects.get(release__version=2).state == "failed"


def test_a_rollback_is_not_taken_back(second, cluster):
    second.post("/v2/apps/blue/releases/rollback/", {"version": 2})
    alter(cluster, 4, crashed(2))
    look()
    assert releases(second)[4]["failed"] is False
    assert "it is a rollback already" in Event.objects.filter(level="ERROR").last().message


def test_while_something_is_under_way_the_watch_only_waits(second, cluster):
    alter(cluster, 3, crashed(2))
    release = Release.objects.get(app__name="blue", version=3)
    busy = Operation.objects.create(app=release.app, release=release, kind="scale", state="running", runner="x")
    look()
    assert releases(second)[3]["failed"] is False
    Operation.objects.filter(pk=busy.pk).update(state="succeeded")
    look()
    assert releases(second)[3]["failed"] is True


def test_a_newer_release_ends_the_watch_of_the_one_before(second, push):
    push(sha="c1b2c3d4")
    look()
    states = dict(Watch.objects.values_list("release__version", "state"))
    assert states == {2: "ended", 3: "ended", 4: "watching"}


def test_two_workers_take_a_release_back_once(second, cluster):
    alter(cluster, 3, crashed(2))
    watch = Watch.objects.get(release__version=3)
    watches.take_back(watch, "crashed")
    watches.take_back(watch, "crashed")
    assert Operation.objects.filter(kind="restore").count() == 1


def test_another_worker_has_the_next_look(second):
    Watch.objects.update(looked=timezone.now())
    Watch.objects.update(until=timezone.now() - timedelta(seconds=1))
    watches.look_at_releases()
    assert Watch.objects.get(release__version=3).state == "watching", "somebody looked just now"


def test_the_formation_of_the_release_before_comes_back(live, push, cluster):
    push(
        sha="b1b2c3d4",
        procfile={"web": "python app.py", "extra": "x"},
        app_json={"formation": {"extra": {"quantity": 1}}},
    )
    assert live.get("/v2/apps/blue/").json()["structure"]["extra"] == 1
    alter(cluster, 3, crashed(2))
    look()
    assert live.get("/v2/apps/blue/").json()["structure"].get("extra", 0) == 0
    assert [d["metadata"]["name"] for d in cluster.all("Deployment", "blue")] == ["blue-web"]


def test_the_operators_addresses_hear_of_it(second, cluster, settings, monkeypatch):
    settings.DEPLOY_HOOK_URLS = ["http://hooks.example.test/"]
    sent = []
    monkeypatch.setattr("controller.actions.announce.enqueue", lambda *args: sent.append(args))
    alter(cluster, 3, crashed(2))
    look()
    ((task, _, url, event, text),) = sent
    assert (task, url, event) == ("controller.send_deploy_hook", "http://hooks.example.test/", "release.rolled_back")
    assert text.startswith("v3 was rolled back to v2: web crashed")
