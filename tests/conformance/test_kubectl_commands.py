"""kubectl commands that change or explain objects: edit, set, autoscale, expose, delete, wait, kustomize, proxy."""

from __future__ import annotations

import json
import subprocess
import textwrap
import urllib.request

import pytest

CREATE = ("create", "deployment", "web", "--image=registry.test/app:1", "--replicas=2")


@pytest.fixture
def run(kubectl, namespace):
    """kubectl in the test's namespace."""

    def call(*arguments: str, stdin: str = "") -> str:
        return kubectl("-n", namespace, *arguments, stdin=stdin)

    call(*CREATE)
    call("rollout", "status", "deploy/web", "--timeout=60s")
    return call


def test_edit_saves_what_the_editor_wrote_and_refuses_what_is_wrong(run, kubectl, namespace, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/replicas: 2/replicas: 5/; s/app: web$/app: web/' \"$1\"\n")
    editor.chmod(0o755)
    kubectl.editor = str(editor)
    assert "deployment.apps/web edited" in run("edit", "deployment", "web")
    assert run("get", "deployment", "web", "-o", "jsonpath={.spec.replicas}") == "5"
    assert "Edit cancelled, no changes made" in kubectl.run("-n", namespace, "edit", "deployment", "web").stderr
    editor.write_text("#!/bin/sh\nsed -i 's/replicas: 5/replicas: -1/' \"$1\"\n")
    refused = kubectl.refused("-n", namespace, "edit", "deployment", "web")
    assert 'deployments.apps "web" is invalid' in refused and "no valid changes were saved" in refused


def test_set_changes_the_template_and_rolls_out(run):
    run("set", "env", "deploy/web", "COLOUR=red", "--containers=app")
    run("set", "resources", "deploy/web", "--limits=cpu=200m,memory=64Mi", "--requests=cpu=1m,memory=1Mi")
    run("create", "serviceaccount", "robot")
    run("set", "serviceaccount", "deploy/web", "robot")
    run("rollout", "status", "deploy/web", "--timeout=60s")
    assert run("set", "env", "deploy/web", "--list").splitlines()[-1] == "COLOUR=red"
    pods = json.loads(run("get", "pods", "-l", "app=web", "-o", "json"))["items"]
    live = [pod["spec"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    assert {spec["serviceAccountName"] for spec in live} == {"robot"}
    assert {spec["containers"][0]["resources"]["limits"]["memory"] for spec in live} == {"64Mi"}
    run("set", "env", "deploy/web", "COLOUR-")
    assert run("get", "deploy/web", "-o", "jsonpath={.spec.template.spec.containers[0].env}") == ""


def test_expose_and_autoscale_make_their_objects(run):
    run("expose", "deploy/web", "--port=80", "--target-port=8080", "--name=front")
    run("wait", "endpointslice", "-l", "kubernetes.io/service-name=front", "--for=jsonpath={.endpoints[1].addresses}")
    assert run("get", "svc", "front", "-o", "jsonpath={.spec.selector.app} {.spec.ports[0].targetPort}") == "web 8080"
    run("autoscale", "deploy/web", "--min=3", "--max=4", "--cpu-percent=80")
    run("wait", "hpa/web", "--for=jsonpath={.spec.minReplicas}=3", "--timeout=60s")
    run("wait", "deploy/web", "--for=jsonpath={.status.readyReplicas}=3", "--timeout=60s")


def test_delete_leaves_or_takes_what_is_owned_as_asked(run):
    run("delete", "deployment", "web", "--cascade=orphan")
    names = run("get", "rs", "-o", "name").split()
    assert len(names) == 1 and len(run("get", "pods", "-o", "name").split()) == 2
    assert run("get", *names, "-o", "jsonpath={.metadata.ownerReferences}") == ""
    run(*CREATE)  # adopts it
    run("wait", *names, "--for=jsonpath={.metadata.ownerReferences[0].name}=web", "--timeout=60s")
    assert len(run("get", "pods", "-o", "name").split()) == 2
    run("delete", "deployment", "web", "--cascade=foreground", "--timeout=60s")
    assert run("get", "rs,pods", "-o", "name") == ""


def test_replace_force_makes_a_new_object(run):
    before = json.loads(run("get", "deployment", "web", "-o", "json"))
    changed = {**before, "spec": {**before["spec"], "selector": {"matchLabels": {"app": "other"}}}}
    changed["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    changed["metadata"] = {"name": "web"}
    run("replace", "--force", "--grace-period=0", "-f", "-", stdin=json.dumps(changed))
    after = json.loads(run("get", "deployment", "web", "-o", "json"))
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["spec"]["selector"]["matchLabels"] == {"app": "other"}


@pytest.mark.parametrize(
    ("condition", "act"),
    [
        ("condition=Available=false", ("set", "image", "deploy/web", "app=registry.test/app:1")),
        ("delete", ("delete", "deployment", "web", "--wait=false")),
        ("create", ("create", "deployment", "late", "--image=registry.test/app:1")),
        ("jsonpath={.spec.replicas}=1", ("scale", "deploy/web", "--replicas=1")),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_wait_returns_when_it_happens(run, kubectl, namespace, condition, act):
    name = "late" if condition == "create" else "web"
    if condition.startswith("condition"):
        condition = "condition=Available"
    waiting = subprocess.Popen(
        kubectl.command("-n", namespace, "wait", f"deployment/{name}", f"--for={condition}", "--timeout=60s"),
        env=kubectl.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    run(*act)
    said = waiting.communicate(timeout=25)[0]
    assert waiting.returncode == 0, said


def test_labels_annotations_and_taints_come_and_go(run, kubectl, namespace):
    run("label", "deployment", "web", "tier=front")
    assert "already has a value" in kubectl.refused("-n", namespace, "label", "deployment", "web", "tier=back")
    run("label", "deployment", "web", "tier=back", "--overwrite")
    run("annotate", "deployment", "web", "note=a long story")
    assert "a long story" in run("describe", "deployment", "web")
    run("label", "deployment", "web", "tier-")
    assert run("get", "deployment", "-l", "tier", "-o", "name") == ""
    kubectl("taint", "node", "node-a", "trial=yes:NoSchedule")
    assert "trial=yes:NoSchedule" in kubectl("describe", "node", "node-a")
    kubectl("taint", "node", "node-a", "trial-")
    assert "not found" in kubectl.refused("taint", "node", "node-a", "trial-")


def test_rollouts_pause_resume_and_keep_their_history(run):
    run("rollout", "pause", "deploy/web")
    run("set", "image", "deploy/web", "app=registry.test/app:2")
    assert run("get", "rs", "-o", "name").count("replicaset") == 1
    run("rollout", "resume", "deploy/web")
    run("rollout", "status", "deploy/web", "--timeout=60s")
    assert "registry.test/app:2" in run("rollout", "history", "deploy/web", "--revision=2")
    run("rollout", "undo", "deploy/web")
    run("rollout", "status", "deploy/web", "--timeout=60s")
    assert run("get", "deploy/web", "-o", "jsonpath={.spec.template.spec.containers[0].image}") == "registry.test/app:1"
    assert "ScalingReplicaSet" in run("events", "--for", "deployment/web")


def test_explain_auth_and_resources_tell_what_there_is(kubectl, namespace):
    explained = kubectl("explain", "statefulset.spec.template.spec", "--recursive")
    assert "topologySpreadConstraints" in explained and "ephemeralContainers" in explained
    assert "FIELD: cpu" not in kubectl("explain", "hpa", "--api-version=autoscaling/v1")
    listed = kubectl("auth", "can-i", "--list", "--as=nobody", "-n", namespace)
    assert "selfsubjectaccessreviews.authorization.k8s.io" in listed and "[*]" not in listed.split("/api")[0]
    wide = kubectl("api-resources", "--namespaced=true", "--verbs=list,watch", "-o", "wide")
    assert "deletecollection" in wide and "namespaces " not in wide
    assert kubectl("api-resources", "--cached=false", "--api-group=batch", "-o", "name").split() == [
        "cronjobs.batch", "jobs.batch",
    ]  # fmt: skip
    assert "kind: Status" not in kubectl("cluster-info")


def test_kustomize_builds_and_applies(kubectl, namespace, tmp_path):
    (tmp_path / "kustomization.yaml").write_text(
        textwrap.dedent(
            f"""
            namespace: {namespace}
            namePrefix: pre-
            labels: [{{pairs: {{made: by-kustomize}}}}]
            configMapGenerator: [{{name: settings, literals: [a=1]}}]
            """
        )
    )
    kubectl("apply", "-k", str(tmp_path))
    made = kubectl("-n", namespace, "get", "cm", "-l", "made=by-kustomize", "-o", "name")
    assert made.startswith("configmap/pre-settings-")
    kubectl("apply", "-k", str(tmp_path), "--prune", "-l", "made=by-kustomize")
    kubectl("delete", "-k", str(tmp_path))


def test_proxy_opens_the_api_on_this_machine(kubectl):
    proxy = subprocess.Popen(
        kubectl.command("proxy", "--port=0"), env=kubectl.environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        address = proxy.stdout.readline().rsplit(" ", 1)[1].strip()
        with urllib.request.urlopen(f"http://{address}/api/v1/namespaces/default", timeout=60) as answer:
            assert json.load(answer)["kind"] == "Namespace"
    finally:
        proxy.terminate()
        proxy.wait(60)
        proxy.stdout.close()


def test_debug_adds_a_container_to_a_pod_and_to_a_copy_of_it(run):
    pod = run("get", "pods", "-o", "name").split()[0]
    run("debug", pod, "--image=registry.test/tools:1", "--container=lens")
    run("wait", pod, "--for=jsonpath={.status.ephemeralContainerStatuses[0].state.running}", "--timeout=60s")
    assert run("get", pod, "-o", "jsonpath={.spec.ephemeralContainers[*].name}") == "lens"
    run("debug", pod, "--image=registry.test/tools:1", "--copy-to=copy", "--container=tools")
    run("wait", "pod/copy", "--for=condition=Ready", "--timeout=60s")
    assert run("get", "pod", "copy", "-o", "jsonpath={.spec.containers[*].name}") == "app tools"
