"""Worlds of the reconcilers that show pods behind Services."""

from __future__ import annotations

from typing import Any

from orchestrator.objects.kinds import ENDPOINTS, NODES, PODS, SERVICES
from orchestrator.objects.meta import Obj
from orchestrator.reconcilers.endpoints import EndpointsReconciler
from orchestrator.reconcilers.endpointslice import EndpointSliceReconciler
from orchestrator.reconcilers.endpointslice_mirror import EndpointSliceMirror
from orchestrator.reconcilers.load_balancer import LoadBalancerReconciler
from tests.orchestrator.reconcilers.crashes import Case, deleted, kubelets, later, patched, user
from tests.orchestrator.world import node, pod


def service(**spec: Any) -> Obj:
    wish = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 5000}], **spec}
    return {"metadata": {"name": "web", "namespace": "default"}, "spec": wish}


def behind(name: str) -> Obj:
    return pod(name, labels={"app": "web"}, nodeName="n1")


def serving(number: int) -> Obj:
    ready = {"phase": "Running", "podIP": f"10.1.0.{number}", "conditions": [{"type": "Ready", "status": "True"}]}
    return {**behind(f"p{number}"), "status": ready}


BY_HAND = {
    "metadata": {"name": "web", "namespace": "default"},
    "subsets": [{"addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}], "ports": [{"port": 443}]}],
}
SERVED = [(SERVICES, service()), (PODS, behind("a")), (PODS, behind("b"))]

BALANCED = {**service(type="LoadBalancer"), "metadata": {"name": "public", "namespace": "default"}}


def at(address: str) -> Obj:
    made = node("n1")
    return {**made, "status": {**made["status"], "addresses": [{"type": "InternalIP", "address": address}]}}


CASES = (
    Case(
        "a Service gets the node's address and loses it with its type",
        LoadBalancerReconciler,
        [(NODES, at("192.0.2.9")), (SERVICES, BALANCED), (SERVICES, service())],
        ["2 × update services/status public"],
        [later(1), patched(SERVICES, "public", {"spec": {"type": "ClusterIP"}}), later(1)],
    ),
    Case(
        "pods come, one ends, the Service goes",
        EndpointSliceReconciler,
        SERVED,
        [
            "2 × create endpointslices web-*",
            "delete endpointslices web-*",
            "3 × update endpointslices web-*",
        ],
        [kubelets, deleted(PODS, "a"), kubelets, deleted(SERVICES, "web"), kubelets],
    ),
    Case(
        "more pods than one slice holds",
        EndpointSliceReconciler,
        [(SERVICES, service()), *((PODS, serving(number)) for number in range(102))],
        [
            "4 × create endpointslices web-*",
            "2 × delete endpointslices web-*",
        ],
        [kubelets, patched(SERVICES, "web", {"spec": {"ports": [{"port": 81}]}}), kubelets],
    ),
    Case(
        "pods come, one ends, the Service goes",
        EndpointsReconciler,
        SERVED,
        [
            "create endpoints web",
            "2 × update endpoints web",
            "delete endpoints web",
        ],
        [kubelets, later(1), deleted(PODS, "a"), kubelets, later(1), deleted(SERVICES, "web"), later(1)],
    ),
    Case(
        "written, changed and removed by hand",
        EndpointSliceMirror,
        [(SERVICES, service(selector=None)), (ENDPOINTS, BY_HAND)],
        [
            "create endpointslices web-m0",
            "create endpointslices web-m1",
            "update endpointslices web-m0",
            "delete endpointslices web-m1",
            "delete endpointslices web-m0",
        ],
        [
            patched(ENDPOINTS, "web", {"subsets": [{"addresses": [{"ip": "192.0.2.9"}], "ports": [{"port": 443}]}]}),
            later(1),
            user(lambda api: api.delete(ENDPOINTS, "web", "default")),
            later(1),
        ],
    ),
)
