"""HorizontalPodAutoscalers: replicas follow use."""

from __future__ import annotations

from typing import Any

from orchestrator.errors import ApiError, NotFound
from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import rfc3339
from orchestrator.machinery.reconciler import Reconciler, index_by_label, index_by_namespace
from orchestrator.objects.kinds import (
    DEPLOYMENTS,
    HPAS_V2,
    PODMETRICS,
    PODS,
    REPLICASETS,
    REPLICATIONCONTROLLERS,
    STATEFULSETS,
    Resource,
)
from orchestrator.objects.meta import Key, Obj, key_of, labels_of
from orchestrator.objects.quantity import parse_quantity
from orchestrator.objects.selectors import LabelSelector, label_selector_from_map, label_selector_from_object
from orchestrator.reconcilers.hpa_plan import (
    Memory,
    MetricError,
    Proposal,
    note_change,
    out_of_bounds,
    propose,
    propose_external,
    propose_pods,
    settle_replicas,
)
from orchestrator.reconcilers.metric_pages import Figure, MetricPages, NoFigures

COMPONENT = "horizontal-pod-autoscaler"
PERIOD = 15.0  # seconds between two looks at the same autoscaler
NANOS = 10**9
_TARGETS = {one.kind: one for one in (DEPLOYMENTS, REPLICASETS, STATEFULSETS, REPLICATIONCONTROLLERS)}


class HpaReconciler(Reconciler):
    name = "hpa"
    workers = 2

    def setup(self) -> None:
        self._memories: dict[Key, Memory] = {}
        self._seen: dict[Key, float] = {}
        self.pages = MetricPages(getattr(self.world.settings, "metrics_urls", ()), self.clock)
        self.hpas = self.follow(HPAS_V2)
        self.targets = {kind: self.informer(resource) for kind, resource in _TARGETS.items()}
        self.pods = self.informer(PODS)
        index_by_label(self.pods)
        index_by_namespace(self.pods)

    async def reconcile(self, key: Key) -> float | None:
        hpa = self.hpas.get(key)
        if hpa is None:
            self._memories.pop(key, None)
            self._seen.pop(key, None)
            return None
        now = self.clock.monotonic()
        generation = hpa["metadata"].get("generation") or 0
        told = (hpa.get("status") or {}).get("observedGeneration")
        since = now - self._seen.get(key, -PERIOD)
        if since < PERIOD and told == generation:  # our own status write brought us here
            return PERIOD - since
        self._seen[key] = now
        await self._scale(hpa)
        return PERIOD

    async def _scale(self, hpa: Obj) -> None:
        report = _Report(hpa, rfc3339(self.clock.now()))
        reference = hpa["spec"]["scaleTargetRef"]
        resource = _TARGETS.get(reference["kind"])
        target = (
            self.targets[reference["kind"]].get(Key(key_of(hpa).namespace, reference["name"])) if resource else None
        )
        if resource is None or target is None:
            name = f"{reference['kind']}.{reference['name']}"
            message = f"the HPA controller was unable to get the target's current scale: {name} not found"
            self.events.warning(hpa, "FailedGetScale", message, component=COMPONENT)
            report.condition("AbleToScale", False, "FailedGetScale", message)
            await self._write(hpa, report.status)
            return
        replicas = target["spec"].get("replicas")
        current = 1 if replicas is None else int(replicas)
        report.status.update(currentReplicas=int((target.get("status") or {}).get("replicas") or 0))
        report.condition("AbleToScale", True, "SucceededGetScale",
                         "the HPA controller was able to get the target's current scale")  # fmt: skip
        if current == 0 and (hpa["spec"].get("minReplicas") or 1) != 0:
            report.condition("ScalingActive", False, "ScalingDisabled",
                             "scaling is disabled since the replica count of the target is zero")  # fmt: skip
            report.status["desiredReplicas"] = 0
            await self._write(hpa, report.status)
            return
        bound, why = out_of_bounds(hpa["spec"], current)
        if bound is not None:
            report.status["desiredReplicas"] = bound
            memory = self._memories.setdefault(key_of(hpa), Memory([(self.clock.now(), current)]))
            await self._resize(hpa, resource, target, (current, bound), why, report, memory)
            await self._write(hpa, report.status)
            return
        await self._follow_use(hpa, resource, target, current, report)

    async def _follow_use(self, hpa: Obj, resource: Resource, target: Obj, current: int, report: _Report) -> None:
        now = self.clock.now()
        memory = self._memories.setdefault(key_of(hpa), Memory([(now, current)]))
        proposals, problem = await self._proposals(hpa, _selector(target), current)
        best = max(proposals, key=lambda one: one.replicas, default=None)
        report.status["currentMetrics"] = [one.status for one in proposals] or None
        if problem is not None:
            self.events.warning(hpa, problem.reason, problem.message, component=COMPONENT)
        if problem is not None and (best is None or best.replicas <= current):
            message = f"the HPA was unable to compute the replica count: {problem.message}"
            report.condition("ScalingActive", False, problem.reason, message)
            report.status["desiredReplicas"] = current
            await self._write(hpa, report.status)
            return
        assert best is not None
        report.condition("ScalingActive", True, "ValidMetricFound", "the HPA was able to successfully calculate a "
                         f"replica count from {best.name}")  # fmt: skip
        outcome = settle_replicas(hpa, current, best.replicas, memory, now)
        report.condition("AbleToScale", True, *outcome.able)
        report.condition("ScalingLimited", *outcome.limited)
        report.status["desiredReplicas"] = outcome.replicas
        if outcome.replicas != current:
            why = f"{best.name} above target" if outcome.replicas > current else "All metrics below target"
            await self._resize(hpa, resource, target, (current, outcome.replicas), why, report, memory)
        await self._write(hpa, report.status)

    async def _resize(self, hpa: Obj, resource: Resource, target: Obj, sizes: tuple[int, int], why: str,
                      report: _Report, memory: Memory) -> None:  # fmt: skip
        key, (current, wanted) = key_of(target), sizes
        await self.api.patch(resource, key.name, key.namespace, patch={"spec": {"replicas": wanted}})
        message = f"New size: {wanted}; reason: {why}"
        self.events.normal(hpa, "SuccessfulRescale", message, component=COMPONENT)
        note_change(memory, current, wanted, self.clock.now())
        report.status["lastScaleTime"] = rfc3339(self.clock.now())
        report.condition("AbleToScale", True, "SucceededRescale", "the HPA controller was able to update the target "
                         f"scale to {wanted}")  # fmt: skip

    async def _proposals(
        self, hpa: Obj, selector: LabelSelector, current: int
    ) -> tuple[list[Proposal], MetricError | None]:
        """What each metric asks for, and the first that could not be had."""
        namespace = key_of(hpa).namespace
        pods = [pod for pod in self.pods.indexed("namespace", namespace) if selector.matches(labels_of(pod))]
        default: dict[str, Any] = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization",
                   "averageUtilization": 80}}}  # fmt: skip
        proposals: list[Proposal] = []
        problem: MetricError | None = None
        for metric in hpa["spec"].get("metrics") or (default,):
            try:
                proposals.append(await self._propose(metric, namespace, selector, current, pods))
            except MetricError as error:
                problem = problem or error
        return proposals, problem

    async def _propose(
        self, metric: dict[str, Any], namespace: str, selector: LabelSelector, current: int, pods: list[Obj]
    ) -> Proposal:
        """Raises: MetricError."""
        match metric["type"]:
            case "Resource" | "ContainerResource":
                source = metric.get("resource") or metric["containerResource"]
                use = await self._use(namespace, selector, source["name"])
                return propose(metric, current, pods, use, self.clock.now())
            case "Pods":
                found = await self._figures(namespace, metric["type"], metric["pods"]["metric"])
                values = {one.labels["pod"]: round(one.value * NANOS) for one in found if "pod" in one.labels}
                return propose_pods(metric, current, pods, values, self.clock.now())
            case "External":
                found = await self._figures(namespace, metric["type"], metric["external"]["metric"])
                total = round(sum(one.value for one in found) * NANOS)
                return propose_external(metric, current, pods, total)
        raise MetricError(
            f"FailedGet{metric['type']}Metric",
            f"metrics of type {metric['type']} are not served here; use Resource, ContainerResource, Pods or External",
        )

    async def _figures(self, namespace: str, kind: str, metric: dict[str, Any]) -> list[Figure]:
        selector = label_selector_from_object(metric.get("selector") or {})
        try:
            return await self.pages.figures(namespace, metric["name"], selector)
        except NoFigures as error:
            message = f"unable to get {kind.lower()} metric {namespace}/{metric['name']}: {error}"
            raise MetricError(f"FailedGet{kind}Metric", message) from error

    async def _use(self, namespace: str, selector: LabelSelector, name: str) -> dict[str, dict[str, int]]:
        try:
            found = await self.api.client.list(PODMETRICS, namespace, label_selector=str(selector))
        except ApiError as error:
            message = f"unable to get metrics for resource {name}: unable to fetch metrics from resource metrics API: "
            raise MetricError("FailedGetResourceMetric", message + error.message) from error
        return {
            item["metadata"]["name"]: {
                one["name"]: parse_quantity(one["usage"][name]).nanos
                for one in item["containers"]
                if name in one.get("usage", {})
            }
            for item in found.items
        }

    async def _write(self, hpa: Obj, status: dict[str, Any]) -> None:
        try:
            await self.api.update_status(HPAS_V2, self.hpas.get(key_of(hpa)) or hpa, status)
        except NotFound:
            return


class _Report:
    """The status as it comes together."""

    def __init__(self, hpa: Obj, stamp: str) -> None:
        self._stamp = stamp
        self.status = dict(hpa.get("status") or {})
        self.status["observedGeneration"] = hpa["metadata"].get("generation") or 0
        self.status.setdefault("desiredReplicas", 0)
        self.status.setdefault("currentReplicas", 0)
        self.status.setdefault("currentMetrics", None)

    def condition(self, kind: str, value: bool, reason: str, message: str) -> None:
        wanted = {"type": kind, "status": "True" if value else "False", "reason": reason, "message": message}
        self.status["conditions"] = podlib.set_condition(self.status.get("conditions") or (), wanted, self._stamp)


def _selector(target: Obj) -> LabelSelector:
    selector = target["spec"].get("selector")
    if target["kind"] == "ReplicationController":
        return label_selector_from_map(selector)
    return label_selector_from_object(selector)
