"""kubectl over what a node decides: debug containers, refused pods, addresses for LoadBalancers."""

from __future__ import annotations

import json


def pod(name: str, **spec) -> str:
    container = {"name": "main", "image": "registry.test/app:1"}
    made = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container], **spec}}
    return json.dumps(made)


def test_debug_adds_a_container_to_a_running_pod(kubectl, namespace):
    kubectl("-n", namespace, "apply", "-f", "-", stdin=pod("p"))
    kubectl("-n", namespace, "wait", "pod/p", "--for=condition=Ready", "--timeout=60s")
    for name in ("one", "two"):
        kubectl("-n", namespace, "debug", "p", "--image=registry.test/tools:1", "--target=main", "-c", name,
                "--attach=false", "--profile=general", "--", "echo", f"said by {name}")  # fmt: skip
        done = "jsonpath={.status.ephemeralContainerStatuses[?(@.name=='" + name + "')].state.terminated.exitCode}=0"
        kubectl("-n", namespace, "wait", "pod/p", f"--for={done}", "--timeout=60s")
        assert kubectl("-n", namespace, "logs", "p", "-c", name) == f"said by {name}\n"
    described = kubectl("-n", namespace, "describe", "pod", "p")
    assert "Ephemeral Containers:" in described and "Completed" in described


def test_a_pod_that_the_node_refuses_says_why(kubectl, namespace):
    unsafe = pod("p", securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "65536"}]})
    kubectl("-n", namespace, "apply", "-f", "-", stdin=unsafe)
    kubectl("-n", namespace, "wait", "pod/p", "--for=jsonpath={.status.phase}=Failed", "--timeout=60s")
    assert kubectl("-n", namespace, "get", "pod", "p", "--no-headers").split()[2] == "SysctlForbidden"
    assert 'forbidden sysctl: "kernel.msgmax"' in kubectl("-n", namespace, "describe", "pod", "p")


def test_a_load_balancer_gets_the_nodes_address_and_one_that_comes_second_waits(kubectl, namespace):
    for name in ("first", "second"):
        kubectl("-n", namespace, "create", "service", "loadbalancer", name, "--tcp=8099:80")
    address = kubectl("get", "node", "node-a", "-o", "jsonpath={.status.addresses[?(@.type=='InternalIP')].address}")
    if address.startswith("127."):
        return  # a machine without a network has no address to give
    kubectl("-n", namespace, "wait", "svc/first", "--timeout=60s",
            f"--for=jsonpath={{.status.loadBalancer.ingress[0].ip}}={address}")  # fmt: skip
    assert "<pending>" in kubectl("-n", namespace, "get", "svc", "second")
    assert "has the same port" in kubectl("-n", namespace, "describe", "svc", "second")
