"""kubectl over plain objects: read, write, patch, apply, delete, wait, watch."""

from __future__ import annotations

import json
import subprocess
import textwrap

import pytest


def manifest(text: str) -> str:
    return textwrap.dedent(text).lstrip()


DEPLOYMENT = manifest(
    """
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: web}
    spec:
      replicas: 2
      selector: {matchLabels: {app: web}}
      template:
        metadata: {labels: {app: web}}
        spec:
          containers:
          - {name: c, image: "registry.test/app:1", env: [{name: A, value: "1"}]}
    """
)


def read(kubectl, namespace: str, *what: str) -> dict:
    return json.loads(kubectl("-n", namespace, "get", *what, "-o", "json"))


def test_get_prints_tables_yaml_json_names_jsonpath_and_columns(kubectl, namespace):
    kubectl("-n", namespace, "create", "configmap", "settings", "--from-literal=a=1", "--from-literal=b=2")
    lines = kubectl("-n", namespace, "get", "configmap", "settings").splitlines()
    assert lines[0].split() == ["NAME", "DATA", "AGE"] and lines[1].split()[:2] == ["settings", "2"]
    assert kubectl("-n", namespace, "get", "cm", "settings", "-o", "jsonpath={.data.b}") == "2"
    columns = kubectl("-n", namespace, "get", "cm", "settings", "-o", "custom-columns=N:.metadata.name,A:.data.a")
    assert columns.splitlines()[1].split() == ["settings", "1"]
    assert "configmap/settings" in kubectl("get", "cm", "-A", "-o", "name")
    assert "kind: ConfigMap" in kubectl("-n", namespace, "get", "cm", "settings", "-o", "yaml")


def test_selectors_choose_by_label_and_field(kubectl, namespace):
    for name, labels in (("a", "tier=web,env=test"), ("b", "tier=db"), ("c", "env=test")):
        kubectl("-n", namespace, "create", "configmap", name)
        kubectl("-n", namespace, "label", "configmap", name, *labels.split(","))

    def names(*arguments: str) -> list[str]:
        listed = kubectl("-n", namespace, "get", "cm", "-o", "name", *arguments).split()
        return [name.partition("/")[2] for name in listed if not name.endswith("kube-root-ca.crt")]

    assert names("-l", "tier=web") == ["a"]
    assert names("-l", "tier in (web,db)") == ["a", "b"]
    assert names("-l", "env,tier notin (web)") == ["c"]
    assert names("--field-selector", "metadata.name!=a", "-l", "env") == ["c"]
    assert 'field label not supported: "spec.x"' in kubectl.refused("get", "cm", "--field-selector", "spec.x=1")


@pytest.mark.parametrize(
    ("kind", "patch", "path", "expected"),
    [
        ("strategic", {"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "x:1"}]}}}},
         "{.spec.template.spec.containers[*].name}", "d c"),
        ("merge", {"spec": {"replicas": 7}}, "{.spec.replicas}", "7"),
        ("json", [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "x:2"}],
         "{.spec.template.spec.containers[0].image}", "x:2"),
    ],
)  # fmt: skip
def test_patches_of_every_type_change_what_they_say(kubectl, namespace, kind, patch, path, expected):
    kubectl("-n", namespace, "apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("-n", namespace, "patch", "deployment", "web", "--type", kind, "-p", json.dumps(patch))
    assert kubectl("-n", namespace, "get", "deployment", "web", "-o", f"jsonpath={path}") == expected


def test_apply_keeps_what_others_set_and_removes_what_it_set_before(kubectl, namespace):
    kubectl("-n", namespace, "apply", "-f", "-", stdin=DEPLOYMENT)
    kubectl("-n", namespace, "scale", "deployment", "web", "--replicas=5")
    kubectl("-n", namespace, "annotate", "deployment", "web", "other=kept")
    without = DEPLOYMENT.replace("  replicas: 2\n", "").replace(', env: [{name: A, value: "1"}]', "")
    kubectl("-n", namespace, "apply", "-f", "-", stdin=without)
    found = read(kubectl, namespace, "deployment", "web")
    assert found["metadata"]["annotations"]["other"] == "kept"
    assert "env" not in found["spec"]["template"]["spec"]["containers"][0]
    assert "unchanged" in kubectl("-n", namespace, "apply", "-f", "-", stdin=without)


def test_diff_shows_the_change_and_makes_none(kubectl, namespace):
    kubectl("-n", namespace, "apply", "-f", "-", stdin=DEPLOYMENT)
    done = kubectl.run("-n", namespace, "diff", "-f", "-", stdin=DEPLOYMENT.replace("app:1", "app:2"))
    assert done.returncode == 1 and "image: registry.test/app:2" in done.stdout
    image = read(kubectl, namespace, "deployment", "web")["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "registry.test/app:1"


def test_server_side_apply_refuses_to_take_anothers_field_until_forced(kubectl, namespace):
    apply = ("-n", namespace, "apply", "--server-side", "-f", "-")
    kubectl(*apply, "--field-manager=one", stdin=DEPLOYMENT)
    theirs = DEPLOYMENT.replace("replicas: 2", "replicas: 4")
    assert 'conflict with "one": .spec.replicas' in kubectl.refused(*apply, "--field-manager=two", stdin=theirs)
    kubectl(*apply, "--field-manager=two", "--force-conflicts", stdin=theirs)
    assert read(kubectl, namespace, "deployment", "web")["spec"]["replicas"] == 4
    kubectl(*apply, "--field-manager=one", stdin=DEPLOYMENT.replace("  replicas: 2\n", ""))
    assert read(kubectl, namespace, "deployment", "web")["spec"]["replicas"] == 4


def test_replace_of_a_stale_version_conflicts(kubectl, namespace):
    kubectl("-n", namespace, "create", "configmap", "c", "--from-literal=a=1")
    stale = read(kubectl, namespace, "configmap", "c")
    kubectl("-n", namespace, "label", "configmap", "c", "moved=on")
    stale["data"]["a"] = "2"
    error = kubectl.refused("-n", namespace, "replace", "-f", "-", stdin=json.dumps(stale))
    assert "the object has been modified; please apply your changes to the latest version" in error


def test_bad_objects_are_refused_with_every_field_named(kubectl, namespace):
    bad = DEPLOYMENT.replace("replicas: 2", "replicas: -1").replace("name: c,", "name: C_,")
    error = kubectl.refused("-n", namespace, "create", "-f", "-", stdin=bad)
    assert "spec.replicas" in error and "spec.template.spec.containers[0].name" in error
    unknown = DEPLOYMENT.replace("replicas: 2", "replicsa: 2")
    assert 'unknown field "spec.replicsa"' in kubectl.refused("-n", namespace, "create", "-f", "-", stdin=unknown)


def test_dry_run_answers_and_leaves_nothing(kubectl, namespace):
    answer = kubectl("-n", namespace, "create", "-f", "-", "--dry-run=server", "-o", "yaml", stdin=DEPLOYMENT)
    assert "progressDeadlineSeconds: 600" in answer and "uid:" in answer
    assert "not found" in kubectl.refused("-n", namespace, "get", "deployment", "web")


@pytest.mark.parametrize(
    "what",
    [
        ("deployment", "d", "--image=x:1"), ("secret", "generic", "s", "--from-literal=a=b"), ("sa", "robot"),
        ("job", "j", "--image=x:1", "--", "true"), ("cronjob", "cj", "--image=x:1", "--schedule=* * * * *"),
        ("quota", "q", "--hard=pods=9"), ("pdb", "p", "--selector=a=b", "--min-available=1"),
        ("role", "r", "--verb=get", "--resource=pods"), ("rolebinding", "rb", "--clusterrole=view", "--user=u"),
        ("ingress", "i", "--rule=a.test/*=s:80"), ("service", "clusterip", "svc", "--tcp=80:8080"),
        ("token", "default"),
    ],
    ids=lambda what: what[0],
)  # fmt: skip
def test_create_makes_each_kind_it_knows(kubectl, what):
    kubectl("-n", "default", "create", *what)
    if what[0] not in ("token",):
        name = what[2] if what[0] in ("secret", "service") else what[1]
        kubectl("-n", "default", "delete", what[0], name, "--wait=false")


def test_explain_and_api_resources_know_the_kinds(kubectl):
    assert "FIELD: replicas <integer>" in kubectl("explain", "deployment.spec.replicas")
    listed = kubectl("api-resources", "-o", "name").split()
    assert {"pods", "deployments.apps", "horizontalpodautoscalers.autoscaling"} <= set(listed)
    assert "apps/v1" in kubectl("api-versions").split()


def test_wait_returns_when_the_condition_holds(kubectl, namespace):
    kubectl("-n", namespace, "create", "configmap", "c")
    waiting = subprocess.Popen(
        kubectl.command("-n", namespace, "wait", "cm/c", "--for=jsonpath={.data.done}=yes", "--timeout=60s"),
        stdout=subprocess.PIPE, text=True, env=kubectl.environment(),
    )  # fmt: skip
    kubectl("-n", namespace, "patch", "cm", "c", "-p", '{"data": {"done": "yes"}}')
    assert "condition met" in waiting.communicate(timeout=25)[0]


def test_watch_misses_none_of_a_thousand_changes(cluster, kubectl, namespace):
    kubectl("-n", namespace, "create", "configmap", "c", "--from-literal=n=-1")
    watching = subprocess.Popen(
        kubectl.command("-n", namespace, "get", "cm", "c", "-w", "-o", "jsonpath={.data.n}{'\\n'}"),
        stdout=subprocess.PIPE, text=True, env=kubectl.environment(),
    )  # fmt: skip
    assert watching.stdout is not None and watching.stdout.readline() == "-1\n"
    change_a_thousand_times(cluster, namespace)
    seen = [int(watching.stdout.readline()) for _ in range(1000)]
    watching.terminate()
    assert seen == list(range(1000))


def change_a_thousand_times(cluster, namespace: str) -> None:
    import asyncio

    from orchestrator.http_client import HttpClient
    from orchestrator.objects.kinds import CONFIGMAPS

    async def change() -> None:
        async with HttpClient.from_kubeconfig(cluster.kubeconfig) as client:
            for number in range(1000):
                await client.patch(CONFIGMAPS, "c", namespace, patch={"data": {"n": str(number)}})

    asyncio.run(change())


def test_auth_can_i_tells_the_truth(kubectl, namespace):
    kubectl("-n", namespace, "create", "sa", "robot")
    kubectl("-n", namespace, "create", "rolebinding", "rb", "--clusterrole=view", f"--serviceaccount={namespace}:robot")
    robot = f"--as=system:serviceaccount:{namespace}:robot"
    assert kubectl("auth", "can-i", "list", "pods", "-n", namespace, robot).strip() == "yes"
    assert kubectl.run("auth", "can-i", "list", "secrets", "-n", namespace, robot).stdout.strip() == "no"
    assert kubectl.run("auth", "can-i", "list", "pods", "-n", "default", robot).stdout.strip() == "no"
    assert "kubernetes-admin" in kubectl("auth", "whoami")


def test_a_token_is_an_identity(cluster, kubectl, namespace):
    kubectl("-n", namespace, "create", "sa", "robot")
    token = kubectl("-n", namespace, "create", "token", "robot").strip()
    plain = cluster.folder / "plain.kubeconfig"
    text = cluster.kubeconfig.read_text()
    kept = [
        line for line in text.splitlines() if "client-certificate-data" not in line and "client-key-data" not in line
    ]
    plain.write_text("\n".join(kept).replace("  user:\n", "  user: {}\n", 1))
    done = subprocess.run(
        [kubectl.path, f"--kubeconfig={plain}", f"--token={token}", "-n", namespace, "get", "pods"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert f'User "system:serviceaccount:{namespace}:robot" cannot list resource "pods"' in done.stderr
