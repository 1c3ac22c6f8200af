import copy

import pytest

from orchestrator import errors
from orchestrator.objects import kinds
from tests.orchestrator.objects.bodies_at_fault import changed, refusal, set_at


def test_the_message_and_causes_name_every_bad_field(pod, create):
    pod["spec"]["containers"][0] = {"name": "Web"}
    error = refusal(create, kinds.PODS, pod)
    assert error.message.startswith(
        'Pod "web" is invalid: [spec.containers[0].name: Invalid value: "Web": a lowercase RFC 1123'
    )
    assert error.message.endswith("spec.containers[0].image: Required value]")
    assert error.status()["details"]["causes"][1] == {
        "reason": "FieldValueRequired",
        "message": "Required value",
        "field": "spec.containers[0].image",
    }
    assert (error.status()["code"], error.status()["details"]["kind"]) == (422, "Pod")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("spec.containers", [], "spec.containers: Required value"),
        (
            "spec.securityContext",
            {"sysctls": [{"name": "kernel.ok", "value": "1"}, {"name": "foo-", "value": "bar"}]},
            'sysctls[1].name: Invalid value: "foo-": must have at most 253 characters and match regex',
        ),
        (
            "spec.securityContext",
            {"sysctls": [{"name": "kernel.ok", "value": "1"}, {"name": "kernel.ok", "value": "2"}]},
            'sysctls[1].name: Duplicate value: "kernel.ok"',
        ),
        (
            "spec.containers.0.ports",
            [{"containerPort": 70000}],
            "ports[0].containerPort: Invalid value: 70000: must be between 1",
        ),
        (
            "spec.containers.0.ports",
            [{"containerPort": 1, "protocol": "tcp"}],
            'Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
        ),
        ("spec.containers.0.env", [{"name": "A=B", "value": "x"}], "env[0].name: Invalid value"),
        ("spec.containers.0.env", [{"name": "A", "valueFrom": {}}], "must specify one of: `fieldRef`"),
        (
            "spec.containers.0.env",
            [{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "may not be specified when `value` is not empty",
        ),
        ("spec.containers.0.envFrom", [{}], "must specify one of: `configMapRef` or `secretRef`"),
        (
            "spec.containers.0.volumeMounts",
            [{"name": "x", "mountPath": "/x"}],
            'spec.containers[0].volumeMounts[0].name: Not found: "x"',
        ),
        (
            "spec.containers.0.resources",
            {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}},
            "must be less than or equal to cpu limit of 1",
        ),
        ("spec.containers.0.resources", {"requests": {"cpu": "-1"}}, "must be greater than or equal to 0"),
        ("spec.containers.0.resources", {"requests": {"gold": "1"}}, "must be a standard resource"),
        ("spec.containers.0.livenessProbe", {}, "livenessProbe: Required value: must specify a handler type"),
        (
            "spec.containers.0.livenessProbe",
            {"tcpSocket": {"port": 0}},
            "livenessProbe.tcpSocket.port: Invalid value: 0",
        ),
        ("spec.containers.0.livenessProbe", {"tcpSocket": {"port": 1}, "successThreshold": 2}, "must be 1"),
        (
            "spec.containers.0.livenessProbe",
            {"tcpSocket": {"port": 1}, "exec": {"command": ["x"]}},
            "may not specify more than 1 handler type",
        ),
        ("spec.containers.0.imagePullPolicy", "Sometimes", "imagePullPolicy: Unsupported value"),
        (
            "spec.containers.0.securityContext",
            {"privileged": True, "allowPrivilegeEscalation": False},
            "cannot set `allowPrivilegeEscalation` to false",
        ),
        ("spec.initContainers", [{"name": "web", "image": "x"}], 'spec.containers[0].name: Duplicate value: "web"'),
        (
            "spec.initContainers",
            [{"name": "i", "image": "x", "livenessProbe": {"tcpSocket": {"port": 1}}}],
            "may not be set for init containers without restartPolicy=Always",
        ),
        (
            "spec.volumes",
            [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}],
            "may not specify more than 1 volume type",
        ),
        ("spec.volumes", [{"name": "v"}, {"name": "v"}], 'spec.volumes[1].name: Duplicate value: "v"'),
        (
            "spec.volumes",
            [{"name": "v", "configMap": {"name": "c", "items": [{"key": "k", "path": "../x"}]}}],
            "must not contain '..'",
        ),
        (
            "spec.volumes",
            [{"name": "v", "secret": {"secretName": "s", "defaultMode": 0o1000}}],
            "must be a number between 0 and 0777",
        ),
        (
            "spec.restartPolicy",
            "Maybe",
            'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", "OnFailure"',
        ),
        ("spec.terminationGracePeriodSeconds", -1, "must be greater than or equal to 0"),
        ("spec.activeDeadlineSeconds", 0, "must be between 1 and 2147483647"),
        ("spec.dnsPolicy", "None", "must provide at least one DNS nameserver"),
        ("spec.tolerations", [{"operator": "Equal"}], "operator must be Exists when `key` is empty"),
        (
            "spec.affinity",
            {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}},
            "must have at least one node selector term",
        ),
        (
            "spec.topologySpreadConstraints",
            [{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}],
            "must be greater than zero",
        ),
        ("spec.nodeSelector", {"a b": "c"}, "spec.nodeSelector: Invalid value"),
        ("metadata.name", "-x", "metadata.name: Invalid value"),
        ("metadata.name", "a" * 254, "must be no more than 253 bytes"),
        ("metadata.labels", {"a": "b c"}, "a valid label must be an empty string or consist of"),
        ("metadata.labels", {"a/b/c": "x"}, "a qualified name must consist of"),
        ("metadata.annotations", {"a": "x" * 300_000}, "Too long: may not be more than 262144 bytes"),
        ("metadata.finalizers", ["mine"], "neither a standard finalizer name nor is it fully qualified"),
        (
            "metadata.ownerReferences",
            [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": ""}],
            "uid must not be empty",
        ),
    ],
)
def test_bad_pods_are_refused(pod, create, path, value, message):
    set_at(pod, path, value)
    assert message in refusal(create, kinds.PODS, pod).message


def workload(**spec):
    return {"metadata": {"name": "x", "namespace": "default"}, "spec": spec}


TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
NEVER = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"containers": [{"name": "c", "image": "i"}], "restartPolicy": "Never"},
}
SELECTOR = {"matchLabels": {"a": "b"}}


@pytest.mark.parametrize(
    ("resource", "body", "message"),
    [
        (
            kinds.DEPLOYMENTS,
            workload(selector={"matchLabels": {"a": "c"}}, template=TEMPLATE),
            "`selector` does not match template `labels`",
        ),
        (kinds.DEPLOYMENTS, workload(template=TEMPLATE), "spec.selector: Required value"),
        (kinds.DEPLOYMENTS, workload(selector={}, template=TEMPLATE), "empty selector is invalid for deployment"),
        (
            kinds.DEPLOYMENTS,
            workload(selector=SELECTOR, template=TEMPLATE, replicas=-1),
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            kinds.DEPLOYMENTS,
            workload(selector=SELECTOR, template=NEVER),
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
        (
            kinds.DEPLOYMENTS,
            workload(
                selector=SELECTOR, template=TEMPLATE, strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}
            ),
            "may not be 0 when `maxSurge` is 0",
        ),
        (
            kinds.DEPLOYMENTS,
            workload(selector=SELECTOR, template=TEMPLATE, strategy={"rollingUpdate": {"maxSurge": "x%"}}),
            "a valid percent string",
        ),
        (
            kinds.DEPLOYMENTS,
            workload(selector=SELECTOR, template=TEMPLATE, progressDeadlineSeconds=5, minReadySeconds=5),
            "must be greater than minReadySeconds",
        ),
        (
            kinds.DAEMONSETS,
            workload(selector=SELECTOR, template=TEMPLATE, updateStrategy={"rollingUpdate": {"maxUnavailable": 0}}),
            "cannot be 0 when maxSurge is 0",
        ),
        (kinds.JOBS, workload(template=TEMPLATE), 'restartPolicy: Required value: valid values: "OnFailure", "Never"'),
        (
            kinds.JOBS,
            workload(template=NEVER, completionMode="Indexed", parallelism=1),
            "when completion mode is Indexed",
        ),
        (
            kinds.CRONJOBS,
            workload(schedule="61 * * * *", jobTemplate={"spec": {"template": NEVER}}),
            "end of range (61) above maximum (59): 61",
        ),
        (
            kinds.CRONJOBS,
            workload(schedule="* * * * *", timeZone="Mars/Olympus", jobTemplate={"spec": {"template": NEVER}}),
            "unknown time zone Mars/Olympus",
        ),
        (
            kinds.HPAS_V2,
            workload(maxReplicas=1, minReplicas=2, scaleTargetRef={"kind": "D", "name": "x"}),
            "must be greater than or equal to `minReplicas`",
        ),
        (
            kinds.PODDISRUPTIONBUDGETS,
            workload(minAvailable=1, maxUnavailable=1),
            "minAvailable and maxUnavailable cannot be both set",
        ),
        (kinds.SERVICES, workload(), "spec.ports: Required value"),
        (
            kinds.SERVICES,
            workload(ports=[{"port": 80, "name": "a"}, {"port": 80, "name": "b"}]),
            "spec.ports[1]: Duplicate value",
        ),
        (kinds.SERVICES, workload(type="ExternalName"), "spec.externalName: Required value"),
        (
            kinds.SERVICES,
            workload(type="ClusterIP", ports=[{"port": 80, "nodePort": 30000}]),
            "may not be used when `type` is 'ClusterIP'",
        ),
        (kinds.INGRESSES, workload(), "either `defaultBackend` or `rules` must be specified"),
        (
            kinds.INGRESSES,
            workload(rules=[{"http": {"paths": [{"backend": {"service": {"name": "s", "port": {"number": 1}}}}]}}]),
            "pathType must be specified",
        ),
        (
            kinds.NETWORKPOLICIES,
            workload(podSelector={}, ingress=[{"from": [{"ipBlock": {"cidr": "10.0.0.0"}}]}]),
            "must be a valid CIDR value",
        ),
        (
            kinds.PERSISTENTVOLUMECLAIMS,
            workload(resources={"requests": {"storage": "1Gi"}}),
            "at least 1 access mode is required",
        ),
        (kinds.RESOURCEQUOTAS, workload(hard={"pods": "1.5"}), "must be an integer"),
        (
            kinds.LIMITRANGES,
            workload(limits=[{"type": "Container", "min": {"cpu": "2"}, "max": {"cpu": "1"}}]),
            "is greater than max value 1",
        ),
        (kinds.LEASES, workload(leaseDurationSeconds=0), "must be greater than 0"),
        (
            kinds.CONFIGMAPS,
            {"metadata": {"name": "x", "namespace": "default"}, "data": {"a/b": "x"}},
            "a valid config key",
        ),
        (
            kinds.SECRETS,
            {"metadata": {"name": "x", "namespace": "default"}, "type": "kubernetes.io/tls"},
            "data[tls.crt]: Required value",
        ),
        (
            kinds.ROLES,
            {"metadata": {"name": "x", "namespace": "default"}, "rules": [{"verbs": ["get"], "apiGroups": [""]}]},
            "resource rules must supply at least one resource",
        ),
        (
            kinds.CLUSTERROLEBINDINGS,
            {"metadata": {"name": "x"}, "roleRef": {"kind": "Role", "name": "x"}},
            'Unsupported value: "Role": supported values: "ClusterRole"',
        ),
        (kinds.NAMESPACES, {"metadata": {"name": "a.b"}}, "a lowercase RFC 1123 label"),
        (
            kinds.SERVICES,
            {"metadata": {"name": "1a", "namespace": "default"}, "spec": {"ports": [{"port": 1}]}},
            "a DNS-1035 label",
        ),
        (kinds.PRIORITYCLASSES, {"metadata": {"name": "x"}, "value": 2_000_000_000}, "maximum allowed value"),
        (
            kinds.ENDPOINTS,
            {"metadata": {"name": "x", "namespace": "default"}, "subsets": [{"addresses": [{"ip": "127.0.0.1"}]}]},
            "may not be in the loopback range",
        ),
    ],
)
def test_bad_objects_are_refused(create, resource, body, message):
    assert message in refusal(create, resource, body).message


def test_a_pods_image_may_change_and_its_command_may_not(pod, create, update):
    old = create(kinds.PODS, pod)
    assert update(kinds.PODS, changed(old, "spec.containers.0.image", "other"), old)["metadata"]["generation"] == 2
    message = refusal(update, kinds.PODS, changed(old, "spec.containers.0.command", ["x"]), old).message
    assert "pod updates may not change fields other than `spec.containers[*].image`" in message
    assert (
        "add or remove containers"
        in refusal(
            update,
            kinds.PODS,
            changed(old, "spec.containers", [*old["spec"]["containers"], {"name": "b", "image": "x"}]),
            old,
        ).message
    )


@pytest.mark.parametrize(
    ("resource", "body", "path", "value", "message"),
    [
        (
            kinds.DEPLOYMENTS,
            workload(selector=SELECTOR, template=TEMPLATE),
            "spec.selector",
            {"matchLabels": {"a": "b", "c": "d"}},
            "field is immutable",
        ),
        (
            kinds.JOBS,
            workload(template=NEVER),
            "spec.template.spec.containers.0.image",
            "other",
            "spec.template: Invalid value",
        ),
        (
            kinds.STATEFULSETS,
            workload(selector=SELECTOR, template=TEMPLATE, serviceName="s"),
            "spec.serviceName",
            "t",
            "updates to statefulset spec for fields other than",
        ),
        (
            kinds.SECRETS,
            {"metadata": {"name": "x", "namespace": "default"}, "immutable": True, "data": {"a": "eA=="}},
            "data",
            {"a": "eQ=="},
            "field is immutable when `immutable` is set",
        ),
        (
            kinds.SECRETS,
            {"metadata": {"name": "x", "namespace": "default"}},
            "type",
            "other",
            'type: Invalid value: "other": field is immutable',
        ),
        (
            kinds.CONFIGMAPS,
            {"metadata": {"name": "x", "namespace": "default"}, "immutable": True},
            "immutable",
            False,
            "field is immutable when `immutable` is set",
        ),
        (
            kinds.ROLEBINDINGS,
            {"metadata": {"name": "x", "namespace": "default"}, "roleRef": {"kind": "Role", "name": "a"}},
            "roleRef.name",
            "b",
            "cannot change roleRef",
        ),
        (
            kinds.PERSISTENTVOLUMECLAIMS,
            workload(accessModes=["ReadWriteOnce"], resources={"requests": {"storage": "2Gi"}}),
            "spec.resources.requests.storage",
            "1Gi",
            "field can not be less than",
        ),
    ],
)
def test_immutable_fields_stay(create, update, resource, body, path, value, message):
    old = create(resource, body)
    assert message in refusal(update, resource, changed(old, path, value), old).message


def test_a_dying_object_takes_no_new_finalizers(pod, create, update):
    old = create(kinds.PODS, pod)
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    new = changed(old, "metadata.finalizers", ["example.com/x"])
    assert "no new finalizers can be added" in refusal(update, kinds.PODS, new, old).message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "spec.size: Required value"),
        ({"size": 0}, "spec.size in body should be greater than or equal to 1"),
        ({"size": "x"}, 'spec.size: Invalid value: "string": spec.size in body must be of type integer: "string"'),
        ({"size": 1, "color": "green"}, 'spec.color: Unsupported value: "green": supported values: "red", "blue"'),
        ({"size": 1, "limit": 1.5}, "must be of type integer,string"),
        ({"size": 1, "parts": [{"name": "a"}, {"name": "a"}]}, "spec.parts[1]: Duplicate value"),
    ],
)
def test_custom_resources_fit_their_schema(create, widgets, spec, message):
    body = {"metadata": {"name": "x", "namespace": "default"}, "spec": spec}
    assert message in refusal(create, widgets, body).message


def test_a_tightened_schema_leaves_unchanged_objects_editable(create, update, widgets):
    old = create(widgets, {"metadata": {"name": "x", "namespace": "default"}, "spec": {"size": 1}})
    old["spec"]["color"] = "green"
    assert update(widgets, changed(old, "metadata.labels", {"a": "b"}), old)["metadata"]["labels"] == {"a": "b"}
    with pytest.raises(errors.Invalid):
        update(widgets, changed(old, "spec.color", "pink"), old)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("metadata.name", "gadgets.example.com", 'must be spec.names.plural+"."+spec.group'),
        ("spec.scope", "Galaxy", "spec.scope: Unsupported value"),
        ("spec.versions.0.storage", False, "must have exactly one version marked as storage version"),
        ("spec.versions.0.schema", {}, "schemas are required"),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.properties",
            {"x": {"description": "no type"}},
            "must not be empty for specified object fields",
        ),
        (
            "spec.versions.0.schema.openAPIV3Schema.properties.spec.properties",
            {"x": {"type": "array"}},
            "must be specified",
        ),
        ("spec.versions.0.schema.openAPIV3Schema.type", "string", 'must be "object" at the root'),
        (
            "spec.versions.0.additionalPrinterColumns",
            [{"name": "x", "type": "string", "jsonPath": "spec"}],
            "is not a JSON path",
        ),
    ],
)
def test_definitions_must_be_structural(create, widget_definition, path, value, message):
    assert message in refusal(create, kinds.CRDS, changed(widget_definition, path, value)).message


def test_an_object_of_older_rules_can_still_lose_a_finalizer(deployment, create, update):
    old = create(kinds.DEPLOYMENTS, deployment)
    old["metadata"]["finalizers"] = ["example.com/x"]
    old["spec"]["replicas"] = -1
    assert update(kinds.DEPLOYMENTS, changed(old, "metadata.finalizers", []), old)
    with pytest.raises(errors.Invalid):
        update(kinds.DEPLOYMENTS, changed(old, "spec.replicas", -2), old)


def test_containers_of_a_stateful_set_may_mount_its_claims(deployment, create):
    spec = deployment["spec"] | {"serviceName": "web"}
    spec["template"]["spec"]["containers"][0]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    templates = [{"metadata": {"name": "data"}, "spec": claim}]
    create(kinds.STATEFULSETS, deployment | {"spec": spec | {"volumeClaimTemplates": templates}})
    error = refusal(create, kinds.STATEFULSETS, deployment | {"spec": spec})
    assert 'volumeMounts[0].name: Not found: "data"' in error.message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"scopes": ["Idle"]}, 'Invalid value: ["Idle"]: unsupported scope'),
        ({"scopes": ["BestEffort", "NotBestEffort"]}, "conflicting scopes"),
        ({"scopes": ["BestEffort"], "hard": {"cpu": "1"}}, "unsupported scope applied to resource"),
        (
            {"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}},
            "must be at least one value when `operator` is 'In'",
        ),
        (
            {"scopeSelector": {"matchExpressions": [{"scopeName": "BestEffort", "operator": "DoesNotExist"}]}},
            "must be 'Exist' when scope is any of",
        ),
    ],
)
def test_scopes_of_quotas_fit_each_other_and_their_resources(create, spec, message):
    quota = {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": {"pods": "1"}, **spec}}
    assert message in refusal(create, kinds.RESOURCEQUOTAS, quota).message


def test_the_scopes_of_a_quota_stay(create, update):
    quota = {"metadata": {"name": "q", "namespace": "default"}, "spec": {"hard": {"pods": "1"}}}
    old = create(kinds.RESOURCEQUOTAS, quota)
    new = copy.deepcopy(old)
    new["spec"]["scopes"] = ["Terminating"]
    assert "spec.scopes: Invalid value" in refusal(update, kinds.RESOURCEQUOTAS, new, old).message
