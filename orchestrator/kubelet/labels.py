"""The labels on everything the agent makes in an engine: enough to adopt it after a restart, and to remove it."""

from __future__ import annotations

from orchestrator.kubelet.runtime import ContainerSpec

INSTANCE = "paas.io/instance"
POD_UID = "paas.io/pod-uid"
POD = "paas.io/pod"
NAMESPACE = "paas.io/namespace"
CONTAINER = "paas.io/container"
ATTEMPT = "paas.io/attempt"
SANDBOX = "paas.io/sandbox"  # on a container: the id of its sandbox
ADDRESS = "paas.io/sandbox-address"  # on a sandbox: the address it was made for
IMAGE = "paas.io/image"
IMAGE_ID = "paas.io/image-id"


def of_container(spec: ContainerSpec, instance: str) -> dict[str, str]:
    return {
        INSTANCE: instance,
        POD_UID: spec.pod.uid,
        POD: spec.pod.name,
        NAMESPACE: spec.pod.namespace,
        CONTAINER: spec.name,
        ATTEMPT: str(spec.attempt),
        SANDBOX: spec.sandbox.id,
        IMAGE: spec.image_name or spec.image,
        IMAGE_ID: spec.image,
    }


def of_sandbox(address: str, instance: str) -> dict[str, str]:
    return {INSTANCE: instance, ADDRESS: address}
