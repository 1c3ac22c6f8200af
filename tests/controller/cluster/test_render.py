"""Objects out of a wish: names, labels and rules of docs/architecture.md."""

import base64
import json
from dataclasses import replace

import pytest

from controller.cluster.processes import port_of, quantity, resources_of
from controller.cluster.render import registry_of, render, render_run
from controller.cluster.wish import Platform, ReleaseWish, Wish

RELEASE = ReleaseWish(
    version=7,
    summary="bob deployed a1b2c3d",
    created="2026-01-02T03:04:05Z",
    kind="buildpack",
    image="127.0.0.1:5000/blue@sha256:1",
    sha="a1b2c3d4",
    procfile={"web": "python app.py", "worker": "python work.py"},
    ports=None,
    values={"GREETING": "hi"},
    memory={},
    cpu={},
    tags={},
    registry={},
    healthcheck={},
    termination_grace_period={},
    lifecycle_post_start={},
    lifecycle_pre_stop={},
)
WISH = Wish(
    app="blue",
    platform=Platform("paas.localhost", "127.0.0.1:5000", "paas", "secret"),
    structure={"web": 2, "worker": 1},
    domains=(("blue", None), ("www.example.test", "www")),
    certificates=(("www", "CERT", "KEY"),),
    release=RELEASE,
)


def release(**changes):
    return replace(WISH, release=replace(RELEASE, **changes))


def find(wish, kind, name):
    return next(m for m in render(wish) if (m["kind"], m["metadata"]["name"]) == (kind, name))


def container(wish, kind="web"):
    return find(wish, "Deployment", f"blue-{kind}")["spec"]["template"]["spec"]["containers"][0]


def environment(wish):
    data = find(wish, "Secret", "blue-v7-env")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_every_object_says_whose_it_is():
    for manifest in render(WISH):
        labels = manifest["metadata"]["labels"]
        assert (labels["app"], labels["heritage"]) == ("blue", "deis")
        assert manifest["kind"] == "Namespace" or manifest["metadata"]["namespace"] == "blue"


def test_rendering_twice_gives_the_same_bytes():
    assert json.dumps(render(WISH)) == json.dumps(render(WISH))


def test_an_app_without_a_build_has_a_place_and_a_route():
    kinds = [m["kind"] for m in render(replace(WISH, release=None, certificates=()))]
    assert kinds == ["Namespace", "Secret", "Service"]


def test_scaling_changes_replicas_and_nothing_else():
    more = find(replace(WISH, structure={"web": 9, "worker": 1}), "Deployment", "blue-web")
    before = find(WISH, "Deployment", "blue-web")
    assert more["spec"].pop("replicas") == 9
    before["spec"].pop("replicas")
    assert more == before


def test_pods_carry_type_and_version():
    template = find(WISH, "Deployment", "blue-web")["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "blue", "heritage": "deis", "type": "web", "version": "v7"}


def test_the_environment_is_the_platforms_then_the_apps():
    assert environment(WISH) == {
        "DEIS_APP": "blue",
        "WORKFLOW_RELEASE": "v7",
        "WORKFLOW_RELEASE_SUMMARY": "bob deployed a1b2c3d",
        "WORKFLOW_RELEASE_CREATED_AT": "2026-01-02T03:04:05Z",
        "SOURCE_VERSION": "a1b2c3d4",
        "PORT": "5000",
        "GREETING": "hi",
    }
    assert environment(release(values={"PORT": "8080", "DEIS_APP": "mine"}))["DEIS_APP"] == "mine"
    assert find(WISH, "Secret", "blue-v7-env")["immutable"] is True


def test_values_reach_no_object_but_the_secret():
    others = [m for m in render(release(values={"PASSWORD": "hunter2"})) if m["kind"] != "Secret"]
    assert "hunter2" not in json.dumps(others)


@pytest.mark.parametrize(
    ("changes", "kind", "command"),
    [
        ({}, "web", {"command": ["/runner/init"], "args": ["start", "web"]}),
        ({"kind": "dockerfile", "procfile": {}}, "cmd", {}),
        ({"kind": "image", "procfile": {"cmd": "serve  -v"}}, "cmd", {"args": ["serve", "-v"]}),
        ({"kind": "image", "procfile": {"web": "a; b"}}, "web", {"command": ["/bin/bash", "-c"], "args": ["a; b"]}),
        (
            {"kind": "image", "procfile": {"web": "echo $$ $(PORT)"}},
            "web",
            {"command": ["/bin/bash", "-c"], "args": ["echo $$$$ $$(PORT)"]},
        ),
    ],
)
def test_commands(changes, kind, command):
    spec = container(replace(release(**changes), structure={kind: 1}), kind)
    assert {key: spec[key] for key in ("command", "args") if key in spec} == command


@pytest.mark.parametrize(
    ("changes", "port"),
    [
        ({}, 5000),
        ({"values": {"PORT": "80"}}, 80),
        ({"kind": "dockerfile", "ports": [8080, 9090]}, 8080),
        ({"kind": "dockerfile", "ports": []}, None),
        ({"kind": "image", "ports": [8080], "values": {"PORT": "99"}}, 99),
    ],
)
def test_ports(changes, port):
    assert port_of(replace(RELEASE, **changes)) == port


def test_only_routed_types_are_probed_by_default():
    assert container(WISH)["readinessProbe"]["tcpSocket"] == {"port": 5000}
    assert container(WISH)["readinessProbe"]["periodSeconds"] == 1
    assert "readinessProbe" not in container(WISH, "worker")
    assert find(WISH, "Deployment", "blue-worker")["spec"]["minReadySeconds"] == 3


def test_own_healthchecks_win_and_web_cmd_stands_in():
    probe = {"httpGet": {"path": "/up"}}
    spec = container(release(healthcheck={"web/cmd": {"livenessProbe": probe}}))
    assert spec["livenessProbe"]["httpGet"] == {"port": 5000, "path": "/up"}
    assert "readinessProbe" not in spec
    own = container(release(healthcheck={"web/cmd": {"livenessProbe": probe}, "web": {}}))
    assert "livenessProbe" not in own


def test_routed_pods_drain_before_they_stop():
    assert container(WISH)["lifecycle"] == {"preStop": {"sleep": {"seconds": 3}}}
    assert "lifecycle" not in container(WISH, "worker")
    own = container(release(lifecycle_pre_stop={"web": "bye"}, lifecycle_post_start={"web": "hello"}))["lifecycle"]
    assert own["preStop"]["exec"]["command"][-1] == "bye"
    assert own["postStart"]["exec"]["command"][-1] == "hello"


def test_a_new_pod_comes_before_an_old_one_goes():
    strategy = find(WISH, "Deployment", "blue-web")["spec"]["strategy"]["rollingUpdate"]
    assert strategy == {"maxSurge": 1, "maxUnavailable": 0}
    batches = release(values={"DEIS_DEPLOY_BATCHES": "4"})
    assert find(batches, "Deployment", "blue-web")["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 4


@pytest.mark.parametrize(
    ("grace", "values", "seconds"),
    [
        ({}, {}, 30),
        ({"web": "5"}, {"KUBERNETES_POD_TERMINATION_GRACE_PERIOD_SECONDS": "60"}, 5),
        ({}, {"KUBERNETES_POD_TERMINATION_GRACE_PERIOD_SECONDS": "60"}, 60),
    ],
)
def test_grace(grace, values, seconds):
    wish = release(termination_grace_period=grace, values=values)
    spec = find(wish, "Deployment", "blue-web")["spec"]["template"]["spec"]
    assert spec["terminationGracePeriodSeconds"] == seconds


@pytest.mark.parametrize(
    ("text", "result"),
    [("64M", "64Mi"), ("1GB", "1Gi"), ("512k", "512Ki"), ("100B", "100"), ("0", "0"), ("2G", "2Gi"), ("8mb", "8Mi")],
)
def test_memory_in_both_tongues(text, result):
    assert quantity(text) == result


def test_limits_and_requests():
    wished = replace(RELEASE, memory={"web": "64M/128M"}, cpu={"web": "0.5"})
    assert resources_of(wished, "web") == {
        "limits": {"memory": "128Mi", "cpu": "0.5"},
        "requests": {"memory": "64Mi"},
    }
    assert resources_of(wished, "worker") == {}


def test_containers_get_no_token_and_no_extra_rights():
    spec = find(WISH, "Deployment", "blue-web")["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert container(WISH)["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    foreign = release(kind="image", procfile={"web": "x"})
    assert container(foreign)["securityContext"] == {"allowPrivilegeEscalation": False}


def test_tags_choose_nodes():
    spec = find(release(tags={"disk": "ssd"}), "Deployment", "blue-web")["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"disk": "ssd"}


def test_the_route_names_domains_and_certificates():
    service = find(WISH, "Service", "blue")
    assert service["metadata"]["labels"]["router.deis.io/routable"] == "true"
    assert service["metadata"]["annotations"] == {
        "router.deis.io/domains": "blue,www.example.test",
        "router.deis.io/certificates": "www.example.test:www",
    }
    assert service["spec"]["selector"] == {"app": "blue", "type": "web"}
    assert service["spec"]["ports"][0]["targetPort"] == 5000


@pytest.mark.parametrize(
    ("structure", "kind"),
    [({"web": 1, "cmd": 1}, "web"), ({"web": 0, "cmd": 1}, "cmd"), ({"cmd": 0}, "cmd"), ({}, "web"), ({"x": 1}, "web")],
)
def test_traffic_goes_to_web_unless_only_cmd_runs(structure, kind):
    service = find(replace(release(kind="image", procfile={}), structure=structure), "Service", "blue")
    assert service["spec"]["selector"]["type"] == kind


def test_pull_credentials_of_the_platform_and_of_the_app():
    wish = release(image="registry.example.test/team/app:1", registry={"username": "u", "password": "p"})
    document = base64.b64decode(find(wish, "Secret", "registry-pull")["data"][".dockerconfigjson"])
    auths = json.loads(document)["auths"]
    assert set(auths) == {"127.0.0.1:5000", "registry.example.test"}
    assert auths["registry.example.test"]["username"] == "u"


@pytest.mark.parametrize(
    ("image", "registry"),
    [("busybox", "docker.io"), ("team/app:1", "docker.io"), ("localhost/x", "localhost"), ("r:5000/x", "r:5000")],
)
def test_registries_of_images(image, registry):
    assert registry_of(image) == registry


def test_a_one_off_pod_runs_once_with_the_releases_environment():
    pod = render_run(WISH, "blue-run-abcde", "python -V $(id) $$", 1200)
    assert pod["spec"]["restartPolicy"] == "Never"
    assert pod["spec"]["activeDeadlineSeconds"] == 1200
    spec = pod["spec"]["containers"][0]
    assert (spec["command"], spec["args"]) == (["/runner/init"], ["python -V $$(id) $$$$"])
    assert spec["envFrom"] == [{"secretRef": {"name": "blue-v7-env"}}]


def test_a_restart_is_remembered_in_the_template():
    restarted = find(replace(WISH, restarts={"web": "now"}), "Deployment", "blue-web")["spec"]["template"]
    assert restarted["metadata"]["annotations"] == {"deis.io/restartedAt": "now"}


@pytest.mark.parametrize(
    ("wished", "policy"), [("Always", "Always"), ("Never", "Never"), ("always", "IfNotPresent"), (None, "IfNotPresent")]
)
def test_images_are_pulled_as_the_app_wishes(wished, policy):
    values = {"IMAGE_PULL_POLICY": wished} if wished else {}
    assert container(release(values=values))["imagePullPolicy"] == policy


def test_an_app_may_know_its_pods_address():
    assert "env" not in container(WISH)
    exposed = container(release(values={"DEIS_EXPOSE_POD_IP": "true"}))["env"]
    assert exposed == [{"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]


@pytest.mark.parametrize("text", ["", "x", "-1", "\u00b2", "1.5"])
def test_variables_that_hold_no_number_are_as_if_not_set(text):
    names = ("KUBERNETES_DEPLOYMENTS_REVISION_HISTORY_LIMIT", "KUBERNETES_POD_TERMINATION_GRACE_PERIOD_SECONDS",
             "DEIS_DEPLOY_BATCHES", "DEIS_DEPLOY_TIMEOUT")  # fmt: skip
    plain, odd = WISH, release(values=dict.fromkeys(names, text))
    for wish in (plain, odd):
        assert find(wish, "Deployment", "blue-web")["spec"]["revisionHistoryLimit"] == 3
    template = find(odd, "Deployment", "blue-web")["spec"]
    wished = find(plain, "Deployment", "blue-web")["spec"]
    assert template == wished


def test_variables_that_hold_a_number_count_and_enormous_ones_are_cut():
    def spec(text):
        names = ("KUBERNETES_DEPLOYMENTS_REVISION_HISTORY_LIMIT", "DEIS_DEPLOY_BATCHES", "DEIS_DEPLOY_TIMEOUT")
        return find(release(values=dict.fromkeys(names, text)), "Deployment", "blue-web")["spec"]

    assert spec("7")["revisionHistoryLimit"] == 7
    assert spec("7")["strategy"]["rollingUpdate"]["maxSurge"] == 7
    assert spec("200")["progressDeadlineSeconds"] == 210
    enormous = spec("9" * 5000)
    assert enormous["revisionHistoryLimit"] == enormous["strategy"]["rollingUpdate"]["maxSurge"] == 1000
    assert enormous["progressDeadlineSeconds"] == 24 * 3600 + 10
