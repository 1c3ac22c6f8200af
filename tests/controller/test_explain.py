"""`explain`: why anything of an app isn't as its owner wishes."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from controller.actions import domain_problems
from controller.models import TLS, App, Certificate, Domain, Operation, Watch


def found(user, app="blue"):
    data = user.get(f"/v2/apps/{app}/explain/").json()
    return {finding["code"]: finding for finding in data["findings"]}


@pytest.fixture
def routed(live, cluster):
    """The app with an endpoint, as the orchestrator makes it of a ready pod."""
    cluster._put(
        {
            "kind": "EndpointSlice",
            "metadata": {
                "name": "blue-1", "namespace": "blue", "labels": {"kubernetes.io/service-name": "blue"},
            },
            "endpoints": [{"conditions": {"ready": True}}],
        }
    )  # fmt: skip
    return live


def alter(cluster, status, ready="False", age=60):
    made = (datetime.now(UTC) - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    for key, pod in list(cluster._objects.items()):
        if key[0] == "Pod":
            pod["metadata"]["creationTimestamp"] = made
            pod["status"]["containerStatuses"] = [status]
            pod["status"]["conditions"] = [{"type": "Ready", "status": ready}]


def test_an_app_that_is_as_wished(routed):
    data = routed.get("/v2/apps/blue/explain/").json()
    assert (data["app"], data["summary"], data["findings"]) == ("blue", "everything is as you wish", [])


def test_an_app_without_a_build(blue):
    assert found(blue)["no_release"]["fix"] == "`git push deis master`, or `paas pull IMAGE`"


def test_a_crash_loop_with_its_last_words(routed, cluster):
    cluster.outputs["web"] = "reading config\nno database configured\n"
    alter(cluster, {
        "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1}},
    })  # fmt: skip
    finding = found(routed)["process_crash"]
    assert finding["level"] == "error"
    assert finding["text"].startswith("web crashed with exit code 1: reading config")
    assert finding["evidence"][1:] == ["it said: reading config", "it said: no database configured"]
    assert finding["fix"] == "`paas logs -a blue` says more"  # there is nothing to go back to
    routed.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    alter(cluster, {"restartCount": 3, "lastState": {"terminated": {"exitCode": 1}}})
    assert found(routed)["process_crash"]["fix"].endswith("; `paas rollback -a blue` goes back")


def test_a_process_that_was_killed_for_memory_lately(routed, cluster):
    routed.post("/v2/apps/blue/config/", {"memory": {"web": "64M"}})
    cluster.outputs["web"] = "eating\n"
    killed = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": datetime.now(UTC).isoformat()}
    alter(cluster, {"restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": killed}}, ready="True")
    finding = found(routed)["process_memory"]
    assert "web was killed: out of memory at 64M" in finding["text"]
    assert finding["evidence"][1:] == ["it said: eating"]
    assert finding["fix"] == "`paas limits:set web=128M -a blue` gives it more than 64M"


def test_a_process_that_was_started_again_with_its_last_words(routed, cluster):
    cluster.outputs["web"] = "bye\n"
    ended = {"exitCode": 3, "finishedAt": datetime.now(UTC).isoformat()}
    alter(cluster, {"restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": ended}}, ready="True")
    finding = found(routed)["process_restarts"]
    assert finding["text"].startswith("web runs, but was started again after exit code 3 at ")
    assert finding["evidence"][1:] == ["it said: bye"]


def test_a_scaler_at_its_maximum_with_the_command_that_raises_it(routed, cluster):
    rule = {"min": 1, "max": 4, "memory_percent": 50}
    routed.post("/v2/apps/blue/settings/", {"autoscale": {"web": rule}})
    (scaler,) = [item for key, item in cluster._objects.items() if key[0] == "HorizontalPodAutoscaler"]
    condition = {"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}
    scaler["status"] = {"conditions": [condition]}
    fix = "`paas autoscale:set web --min=1 --max=8 --memory-percent=50 -a blue` allows twice as many"
    assert found(routed)["autoscale"]["fix"] == fix


def test_a_restart_of_long_ago_is_no_news(routed, cluster):
    ended = {"exitCode": 1, "finishedAt": "2020-01-01T00:00:00Z"}
    alter(cluster, {"restartCount": 1, "state": {"running": {}}, "lastState": {"terminated": ended}}, ready="True")
    assert found(routed) == {}


def test_an_image_that_cannot_be_pulled(routed, cluster):
    alter(cluster, {"state": {"waiting": {"reason": "ErrImagePull", "message": "manifest unknown"}}})
    assert "can't be pulled: manifest unknown" in found(routed)["process_pull"]["text"]


def test_no_room_on_any_node(routed, cluster):
    for key, pod in list(cluster._objects.items()):
        if key[0] == "Pod":
            message = "0/1 nodes are available: 1 Insufficient memory."
            pod["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
            pod["status"] = {"conditions": [{"type": "PodScheduled", "status": "False", "message": message}]}
    assert "Insufficient memory" in found(routed)["process_room"]["text"]


def test_nothing_to_send_requests_to(live):
    assert found(live)["no_endpoints"]["text"] == "no web process is ready to take requests: visitors get 503"


def test_a_quota_that_is_used_up(routed, cluster):
    deployment = cluster._objects["Deployment", "blue", "blue-web"]
    message = 'pods "blue-web-1" is forbidden: exceeded quota: apps'
    deployment["status"]["conditions"] = [{"type": "ReplicaFailure", "status": "True", "message": message}]
    finding = found(routed)["quota"]
    assert (finding["text"], finding["evidence"]) == (
        "web has fewer processes than wished: a quota is used up", [message],
    )  # fmt: skip
    fewer = f"`paas scale web={deployment['status'].get('replicas', 0)} -a blue`"
    assert finding["fix"].startswith(fewer)
    app = App.objects.get(name="blue")
    Operation.objects.create(app=app, release=app.current_release(), by=app.owner, kind="scale", state="running")
    assert found(routed)["quota"]["fix"].startswith(f"`paas deploys:cancel -a blue`, then {fewer}")


def test_scaled_to_nothing(routed):
    routed.post("/v2/apps/blue/scale/", {"web": 0})
    assert found(routed)["scaled_to_zero"]["fix"] == "`paas scale web=1 -a blue`"


def test_settings_that_keep_visitors_away(routed):
    routed.post("/v2/apps/blue/settings/", {"maintenance": True, "routable": False})
    routed.post("/v2/apps/blue/whitelist/", {"addresses": ["192.0.2.7"]})
    problems = found(routed)
    assert problems["maintenance"]["fix"] == "`paas maintenance:off -a blue`"
    assert problems["not_routable"]["fix"] == "`paas routing:enable -a blue`"
    assert (problems["whitelist"]["level"], problems["whitelist"]["evidence"]) == ("info", ["192.0.2.7"])
    assert problems["whitelist"]["fix"] == "`paas whitelist:remove 192.0.2.7 -a blue` lets everybody in again"


def test_a_release_that_failed(routed, push, cluster):
    cluster.commands["release"] = 1
    push(sha="b1b2c3d4", procfile={"web": "x", "release": "y"})
    finding = found(routed)["release_failed"]
    assert finding["text"] == "v3 failed, v2 still serves: the release command failed with exit code 1"
    assert finding["fix"] == "`paas releases:output v3 -a blue` says more"


def test_a_release_that_stays_though_it_fails(routed):
    Watch.objects.update(state="failed", reason="web crashed")
    assert found(routed)["release_failing"]["evidence"] == ["web crashed"]


def test_what_is_under_way_and_whether_anybody_works_on_it(routed):
    app = App.objects.get(name="blue")
    operation = Operation.objects.create(
        app=app, release=app.current_release(), by=app.owner, kind="deploy", state="running", said="web 0/1"
    )
    finding = found(routed)["in_progress"]
    assert (finding["level"], finding["evidence"]) == ("info", ["web 0/1"])
    assert finding["text"].startswith("v2 is being deployed by bob, since ")
    Operation.objects.filter(pk=operation.pk).update(heartbeat=timezone.now() - timedelta(minutes=5))
    assert "no worker has touched it" in found(routed)["no_worker"]["text"]


@pytest.fixture
def domain(routed):
    app = App.objects.get(name="blue")
    return Domain.objects.create(app=app, owner=app.owner, domain="www.example.test", canonical="www.example.test")


@pytest.fixture
def names(monkeypatch):
    """What the DNS answers."""
    known = {"paas.localhost": {"192.0.2.1"}, "www.example.test": {"192.0.2.1"}}
    monkeypatch.setattr(domain_problems, "addresses_of", lambda name: known.get(name))
    return known


def certify(domain, san=("www.example.test",), starts=-10, expires=100):
    now = timezone.now()
    domain.certificate = Certificate.objects.create(
        owner=domain.owner, name="example", certificate="c", key="k", san=list(san), fingerprint="f",
        starts=now + timedelta(days=starts), expires=now + timedelta(days=expires),
    )  # fmt: skip
    domain.save()


def test_a_domain_with_its_certificate_and_address(routed, domain, names):
    certify(domain)
    assert found(routed) == {}


@pytest.mark.parametrize(
    ("certificate", "code", "level"),
    [
        ({"expires": -1}, "certificate_expired", "error"),
        ({"starts": 1}, "certificate_early", "error"),
        ({"expires": 5}, "certificate_expiring", "warning"),
        ({"san": ("other.example.test",)}, "certificate_name", "error"),
        ({"san": ("*.test",)}, "certificate_name", "error"),
    ],
)
def test_certificates_that_browsers_refuse_or_soon_will(routed, domain, names, certificate, code, level):
    certify(domain, **certificate)
    assert {finding["code"]: finding["level"] for finding in found(routed).values()} == {code: level}


def test_another_certificate_takes_the_place_of_one_that_is_attached(routed, domain, names):
    certify(domain, expires=5)
    Certificate.objects.filter(pk=domain.certificate.pk).update(name="www-example-test")
    assert found(routed)["certificate_expiring"]["fix"] == (
        "`paas certs:add www-example-test-2 CERT-FILE KEY-FILE`, then "
        "`paas certs:detach www-example-test www.example.test`, then "
        "`paas certs:attach www-example-test-2 www.example.test`"
    )


def test_a_wildcard_covers_one_label(routed, domain, names):
    certify(domain, san=("*.example.test",))
    assert found(routed) == {}


def test_a_redirect_to_https_without_a_certificate(routed, domain, names):
    TLS.objects.update(https_enforced=True)
    assert "browsers warn" in found(routed)["no_certificate"]["text"]


def test_a_name_that_is_not_in_the_dns_or_points_elsewhere(routed, domain, names):
    names["www.example.test"] = {"203.0.113.9"}
    finding = found(routed)["dns_elsewhere"]
    assert finding["evidence"] == ["www.example.test is 203.0.113.9", "paas.localhost is 192.0.2.1"]
    names["www.example.test"] = None
    assert found(routed)["dns_missing"]["fix"] == "at your DNS provider: www.example.test CNAME blue.paas.localhost"


def test_a_platform_on_this_machine_alone_can_judge_no_address(routed, domain, names):
    names["paas.localhost"] = {"127.0.0.1"}
    names["www.example.test"] = {"203.0.113.9"}
    assert found(routed) == {}
