"""Which pods stand behind a Service, on which ports: shared by EndpointSlices and Endpoints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from orchestrator.machinery.informer import Informer
from orchestrator.machinery.pods import is_finished, is_ready
from orchestrator.machinery.reconciler import Reconciler, crowd_delay, index_by_label, index_by_namespace
from orchestrator.objects.kinds import PODS, SERVICES
from orchestrator.objects.meta import Key, Obj, is_deleting, key_of, labels_of

SERVICE_NAME = "kubernetes.io/service-name"
HEADLESS = "service.kubernetes.io/headless"


class Port(NamedTuple):
    name: str
    protocol: str
    port: int
    app_protocol: str = ""


def is_managed(service: Mapping[str, Any]) -> bool:
    spec = service.get("spec") or {}
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def is_headless(service: Mapping[str, Any]) -> bool:
    return (service.get("spec") or {}).get("clusterIP") == "None"


def publishes_unready(service: Mapping[str, Any]) -> bool:
    return bool((service.get("spec") or {}).get("publishNotReadyAddresses"))


def has_endpoint(pod: Mapping[str, Any]) -> bool:
    return bool((pod.get("status") or {}).get("podIP")) and not is_finished(pod)


def is_serving(pod: Mapping[str, Any]) -> bool:
    return is_ready(pod)


def ports_of(service: Mapping[str, Any], pod: Mapping[str, Any]) -> tuple[Port, ...]:
    """The Service's ports as numbers in `pod`; a named one that the pod does not have is left out."""
    found = []
    for wanted in service["spec"].get("ports") or ():
        number = target_number(wanted, pod)
        if number is not None:
            found.append(
                Port(
                    wanted.get("name") or "",
                    wanted.get("protocol") or "TCP",
                    number,
                    wanted.get("appProtocol") or "",
                )
            )
    return tuple(found)


def target_number(port: Mapping[str, Any], pod: Mapping[str, Any]) -> int | None:
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    if target.isdigit():
        return int(target)
    restartable = [one for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in (*pod["spec"]["containers"], *restartable):
        for offered in container.get("ports") or ():
            same_protocol = (offered.get("protocol") or "TCP") == (port.get("protocol") or "TCP")
            if offered.get("name") == target and same_protocol:
                return int(offered["containerPort"])
    return None


def hostname_in(service: Mapping[str, Any], pod: Mapping[str, Any]) -> str:
    spec = pod["spec"]
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        return str(spec["hostname"])
    return ""


def target_ref(pod: Mapping[str, Any]) -> dict[str, str]:
    meta = pod["metadata"]
    return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}


def selected_pods(service: Obj, pods: Informer) -> list[Obj]:
    """The pods that the Service's selector names, found through the rarest of its labels."""
    selector, namespace = service["spec"]["selector"], key_of(service).namespace
    values = [f"{namespace}/{key}={value}" for key, value in selector.items()]
    rarest = min(values, key=lambda value: pods.count("label", value))
    return [pod for pod in pods.indexed("label", rarest) if selector.items() <= labels_of(pod).items()]


def endpoint_state(pod: Mapping[str, Any]) -> tuple[Any, ...]:
    """All of a pod that an endpoint shows: while this stays the same nothing needs to be done."""
    status = pod.get("status") or {}
    return (
        status.get("podIP"), is_ready(pod), is_deleting(pod), is_finished(pod), labels_of(pod),
        pod["spec"].get("nodeName"),
    )  # fmt: skip


class ServicePodsReconciler(Reconciler):
    """Enqueues a Service on every change of it or of what a pod of it shows to clients."""

    delay = 0.0  # seconds between a pod's change and the turn it causes
    patience = 1  # times as long to wait for further changes of a crowd

    def setup(self) -> None:
        self.services = self.follow(SERVICES)
        index_by_namespace(self.services)
        self.pods = self.informer(PODS)
        index_by_label(self.pods)
        self.pods.add_handler(self._pod_changed)

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is not None and new is not None and endpoint_state(old) == endpoint_state(new):
            return
        for pod in (old, new):
            if pod is not None:
                for key, size in self._services_of(pod):
                    self.queue.add_after(key, max(self.delay, self.patience * crowd_delay(size)))

    def _services_of(self, pod: Obj) -> Iterable[tuple[Key, int]]:
        """The services that select the pod, and about how many pods each has."""
        labels, namespace = labels_of(pod), key_of(pod).namespace
        for service in self.services.indexed("namespace", namespace):
            selector = (service.get("spec") or {}).get("selector")
            if selector and selector.items() <= labels.items():
                size = min(self.pods.count("label", f"{namespace}/{key}={value}") for key, value in selector.items())
                yield key_of(service), size
