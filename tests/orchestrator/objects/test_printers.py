import pytest

from orchestrator.objects import kinds, printers
from orchestrator.objects.printers.cells import duration, epoch

NOW = epoch("2026-01-01T01:00:00Z")
CREATED = {"name": "x", "namespace": "default", "creationTimestamp": "2026-01-01T00:55:00Z"}


def row(resource, obj):
    table = printers.table(resource, [{"metadata": CREATED, "kind": resource.kind, **obj}], now=NOW)
    titles = [column["name"] for column in table["columnDefinitions"]]
    return dict(zip(titles, table["rows"][0]["cells"], strict=True))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (600, "10m"),
        (3600 * 3, "3h"),
        (3600 * 7 + 60, "7h1m"),
        (3600 * 47, "47h"),
        (86400 * 2, "2d"),
        (86400 * 3 + 3600, "3d1h"),
        (86400 * 30, "30d"),
        (86400 * 800, "2y70d"),
        (86400 * 4000, "10y"),
        (-5, "<invalid>"),
    ],
)
def test_ages_read_as_kubectls(seconds, text):
    assert duration(seconds) == text


def container(name="a", ready=False, restarts=0, last=None, **state):
    return {"name": name, "ready": ready, "restartCount": restarts, "state": state, "lastState": last or {}}


RUNNING = {"running": {"startedAt": "x"}}
ENDED = {"terminated": {"finishedAt": "2026-01-01T00:59:00Z", "exitCode": 1}}


@pytest.mark.parametrize(
    ("status", "more", "ready", "state", "restarts"),
    [
        ({"phase": "Pending"}, {}, "0/2", "Pending", "0"),
        (
            {
                "phase": "Running",
                "containerStatuses": [container(ready=True, **RUNNING), container("b", True, **RUNNING)],
            },
            {},
            "2/2",
            "Running",
            "0",
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    container(waiting={"reason": "CrashLoopBackOff"}, restarts=3, last=ENDED),
                    container("b", True, **RUNNING),
                ],
            },
            {},
            "1/2",
            "CrashLoopBackOff",
            "3 (60s ago)",
        ),
        (
            {"phase": "Pending", "containerStatuses": [container(waiting={"reason": "ContainerCreating"})]},
            {},
            "0/2",
            "ContainerCreating",
            "0",
        ),
        (
            {"phase": "Succeeded", "containerStatuses": [container(terminated={"reason": "Completed", "exitCode": 0})]},
            {},
            "0/2",
            "Completed",
            "0",
        ),
        (
            {"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 3})]},
            {},
            "0/2",
            "ExitCode:3",
            "0",
        ),
        (
            {"phase": "Failed", "containerStatuses": [container(terminated={"exitCode": 137, "signal": 9})]},
            {},
            "0/2",
            "Signal:9",
            "0",
        ),
        ({"phase": "Failed", "reason": "Evicted"}, {}, "0/2", "Evicted", "0"),
        (
            {"phase": "Running", "containerStatuses": [container(ready=True, **RUNNING)]},
            {"deletionTimestamp": "x"},
            "1/2",
            "Terminating",
            "0",
        ),
        ({"phase": "Running", "reason": "NodeLost"}, {"deletionTimestamp": "x"}, "0/2", "Unknown", "0"),
        (
            {"phase": "Pending", "conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]},
            {},
            "0/2",
            "SchedulingGated",
            "0",
        ),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    container(terminated={"reason": "Completed", "exitCode": 0}),
                    container("b", True, **RUNNING),
                ],
            },
            {},
            "1/2",
            "NotReady",
            "0",
        ),
    ],
)
def test_a_pods_state_is_what_kubectl_shows(status, more, ready, state, restarts):
    obj = {"metadata": CREATED | more, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}, "status": status}
    shown = row(kinds.PODS, obj)
    assert (shown["Ready"], shown["Status"], shown["Restarts"], shown["Age"]) == (ready, state, restarts, "5m")


@pytest.mark.parametrize(
    ("init", "state", "ready"),
    [
        ([container("i", running={})], "Init:0/2", "0/2"),
        (
            [container("i", terminated={"exitCode": 0}), container("s", waiting={"reason": "PodInitializing"})],
            "Init:1/2",
            "0/2",
        ),
        ([container("i", waiting={"reason": "ImagePullBackOff"})], "Init:ImagePullBackOff", "0/2"),
        ([container("i", terminated={"exitCode": 2, "reason": "Error"})], "Init:Error", "0/2"),
        ([container("i", terminated={"exitCode": 2})], "Init:ExitCode:2", "0/2"),
        (
            [container("i", terminated={"exitCode": 0}), container("s", ready=True, running={}) | {"started": True}],
            "Running",
            "2/2",
        ),
    ],
)
def test_init_containers_and_sidecars_count(init, state, ready):
    spec = {"containers": [{"name": "a"}], "initContainers": [{"name": "i"}, {"name": "s", "restartPolicy": "Always"}]}
    phase = "Running" if state == "Running" else "Pending"
    main = [container(ready=True, **RUNNING)] if phase == "Running" else []
    obj = {"spec": spec, "status": {"phase": phase, "initContainerStatuses": init, "containerStatuses": main}}
    shown = row(kinds.PODS, obj)
    assert (shown["Status"], shown["Ready"]) == (state, ready)


@pytest.mark.parametrize(
    ("resource", "obj", "cells"),
    [
        (
            kinds.DEPLOYMENTS,
            {"spec": {"replicas": 3}, "status": {"readyReplicas": 2, "updatedReplicas": 3}},
            {"Ready": "2/3", "Up-to-date": 3, "Available": 0},
        ),
        (
            kinds.SERVICES,
            {
                "spec": {
                    "type": "NodePort",
                    "clusterIP": "10.0.0.1",
                    "ports": [{"port": 80, "nodePort": 30000, "protocol": "TCP"}],
                }
            },
            {"Cluster-IP": "10.0.0.1", "External-IP": "<none>", "Port(s)": "80:30000/TCP"},
        ),
        (kinds.SERVICES, {"spec": {"type": "LoadBalancer"}}, {"External-IP": "<pending>", "Port(s)": "<none>"}),
        (
            kinds.NODES,
            {
                "metadata": CREATED | {"labels": {"node-role.kubernetes.io/worker": ""}},
                "spec": {"unschedulable": True},
                "status": {"conditions": [{"type": "Ready", "status": "True"}]},
            },
            {"Status": "Ready,SchedulingDisabled", "Roles": "worker"},
        ),
        (kinds.NODES, {}, {"Status": "Unknown", "Roles": "<none>", "Internal-IP": "<none>"}),
        (
            kinds.JOBS,
            {"spec": {"completions": 3}, "status": {"succeeded": 1, "startTime": "2026-01-01T00:59:00Z"}},
            {"Status": "Running", "Completions": "1/3", "Duration": "60s"},
        ),
        (
            kinds.JOBS,
            {"spec": {"parallelism": 2}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}},
            {"Status": "Failed", "Completions": "0/1 of 2"},
        ),
        (
            kinds.CRONJOBS,
            {"spec": {"schedule": "@daily"}},
            {"Suspend": "False", "Active": 0, "Last Schedule": "<none>", "Timezone": "<none>"},
        ),
        (
            kinds.ENDPOINTS,
            {"subsets": [{"addresses": [{"ip": f"10.0.0.{n}"} for n in range(5)], "ports": [{"port": 1}]}]},
            {"Endpoints": "10.0.0.0:1,10.0.0.1:1,10.0.0.2:1 + 2 more..."},
        ),
        (
            kinds.HPAS_V2,
            {
                "spec": {
                    "scaleTargetRef": {"kind": "D", "name": "x"},
                    "maxReplicas": 3,
                    "metrics": [
                        {"type": "Resource", "resource": {"name": "cpu", "target": {"averageUtilization": 80}}}
                    ],
                },
                "status": {
                    "currentMetrics": [
                        {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 10}}}
                    ]
                },
            },
            {"Targets": "cpu: 10%/80%"},
        ),
        (
            kinds.EVENTS,
            {
                "involvedObject": {"kind": "Pod", "name": "p"},
                "lastTimestamp": "2026-01-01T00:59:30Z",
                "count": 4,
                "message": "m\n",
            },
            {"Last Seen": "30s", "Object": "pod/p", "Count": 4, "Message": "m"},
        ),
        (
            kinds.PERSISTENTVOLUMECLAIMS,
            {
                "spec": {"volumeName": "v"},
                "status": {"phase": "Bound", "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"]},
            },
            {"Status": "Bound", "Capacity": "1Gi", "Access Modes": "RWO"},
        ),
        (
            kinds.RESOURCEQUOTAS,
            {"status": {"hard": {"pods": "2", "limits.cpu": "1"}, "used": {"pods": "1"}}},
            {"Request": "pods: 1/2", "Limit": "limits.cpu: 0/1"},
        ),
    ],
)
def test_each_kinds_cells_are_kubectls(resource, obj, cells):
    shown = row(resource, obj)
    assert {title: shown[title] for title in cells} == cells


@pytest.mark.parametrize("resource", kinds.BUILT_IN, ids=str)
def test_every_kind_prints_even_when_almost_empty(resource):
    assert row(resource, {})


def test_custom_columns_follow_their_paths(widgets):
    obj = {"spec": {"size": 3}, "status": {"conditions": [{"type": "Other"}, {"type": "Ready", "status": "True"}]}}
    assert row(widgets, obj) == {"Name": "x", "Size": 3, "Ready": "True"}
    assert row(widgets, {}) == {"Name": "x", "Size": None, "Ready": None}


def test_rows_carry_metadata_the_object_or_nothing():
    obj = {"metadata": CREATED, "spec": {}}
    rows = {
        include: printers.table(kinds.PODS, [obj], now=NOW, include_object=include)["rows"][0].get("object")
        for include in ("None", "Metadata", "Object")
    }
    assert rows["None"] is None and rows["Object"] is obj
    assert rows["Metadata"] == {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": CREATED}
