import base64
import copy

import pytest

from orchestrator.objects import decode, defaults, kinds, strategy


def defaulted(resource, body):
    obj, _ = decode.decode(resource, body, "Strict")
    defaults.apply_defaults(resource, obj)
    return obj


def test_a_bare_pod_gets_what_kubernetes_gives_it(pod):
    spec = defaulted(kinds.PODS, pod)["spec"]
    assert spec == {
        "containers": [
            {
                "name": "web",
                "image": "registry.test/web:1",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
                "imagePullPolicy": "IfNotPresent",
            }
        ],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
        "enableServiceLinks": True,
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("web", "Always"),
        ("web:latest", "Always"),
        ("web:1", "IfNotPresent"),
        ("host.test:5000/web", "Always"),
        ("host.test:5000/web:1", "IfNotPresent"),
        ("web@sha256:abc", "IfNotPresent"),
    ],
)
def test_the_pull_policy_follows_the_tag(pod, image, policy):
    pod["spec"]["containers"][0]["image"] = image
    assert defaulted(kinds.PODS, pod)["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_containers_and_volumes_are_filled_in(pod):
    pod["spec"]["containers"][0] |= {
        "ports": [{"containerPort": 80}],
        "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
        "readinessProbe": {"httpGet": {"port": 80}},
        "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
    }
    pod["spec"]["volumes"] = [
        {"name": "a"},
        {"name": "b", "secret": {"secretName": "x"}},
        {"name": "c", "hostPath": {"path": "/"}},
    ]
    spec = defaulted(kinds.PODS, pod)["spec"]
    container = spec["containers"][0]
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["resources"]["requests"] == {"cpu": "100m", "memory": "1Gi"}
    assert container["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }
    assert container["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] == "v1"
    assert spec["volumes"] == [
        {"name": "a", "emptyDir": {}},
        {"name": "b", "secret": {"secretName": "x", "defaultMode": 0o644}},
        {"name": "c", "hostPath": {"path": "/", "type": ""}},
    ]


def test_deployments_roll_by_quarters(deployment):
    spec = defaulted(kinds.DEPLOYMENTS, deployment)["spec"]
    assert spec["replicas"] == 1 and spec["revisionHistoryLimit"] == 10 and spec["progressDeadlineSeconds"] == 600
    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}}
    deployment["spec"]["strategy"] = {"type": "Recreate"}
    assert defaulted(kinds.DEPLOYMENTS, deployment)["spec"]["strategy"] == {"type": "Recreate"}


def test_services_get_type_target_and_family():
    obj = defaulted(kinds.SERVICES, {"metadata": {"name": "x"}, "spec": {"ports": [{"port": 80}]}})
    assert obj["spec"] == {
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "sessionAffinity": "None",
        "type": "ClusterIP",
        "internalTrafficPolicy": "Cluster",
        "ipFamilyPolicy": "SingleStack",
        "ipFamilies": ["IPv4"],
    }


def test_a_secrets_plain_text_is_encoded_over_its_data():
    body = {
        "metadata": {"name": "x"},
        "data": {"a": base64.b64encode(b"old").decode()},
        "stringData": {"a": "new", "b": "ü"},
    }
    obj = defaulted(kinds.SECRETS, body)
    assert {key: base64.b64decode(value).decode() for key, value in obj["data"].items()} == {"a": "new", "b": "ü"}
    assert obj["type"] == "Opaque" and "stringData" not in obj


def test_jobs_run_once_unless_told_otherwise(container):
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    spec = defaulted(kinds.JOBS, {"metadata": {"name": "x"}, "spec": {"template": template}})["spec"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"], spec["completionMode"]) == (
        1,
        1,
        6,
        "NonIndexed",
    )
    spec = defaulted(kinds.JOBS, {"metadata": {"name": "x"}, "spec": {"template": template, "parallelism": 3}})["spec"]
    assert "completions" not in spec


def test_custom_defaults_reach_into_lists(widgets):
    obj = defaulted(widgets, {"metadata": {"name": "x"}, "spec": {"size": 1, "parts": [{"name": "a"}]}})
    assert obj["spec"] == {"size": 1, "color": "red", "parts": [{"name": "a", "count": 1}]}


BODIES = {
    kinds.NAMESPACES: {},
    kinds.STATEFULSETS: {"spec": {"volumeClaimTemplates": [{"metadata": {"name": "d"}}], "template": {}}},
    kinds.DAEMONSETS: {"spec": {"template": {"spec": {"containers": [{"name": "c"}]}}}},
    kinds.REPLICATIONCONTROLLERS: {"spec": {"template": {"metadata": {"labels": {"a": "b"}}}}},
    kinds.CRONJOBS: {"spec": {"jobTemplate": {"spec": {"template": {"spec": {}}}}}},
    kinds.HPAS_V2: {"spec": {"behavior": {}}},
    kinds.HPAS_V1: {"spec": {}},
    kinds.LIMITRANGES: {"spec": {"limits": [{"type": "Container", "max": {"cpu": "1"}}]}},
    kinds.PERSISTENTVOLUMES: {"spec": {"hostPath": {"path": "/x"}}},
    kinds.NETWORKPOLICIES: {"spec": {"egress": [{"ports": [{"port": 53}]}]}},
    kinds.ROLEBINDINGS: {"roleRef": {"kind": "Role", "name": "x"}, "subjects": [{"kind": "User", "name": "x"}]},
    kinds.ENDPOINTSLICES: {"ports": [{"port": 1}]},
    kinds.CRDS: {"spec": {"names": {"kind": "Widget"}}},
}


@pytest.mark.parametrize("resource", BODIES, ids=str)
def test_defaulting_twice_changes_nothing_more(resource):
    once = defaulted(resource, {"metadata": {"name": "x"}, **BODIES[resource]})
    twice = copy.deepcopy(once)
    defaults.apply_defaults(resource, twice)
    assert twice == once


def test_a_new_pods_status_is_the_servers_own(pod, create):
    pod["status"] = {"phase": "Running", "podIP": "1.2.3.4"}
    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    obj = create(kinds.PODS, pod)
    assert obj["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert obj["metadata"]["generation"] == 1 and "deletionTimestamp" not in obj["metadata"]


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
        ({"limits": {"cpu": "0"}}, "BestEffort"),
    ],
)
def test_quality_of_service_follows_requests_and_limits(pod, create, resources, qos):
    pod["spec"]["containers"][0]["resources"] = resources
    assert create(kinds.PODS, pod)["status"]["qosClass"] == qos


def test_the_generation_moves_with_the_spec_alone(deployment, create, update):
    old = create(kinds.DEPLOYMENTS, deployment)
    labelled = copy.deepcopy(old)
    labelled["metadata"]["labels"] = {"a": "b"}
    labelled["status"] = {"replicas": 9}
    labelled = update(kinds.DEPLOYMENTS, labelled, old)
    assert labelled["metadata"]["generation"] == 1 and labelled["status"] == {}
    scaled = copy.deepcopy(old)
    scaled["spec"]["replicas"] = 2
    assert update(kinds.DEPLOYMENTS, scaled, old)["metadata"]["generation"] == 2
    with_status = copy.deepcopy(old)
    with_status["status"] = {"replicas": 9}
    assert update(kinds.DEPLOYMENTS, with_status, old, subresource="status")["metadata"]["generation"] == 1


def test_a_service_keeps_its_address_and_node_ports_through_an_update(create, update):
    body = {"metadata": {"name": "x", "namespace": "default"}, "spec": {"type": "NodePort", "ports": [{"port": 80}]}}
    old = create(kinds.SERVICES, body)
    old["spec"] |= {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]}
    old["spec"]["ports"][0]["nodePort"] = 30001
    new = update(kinds.SERVICES, body, old)
    assert new["spec"]["clusterIP"] == "10.96.0.9" and new["spec"]["ports"][0]["nodePort"] == 30001
    body["spec"]["type"] = "ClusterIP"
    assert "nodePort" not in update(kinds.SERVICES, body, old)["spec"]["ports"][0]


def test_jobs_are_tied_to_their_pods_by_uid(container, create, update):
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    body = {"metadata": {"name": "x", "namespace": "default"}, "spec": {"template": template}}
    old = create(kinds.JOBS, body)
    uid = old["metadata"]["uid"]
    assert old["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert old["spec"]["template"]["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "x"
    assert update(kinds.JOBS, body, old)["spec"] == old["spec"], "an update from the same file changes nothing"


def test_namespaces_are_labelled_and_guarded(create):
    obj = create(kinds.NAMESPACES, {"metadata": {"name": "shop"}})
    assert obj["metadata"]["labels"] == {"kubernetes.io/metadata.name": "shop"}
    assert obj["spec"] == {"finalizers": ["kubernetes"]} and obj["status"] == {"phase": "Active"}


def test_a_status_write_cannot_touch_the_rest(widgets, create, update):
    old = create(
        widgets, {"metadata": {"name": "x", "namespace": "default"}, "spec": {"size": 1}, "status": {"size": 5}}
    )
    assert "status" not in old
    new = copy.deepcopy(old) | {"status": {"size": 1}, "spec": {"size": 7}}
    new["metadata"]["labels"] = {"a": "b"}
    new = update(widgets, new, old, subresource="status")
    assert new["spec"]["size"] == 1 and new["status"] == {"size": 1} and "labels" not in new["metadata"]


def test_the_generation_of_a_pod_ignores_what_it_has_not(pod, create):
    obj = create(kinds.PODS, pod)
    assert not strategy.spec_changed(kinds.PODS, obj, {**obj, "status": {}})


@pytest.mark.parametrize(
    ("was", "becomes"),
    [("NodePort", "ExternalName"), ("LoadBalancer", "ExternalName"), ("LoadBalancer", "NodePort"),
     ("LoadBalancer", "ClusterIP"), ("ClusterIP", "ExternalName")],
)  # fmt: skip
def test_a_service_may_change_its_type_and_leave_the_rest_of_it_as_it_was(create, update, was, becomes):
    body = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"type": was, "ports": [{"port": 80}]}}
    stored = create(kinds.SERVICES, body)
    stored["spec"] |= {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]}
    if was != "ClusterIP":
        stored["spec"]["ports"][0]["nodePort"] = 30123
    sent = copy.deepcopy(stored)
    sent["spec"] |= {"type": becomes} | ({"externalName": "a.test"} if becomes == "ExternalName" else {})
    spec = update(kinds.SERVICES, sent, stored)["spec"]
    assert ("nodePort" in spec["ports"][0]) == (becomes == "NodePort")
    assert ("clusterIP" in spec) == (becomes != "ExternalName")
    assert "allocateLoadBalancerNodePorts" not in spec and ("externalTrafficPolicy" in spec) == (becomes == "NodePort")
