"""The objects of one build on Kubernetes. Pure.

A Job with one pod that is never tried again; a Secret with the app's config and one with the operator's settings for
package indexes, owned by the Job; and, for all builds of a namespace, what their pods may reach.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.egress import Network
from builder.fence import LINK_LOCAL, Hole
from builder.host_config import CA_IN_CONTAINER
from builder.settings import BuildLimits, Registry
from builder.workspace import APP_UID

WAIT = (Path(__file__).resolve().parent / "wait.sh").read_text()
HOST_FILES = "/run/paas-host"
CONFIG_FILES = "/workspace/env"
DOCKER_CONFIG = "/run/paas-registry"
STARTING = 300  # seconds a pod may take to start; the Job's deadline is longer by as many
GRACE = 1  # seconds; nothing in a build needs an orderly end
TTL = 60  # seconds after which the cluster removes a finished Job that a killed builder left
BUILDKIT_UID = 1000  # of the user in BuildKit's rootless images
PULL_SECRET = "builder-pull"
POLICY = "builds"
CA_KEY = "ca-certificates.crt"
KEY = re.compile(r"(?!\.\.)[-._a-zA-Z0-9]{1,253}")  # of a Secret
MOST_SECRET = 1 << 20  # bytes of a Secret that Kubernetes takes

Obj = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One build's pod, before Kubernetes' words for it."""

    name: str
    image: str
    command: Sequence[str]
    env: Mapping[str, str]
    mark: str  # with which wait.sh says that the build has ended
    rootless: bool = False  # BuildKit: it makes user namespaces of its own


def longest(limits: BuildLimits) -> int:
    """Seconds within which a build has ended, from before its pod starts."""
    return int(limits.timeout) + 2 * STARTING


def labels(instance: str, name: str = "") -> dict[str, str]:
    mine = {"paas.io/instance": instance, "paas.io/component": "builder"}
    return {**mine, "paas.io/build": name} if name else mine


def job(
    task: Task,
    instance: str,
    namespace: str,
    limits: BuildLimits,
    secrets: Mapping[str, Collection[str]],
    template: Obj | None = None,
) -> Obj:
    """`secrets`: the keys of those that are mounted, by their kind (config, host, registry). The Job is suspended,
    until they are there. `template`: another pod than the usual."""
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": task.name, "namespace": namespace, "labels": labels(instance, task.name)},
        "spec": {
            "suspend": True,
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(limits.timeout) + STARTING,
            "ttlSecondsAfterFinished": TTL,
            "template": {
                "metadata": {"labels": labels(instance, task.name)},
                "spec": template or pod(task, limits, secrets),
            },
        },
    }


def pod(task: Task, limits: BuildLimits, secrets: Mapping[str, Collection[str]]) -> Obj:
    user = BUILDKIT_UID if task.rootless else APP_UID
    security: Obj = {"runAsNonRoot": True, "runAsUser": user, "runAsGroup": user, "fsGroup": user}
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "imagePullSecrets": [{"name": PULL_SECRET}],
        "securityContext": {
            **security,
            "seccompProfile": {"type": "Unconfined" if task.rootless else "RuntimeDefault"},
        },
        "volumes": [*scratch(task, limits), *(mounted(task.name, kind) for kind in secrets)],
        "containers": [
            {
                "name": "build",
                "image": task.image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["/bin/sh", "-c", WAIT, "build", *task.command],
                "env": [{"name": key, "value": value} for key, value in {**task.env, "BUILD_MARK": task.mark}.items()],
                "resources": resources(limits),
                "securityContext": contained(task.rootless),
                "volumeMounts": [*scratch_mounts(task), *secret_mounts(secrets)],
            }
        ],
    }


def contained(rootless: bool) -> Obj:
    """Rootless BuildKit calls newuidmap, which is setuid, and unshares: what the strict profiles forbid."""
    if rootless:
        return {"allowPrivilegeEscalation": True, "privileged": False, "appArmorProfile": {"type": "Unconfined"}}
    return {"allowPrivilegeEscalation": False, "privileged": False, "capabilities": {"drop": ["ALL"]}}


def resources(limits: BuildLimits) -> Obj:
    most = {
        "memory": str(limits.memory),
        "cpu": f"{int(limits.cpus * 1000)}m",
        "ephemeral-storage": str(limits.disk_bytes),
    }
    asked = min(limits.cpus, 0.25)  # a build takes what is free
    return {"limits": most, "requests": {"memory": most["memory"], "cpu": f"{int(asked * 1000)}m"}}


def places(task: Task) -> Mapping[str, str]:
    """Writable folders: volume → where."""
    if task.rootless:
        return {"workspace": "/workspace", "state": "/home/user/.local/share/buildkit"}
    return {"workspace": "/workspace", "buildpacks": "/buildpacks", "tmp": "/tmp"}


def scratch(task: Task, limits: BuildLimits) -> list[Obj]:
    return [{"name": name, "emptyDir": {"sizeLimit": str(limits.disk_bytes)}} for name in places(task)]


def scratch_mounts(task: Task) -> list[Obj]:
    mounts = [{"name": name, "mountPath": path} for name, path in places(task).items()]
    if not task.rootless:  # buildpacks know the tree by a second name, on the cache's mount: they rename between them
        mounts.append({"name": "workspace", "mountPath": "/app", "subPath": "app"})
    return mounts


def mounted(name: str, kind: str) -> Obj:
    return {"name": kind, "secret": {"secretName": f"{name}-{kind}", "defaultMode": 0o440}}


def secret_mounts(secrets: Mapping[str, Collection[str]]) -> list[Obj]:
    where = {"config": CONFIG_FILES, "host": HOST_FILES, "registry": DOCKER_CONFIG}
    mounts = [{"name": kind, "mountPath": where[kind], "readOnly": True} for kind in secrets]
    if CA_KEY in secrets.get("host", ()):
        mounts.append({"name": "host", "mountPath": CA_IN_CONTAINER, "subPath": CA_KEY, "readOnly": True})
    return mounts


def secret(name: str, kind: str, namespace: str, instance: str, values: Mapping[str, bytes], owner: Obj) -> Obj:
    """Goes with `owner`, the build's Job as the API answered it."""
    meta = owner["metadata"]
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": meta["name"], "uid": meta["uid"], "controller": True}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "immutable": True,
        "metadata": {
            "name": f"{name}-{kind}",
            "namespace": namespace,
            "labels": labels(instance, name),
            "ownerReferences": [{**reference, "blockOwnerDeletion": True}],
        },
        "data": {key: base64.b64encode(value).decode() for key, value in values.items()},
    }


def docker_config(registry: Registry) -> bytes:
    """The login of `registry` as Docker's config.json."""
    login = base64.b64encode(f"{registry.username}:{registry.password}".encode()).decode()
    return json.dumps({"auths": {registry.host: {"auth": login}} if registry.username else {}}).encode()


def token_config(registry: Registry, token: str) -> bytes:
    """A token of `registry` as Docker's config.json."""
    return json.dumps({"auths": {registry.host: {"registrytoken": token}} if token else {}}).encode()


def pull_secret(namespace: str, instance: str, registry: Registry) -> Obj:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": PULL_SECRET, "namespace": namespace, "labels": labels(instance)},
        "data": {".dockerconfigjson": base64.b64encode(docker_config(registry)).decode()},
    }


def network_policy(namespace: str, instance: str, denied: Sequence[Network], open_to: Iterable[Hole]) -> Obj:
    """Nobody reaches a build; a build reaches name servers, the world without `denied`, and `open_to`."""
    closed = {version: [str(net) for net in (*denied, LINK_LOCAL) if net.version == version] for version in (4, 6)}
    world = [
        {"ipBlock": {"cidr": cidr, **({"except": closed[version]} if closed[version] else {})}}
        for version, cidr in ((4, "0.0.0.0/0"), (6, "::/0"))
    ]
    holes = [
        {"to": [{"ipBlock": {"cidr": f"{address}/{address.max_prefixlen}"}}], "ports": transports(port)}
        for address, port in sorted(set(open_to), key=str)
    ]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": POLICY, "namespace": namespace, "labels": labels(instance)},
        "spec": {
            "podSelector": {"matchLabels": labels(instance)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": [{"ports": transports(53)}, {"to": world}, *holes],
        },
    }


def transports(port: int) -> list[Obj]:
    return [{"protocol": protocol, "port": port} for protocol in ("UDP", "TCP")]
