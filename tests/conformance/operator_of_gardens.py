"""An operator as users of kopf write them; `kopf run` loads it. A Garden owns a ConfigMap that lists its plants."""

from __future__ import annotations

import kopf
from kubernetes import client, config

config.load_kube_config()
core = client.CoreV1Api()


@kopf.on.startup()
def settle(settings: kopf.OperatorSettings, **_: object) -> None:
    settings.posting.loggers = True  # what handlers log becomes an Event
    settings.persistence.finalizer = "gardens.example.test/finalizer"


@kopf.on.create("example.test", "v1", "gardens")
def plant(name: str, namespace: str, spec: kopf.Spec, body: kopf.Body, **_: object) -> dict[str, object]:
    content = {"metadata": {"name": f"{name}-plants"}, "data": {"plants": ",".join(spec.get("plants", []))}}
    kopf.adopt(content, owner=body)
    made = core.create_namespaced_config_map(namespace, content)
    return {"configmap": made.metadata.name}


@kopf.on.field("example.test", "v1", "gardens", field="spec.plants")
def replant(old: object, new: list[str], name: str, namespace: str, patch: kopf.Patch, **_: object) -> None:
    if old is not None:
        core.patch_namespaced_config_map(f"{name}-plants", namespace, {"data": {"plants": ",".join(new or [])}})
    patch.status["count"] = len(new or [])


@kopf.on.update("example.test", "v1", "gardens", field="spec.flaky", id="weather")
def fail_twice(retry: int, **_: object) -> str:
    if retry < 2:
        raise kopf.TemporaryError(f"rain, attempt {retry}", delay=0.3)
    return "sunny"


@kopf.on.delete("example.test", "v1", "gardens")
def harvest(name: str, namespace: str, spec: kopf.Spec, **_: object) -> None:
    content = {"metadata": {"name": f"{name}-harvest"}, "data": {"plants": ",".join(spec.get("plants", []))}}
    core.create_namespaced_config_map(namespace, content)


@kopf.timer("example.test", "v1", "gardens", interval=0.5)
def water(status: kopf.Status, patch: kopf.Patch, **_: object) -> None:
    patch.status["watered"] = int(status.get("watered", 0)) + 1


@kopf.daemon("example.test", "v1", "gardens", cancellation_timeout=2)
def guard(stopped: kopf.DaemonStopped, name: str, namespace: str, **_: object) -> None:
    stopped.wait(60)
    core.create_namespaced_config_map(namespace, {"metadata": {"generateName": f"{name}-unguarded-"}})


@kopf.on.event("", "v1", "configmaps", labels={"watched-by": "gardener"})
def notice(event: kopf.RawEvent, name: str, namespace: str, **_: object) -> None:
    if event["type"] == "MODIFIED":
        core.patch_namespaced_config_map(name, namespace, {"metadata": {"labels": {"watched-by": "nobody"}}})
