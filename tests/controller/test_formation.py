"""Types stopped and started again with the count they had; sizes; counts that follow the router's figures."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.utils import timezone

from controller.actions import autoscale
from controller.models import App, ScalingState
from controller.router_metrics import Traffic


def structure(api):
    return api.get("/v2/apps/blue/").json()["structure"]


def test_what_was_stopped_starts_again_with_as_many(live):
    live.post("/v2/apps/blue/scale/", {"web": 3, "worker": 2})
    assert live.post("/v2/apps/blue/ps/stop/", {"types": ["worker"]}).json() == {"stopped": ["worker"]}
    assert structure(live) == {"web": 3, "worker": 0}
    assert live.post("/v2/apps/blue/ps/stop/").json() == {"stopped": ["web"]}
    assert live.post("/v2/apps/blue/ps/stop/").json() == {"stopped": []}
    assert live.post("/v2/apps/blue/ps/start/").json() == {"started": {"web": 3, "worker": 2}}
    assert structure(live) == {"web": 3, "worker": 2}
    assert live.post("/v2/apps/blue/ps/start/").json() == {"started": {}}


def test_a_type_that_never_ran_starts_with_one_and_an_unknown_one_is_refused(live):
    assert live.post("/v2/apps/blue/ps/start/", {"types": ["worker"]}).json() == {"started": {"worker": 1}}
    assert live.post("/v2/apps/blue/ps/start/", {"types": ["nope"]}).status_code == 404
    assert live.post("/v2/apps/blue/ps/stop/", {"types": ["nope"]}).status_code == 404


def test_a_size_is_memory_and_cpu(live, cluster):
    answer = live.post("/v2/apps/blue/ps/sizes/", {"sizes": {"web": "small"}})
    assert answer.status_code == 201, answer.content
    assert answer.json()["web"] == {"size": "small", "memory": "256M", "cpu": "250m", "count": 1}
    container = cluster.get("Deployment", "blue", "blue-web")["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"memory": "256Mi", "cpu": "250m"}
    live.post("/v2/apps/blue/config/", {"memory": {"web": "300M"}})
    assert live.get("/v2/apps/blue/ps/sizes/").json()["web"]["size"] is None
    assert live.post("/v2/apps/blue/ps/sizes/", {"sizes": {"web": "default"}}).json()["web"]["size"] == "default"
    assert "web" in live.post("/v2/apps/blue/ps/sizes/", {"sizes": {"web": "huge"}}).json()
    assert "small" in live.get("/v2/sizes/").json()


def rule(**targets):
    return {"autoscale": {"web": {"min": 1, "max": 10, **targets}}}


def test_memory_is_the_clusters_to_follow(live, cluster):
    assert live.post("/v2/apps/blue/settings/", rule(cpu_percent=50, memory_percent=70)).status_code == 201
    metrics = cluster.get("HorizontalPodAutoscaler", "blue", "blue-web")["spec"]["metrics"]
    assert [(m["resource"]["name"], m["resource"]["target"]["averageUtilization"]) for m in metrics] == [
        ("cpu", 50),
        ("memory", 70),
    ]
    live.post("/v2/apps/blue/settings/", rule(requests_per_second=20))
    assert cluster.get("HorizontalPodAutoscaler", "blue", "blue-web") is None


@pytest.mark.parametrize(
    "body",
    [rule(), rule(cpu_percent=50, latency_ms=100), rule(speed=3), rule(latency_ms=0),
     {"autoscale": {"worker": {"min": 1, "max": 2, "latency_ms": 100}}}],
)  # fmt: skip
def test_a_rule_that_cannot_be_is_refused(live, body):
    answer = live.post("/v2/apps/blue/settings/", body)
    assert answer.status_code == 400 and "autoscale" in answer.json()


@pytest.fixture
def look(live, monkeypatch):
    """Lets the router see `requests` a second for 15 s, each `milliseconds` long; the counts that follow."""
    seen = Traffic(classes={"2xx": 0}, buckets={0.05: 0, 0.1: 0, 0.5: 0, float("inf"): 0})
    clock = [timezone.now()]
    monkeypatch.setattr(autoscale, "read_traffic", lambda: {"blue": seen})
    monkeypatch.setattr(autoscale, "timezone", SimpleNamespace(now=lambda: clock[0]))

    def looked(requests, milliseconds=20):
        autoscale.evaluate()
        clock[0] += timedelta(seconds=15)
        count = requests * 15
        seen.classes["2xx"] += count
        for limit in seen.buckets:
            seen.buckets[limit] += count if milliseconds / 1000 <= limit else 0
        autoscale.evaluate()
        return App.objects.get(name="blue").structure["web"]

    return looked


def test_requests_a_second_decide(live, look):
    live.post("/v2/apps/blue/settings/", rule(requests_per_second=20))
    assert look(21) == 1, "within the tolerance"
    assert look(90) == 5
    assert look(90) == 5
    assert look(1000) == 10, "not above max"
    log = live.get("/v2/apps/blue/logs").content.decode()
    assert "autoscale scaled web from 1 to 5: 90.0 requests a second" in log


def test_it_goes_down_only_after_quiet_minutes(live, look):
    live.post("/v2/apps/blue/settings/", rule(requests_per_second=20))
    assert look(90) == 5
    assert look(20) == 5
    state = ScalingState.objects.get()
    state.proposals = [[when - 400, count] for when, count in state.proposals]
    state.save()
    assert look(20) == 1


def test_latency_decides(live, look):
    live.post("/v2/apps/blue/settings/", rule(latency_ms=100))
    assert look(10, 20) == 1
    assert look(10, 400) > 1


def test_a_stopped_type_stays_stopped(live, look):
    live.post("/v2/apps/blue/settings/", rule(requests_per_second=20))
    live.post("/v2/apps/blue/ps/stop/")
    assert look(90) == 0


def test_counters_that_began_anew_say_nothing(live, look, monkeypatch):
    live.post("/v2/apps/blue/settings/", rule(requests_per_second=20))
    assert look(1) == 1
    ScalingState.objects.update(requests=10**9, time=timezone.now() - timedelta(seconds=15))
    autoscale.evaluate()
    assert structure(live)["web"] == 1


def test_quantiles_are_read_off_the_buckets():
    buckets = {0.1: 50, 0.2: 100, float("inf"): 100}
    assert autoscale.quantile(buckets, 0.5) == pytest.approx(0.1)
    assert autoscale.quantile(buckets, 0.95) == pytest.approx(0.19)
    assert autoscale.quantile({0.1: 0, float("inf"): 10}, 0.95) == 0.1, "longer than the buckets tell"
    assert autoscale.quantile({}, 0.95) is None
