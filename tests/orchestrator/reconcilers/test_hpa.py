import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from orchestrator.machinery.clock import FakeClock
from orchestrator.objects.kinds import DEPLOYMENTS, HPAS_V2
from orchestrator.objects.selectors import label_selector_from_object
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.hpa import HpaReconciler
from orchestrator.reconcilers.hpa_plan import Memory, settle_replicas
from orchestrator.reconcilers.metric_pages import MetricPages, NoFigures
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler
from tests.orchestrator.world import deployment, plane

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def autoscaler(**spec):
    metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization",
                "averageUtilization": 50}}}]  # fmt: skip
    return {
        "metadata": {"name": "web", "namespace": "default", "generation": 1},
        "spec": {"minReplicas": 1, "maxReplicas": 10, "metrics": metrics,
                 "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, **spec},
    }  # fmt: skip


def with_request(replicas):
    wish = deployment(replicas=replicas)
    wish["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "100m"}}
    return wish


def use(world, cpu):
    usage = [{"name": "main", "usage": {"cpu": cpu}}]
    world.api.metrics.objects = [
        {"metadata": {"name": one["metadata"]["name"], "namespace": "default", "labels": {"app": "web"}},
         "containers": usage}
        for one in world.pods()
    ]  # fmt: skip


async def running(world, replicas):
    await world.api.create(DEPLOYMENTS, with_request(replicas))
    await world.run_pods()
    for one in world.pods():
        await world.set_pod(one, startTime="2025-12-01T00:00:00Z")


async def size(world):
    return (await world.api.get(DEPLOYMENTS, "web", "default"))["spec"]["replicas"]


PARTS = (HpaReconciler, DeploymentReconciler, ReplicaSetReconciler)


async def test_replicas_follow_use_up_at_once_and_down_after_five_minutes():
    async with plane(*PARTS) as world:
        await running(world, 2)
        use(world, "100m")
        await world.api.create(HPAS_V2, autoscaler())
        await world.settle()
        assert await size(world) == 4
        assert world.events("SuccessfulRescale")[0].startswith("New size: 4; reason: cpu resource utilization")
        await world.run_pods()
        for one in world.pods():
            await world.set_pod(one, startTime="2025-12-01T00:00:00Z")
        use(world, "10m")
        await world.advance(240)
        assert await size(world) == 4
        await world.advance(120)
        assert await size(world) == 1
        status = (await world.api.get(HPAS_V2, "web", "default"))["status"]
        assert status["currentMetrics"][0]["resource"]["current"] == {"averageValue": "10m", "averageUtilization": 10}


@pytest.mark.parametrize(
    ("bounds", "expected", "why"),
    [({"minReplicas": 3}, 3, "below Spec.MinReplicas"), ({"maxReplicas": 1}, 1, "above Spec.MaxReplicas")],
)
async def test_the_bounds_hold_without_any_figures(bounds, expected, why):
    async with plane(*PARTS) as world:
        await running(world, 2)
        await world.api.create(HPAS_V2, autoscaler(**bounds))
        await world.settle()
        assert await size(world) == expected
        assert world.events("SuccessfulRescale") == [f"New size: {expected}; reason: Current number of replicas {why}"]


async def test_without_figures_nothing_is_scaled_and_the_reason_is_told():
    async with plane(*PARTS) as world:
        await running(world, 2)
        await world.api.create(HPAS_V2, autoscaler())
        await world.settle()
        assert await size(world) == 2
        conditions = (await world.api.get(HPAS_V2, "web", "default"))["status"]["conditions"]
        found = next(one for one in conditions if one["type"] == "ScalingActive")
        assert (found["status"], found["reason"]) == ("False", "FailedGetResourceMetric")


@pytest.mark.parametrize("behavior, current, desired, expected", [
    ({}, 2, 100, 6),
    ({}, 10, 100, 20),
    ({"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}]}}, 2, 9, 3),
    ({"scaleUp": {"selectPolicy": "Disabled"}}, 2, 9, 2),
    ({"scaleDown": {"stabilizationWindowSeconds": 0,
                    "policies": [{"type": "Percent", "value": 50, "periodSeconds": 60}]}}, 8, 1, 4),
    ({"scaleDown": {"stabilizationWindowSeconds": 0}}, 8, 1, 1),
])  # fmt: skip
def test_policies_bound_the_pace(behavior, current, desired, expected):
    hpa = autoscaler(behavior=behavior, maxReplicas=50)
    assert settle_replicas(hpa, current, desired, Memory(), NOW).replicas == expected


def test_recent_higher_wishes_hold_a_reduction_back():
    memory = Memory([(NOW - timedelta(seconds=200), 7), (NOW - timedelta(seconds=400), 9)])
    outcome = settle_replicas(autoscaler(), 9, 2, memory, NOW)
    assert outcome.replicas == 7 and outcome.able[0] == "ScaleDownStabilized"


def page(requests, seconds=0.0):
    """What the router tells, with another app's figures beside."""
    return f"""# TYPE router_requests_total counter
router_requests_total{{app="default",code="2xx"}} {requests}
router_requests_total{{app="default",code="5xx"}} 0
router_requests_total{{app="other",code="2xx"}} 999999
# TYPE router_request_seconds histogram
router_request_seconds_sum{{app="default"}} {seconds}
router_request_seconds_count{{app="default"}} {requests}
# TYPE queue gauge
queue{{app="default",pod="x"}} 30
"""


def external(name, **target):
    kind = "Value" if "value" in target else "AverageValue"
    return [{"type": "External", "external": {"metric": {"name": name}, "target": {"type": kind, **target}}}]


async def scaled_by(world, metrics, *pages):
    """A Deployment of two, and an autoscaler that sees `pages`, a period apart."""
    told = iter(pages)

    async def fetch(url):
        return next(told)

    world.parts[0].pages = MetricPages(["http://router.test/metrics"], world.clock, fetch)
    await running(world, 2)
    await world.api.create(HPAS_V2, autoscaler(metrics=metrics))
    await world.settle()
    for _ in pages[1:]:
        await world.advance(15)
    return (await world.api.get(HPAS_V2, "web", "default"))["status"]


async def test_requests_a_second_are_shared_out_among_replicas():
    async with plane(*PARTS) as world:
        metrics = external("router_requests_total", averageValue="10")
        status = await scaled_by(world, metrics, page(1000), page(1600))
        assert await size(world) == 4  # 600 requests in 15 s, ten a second for each
        shown = status["currentMetrics"][0]["external"]
        assert (shown["metric"]["name"], shown["current"]) == ("router_requests_total", {"averageValue": "20"})


async def test_the_mean_latency_scales_by_its_ratio_to_the_target():
    async with plane(*PARTS) as world:
        metrics = external("router_request_seconds", value="200m")
        status = await scaled_by(world, metrics, page(100, 10.0), page(200, 40.0))
        assert await size(world) == 3  # 30 s for 100 requests are 300 ms each
        assert status["currentMetrics"][0]["external"]["current"] == {"value": "300m"}


async def test_the_first_reading_of_a_count_scales_nothing_and_says_why():
    async with plane(*PARTS) as world:
        status = await scaled_by(world, external("router_requests_total", averageValue="10"), page(1000))
        assert await size(world) == 2
        found = next(one for one in status["conditions"] if one["type"] == "ScalingActive")
        assert (found["status"], found["reason"]) == ("False", "FailedGetExternalMetric")
        assert "a rate needs two readings" in found["message"]


async def test_another_namespaces_figures_are_not_told():
    async with plane(*PARTS) as world:
        metrics = external("router_requests_total", averageValue="10")
        metrics[0]["external"]["metric"]["selector"] = {"matchLabels": {"app": "other"}}
        status = await scaled_by(world, metrics, page(1000), page(1000))
        found = next(one for one in status["conditions"] if one["type"] == "ScalingActive")
        assert "no series of that name belongs to this namespace" in found["message"]
        assert not status.get("currentMetrics")


async def test_what_each_pod_tells_is_held_against_the_average():
    async with plane(*PARTS) as world:
        await running(world, 2)
        lines = "".join(f'queue{{namespace="default",pod="{one["metadata"]["name"]}"}} 30\n' for one in world.pods())

        async def fetch(url):
            return lines

        world.parts[0].pages = MetricPages(["http://app.test/metrics"], world.clock, fetch)
        pods = {"metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "20"}}
        await world.api.create(HPAS_V2, autoscaler(metrics=[{"type": "Pods", "pods": pods}]))
        await world.settle()
        assert await size(world) == 3
        status = (await world.api.get(HPAS_V2, "web", "default"))["status"]
        assert status["currentMetrics"][0]["pods"]["current"] == {"averageValue": "30"}


async def test_pages_are_read_over_http_and_what_is_wrong_with_them_is_told():
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'depth{namespace="a"} 7 1700000000000\nnonsense\ndepth{namespace="b"} NaN?\n')

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    everything = label_selector_from_object({})
    try:
        pages = MetricPages([f"http://127.0.0.1:{server.server_port}/metrics"], FakeClock())
        assert await pages.figures("a", "depth", everything) == [({"namespace": "a"}, 7.0)]
    finally:
        server.shutdown()
        server.server_close()
    gone = MetricPages([f"http://127.0.0.1:{server.server_port}/metrics"], FakeClock())
    with pytest.raises(NoFigures, match="could not be read"):
        await gone.figures("a", "depth", everything)
