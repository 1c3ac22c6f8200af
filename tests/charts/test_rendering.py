"""What the chart makes of its values: valid objects, hardened pods, names that fit together."""

from __future__ import annotations

import base64
import json

import kubernetes_validate
import pytest

from tests.charts.rendering import CASES, CHART, FULL, SCHEMA, VALUES, containers, helm, objects, pods, rendered

STABLE = {"v1", "apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1", "networking.k8s.io/v1", "policy/v1"}


@pytest.fixture(scope="module", params=CASES, ids=list(CASES))
def documents(request):
    return objects(CASES[request.param])


@pytest.mark.parametrize("case", CASES)
def test_the_chart_lints(case):
    report = helm.lint(str(CHART), CASES[case], strict=True)
    assert report["errors"] == [] and [entry for entry in report["messages"] if entry["severity"] > 1] == []


def test_every_object_is_valid_by_kubernetes_own_schemas(documents):
    problems = []
    for document in documents:
        try:
            kubernetes_validate.validate(document, "1.32", strict=True)
        except kubernetes_validate.ValidationError as exc:
            problems.append(f"{document['kind']} {document['metadata']['name']}: {list(exc.path)} {exc.message}")
    assert problems == [] and len(documents) > 30
    assert {document["apiVersion"] for document in documents} <= STABLE


def test_nothing_is_made_twice(documents):
    names = [
        (document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"])
        for document in documents
    ]
    assert len(names) == len(set(names))


def test_no_pod_runs_as_root_or_writes_to_its_image(documents):
    for name, spec in pods(documents):
        assert spec["securityContext"]["runAsNonRoot"] is True and spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(spec):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] and not security["allowPrivilegeEscalation"], name
            assert security["capabilities"] == {"drop": ["ALL"]}, name


def test_what_serves_is_probed_and_has_its_resources(documents):
    for name, spec in pods(documents):
        if not name.startswith(("Deployment", "StatefulSet", "DaemonSet")):
            continue
        for container in spec["containers"]:
            assert container["resources"]["requests"] and container["resources"]["limits"]["memory"], name
            if container.get("ports"):
                assert container["readinessProbe"] and container["livenessProbe"], name


def test_mounts_have_volumes_accounts_and_secrets_exist(documents):
    made = {(document["kind"], document["metadata"]["name"]) for document in documents}
    given = {"database", "redis", "more", "s3", "wildcard", "login"}
    for owner in documents:
        for name, spec in pods([owner]):
            volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
            claims = owner["spec"].get("volumeClaimTemplates", ())
            known = {*volumes, *(claim["metadata"]["name"] for claim in claims)}
            for container in containers(spec):
                assert {mount["name"] for mount in container.get("volumeMounts", ())} <= known, name
                for variable in container.get("env", ()):
                    if "valueFrom" in variable:
                        secret = variable["valueFrom"]["secretKeyRef"]["name"]
                        assert ("Secret", secret) in made or secret in given, (name, variable)
            if account := spec.get("serviceAccountName"):
                assert ("ServiceAccount", account) in made, name


def test_services_select_pods_and_name_their_ports(documents):
    for service in (document for document in documents if document["kind"] == "Service"):
        wanted = service["spec"]["selector"].items()
        found = [
            document["spec"]["template"]
            for document in documents
            if document["kind"] in ("Deployment", "StatefulSet")
            and wanted <= document["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert len(found) == 1, service["metadata"]["name"]
        ports = [port for container in found[0]["spec"]["containers"] for port in container.get("ports", ())]
        known = {port["name"] for port in ports} | {port["containerPort"] for port in ports}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= known, service["metadata"]["name"]


def test_clients_keep_their_own_addresses(documents):
    outside = [
        document["spec"]
        for document in documents
        if document.get("spec", {}).get("type") in ("LoadBalancer", "NodePort")
    ]
    assert len(outside) == 2 and all(spec["externalTrafficPolicy"] == "Local" for spec in outside)


def test_a_program_reads_only_the_secrets_that_are_its_own(documents):
    read = {}
    for name, spec in pods(documents):
        sources = [
            source for volume in spec.get("volumes", ()) for source in volume.get("projected", {}).get("sources", ())
        ]
        read[name.partition("/")[2]] = {item["key"] for source in sources for item in source["secret"]["items"]}
    assert read["paas-builder"] == {"builder.key", "registry.json"}
    assert read["paas-logger"] == {"builder.key"} and read["paas-router"] == set()
    assert read.get("paas-postgresql", {"postgresql-password"}) == {"postgresql-password"}
    assert "registry-tokens.key" not in read.get("paas-registry", set())


def secret(documents, name):
    found = next(
        document for document in documents if (document["kind"], document["metadata"]["name"]) == ("Secret", name)
    )
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def test_secrets_are_random_and_stay_when_the_release_goes():
    first, second = (secret(objects({}, anew=True), "paas-keys") for _ in range(2))
    random = first.keys() - {"registry-tokens.crt"}
    assert all(first[key] != second[key] and len(first[key]) >= 32 for key in random)
    assert json.loads(first["registry.json"])["username"] == "paas"
    assert first["redis-password"] in first["redis-url"] and first["redis-password"] in first["redis.conf"]
    assert first["postgresql-password"] in first["database-url"]
    assert "EC PRIVATE KEY" in first["registry-tokens.key"]
    kept = [document for document in objects({}) if document["kind"] == "Secret"]
    assert all(document["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for document in kept)
    assert secret(objects(FULL), "paas-admin") == {"username": "root", "password": "chosen-by-hand"}


def test_what_the_registry_signs_with_is_what_the_programs_take():
    keys = secret(objects({}), "paas-keys")
    from controller.registry_tokens import Signer, Wanted

    token = Signer(keys["registry-tokens.key"], keys["registry-tokens.crt"]).token("x", [Wanted("app", ("pull",))], 60)
    assert token.count(".") == 2


def test_the_notes_name_what_is_left_behind():
    notes = rendered({})["paas/templates/NOTES.txt"]
    for kind in ("claims", "paas-keys", "paas-admin", "heritage=deis"):
        assert kind in notes


def undescribed(schema, values, path=""):
    """Values that the schema doesn't know, and those of the schema without a default."""
    known = schema.get("properties", {})
    found = [f"{path}{name}" for name in values if name not in known]
    found += [f"{path}{name}" for name in known if name not in values and name != "global"]
    for name in known.keys() & values.keys():
        if known[name].get("properties") and not path.count(".") > 2 and not name == "settings" and name != "resources":
            found += undescribed(known[name], values[name], f"{path}{name}.")
    return found


def test_the_schema_describes_every_value_and_nothing_else():
    assert undescribed(SCHEMA, VALUES) == []


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"domian": "x"}, "domian"),
        ({"domain": "Not A Domain"}, "domain"),
        ({"controller": {"replicas": 0}}, "replicas"),
        ({"controller": {"replicas": "2"}}, "replicas"),
        ({"controller": {"settings": {"SMTP_ULR": "x"}}}, "SMTP_ULR"),
        ({"controller": {"settings": {"COLLECT_HOUR": 24}}}, "COLLECT_HOUR"),
        ({"registration": "open"}, "registration"),
        ({"router": {"service": {"type": "Loadbalancer"}}}, "type"),
        ({"router": {"service": {"httpPort": 0}}}, "httpPort"),
        ({"builder": {"deniedNetworks": ["here"]}}, "deniedNetworks"),
        ({"builder": {"settings": {"BUILD_MEMORY": "much"}}}, "BUILD_MEMORY"),
        ({"postgresql": {"storage": {"size": "big"}}}, "size"),
        ({"appUrlTemplate": "https://example.com"}, "appUrlTemplate"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_wrong_value_is_refused_by_its_name(values, told):
    with pytest.raises(helm.HelmError, match=told):
        rendered(values)


def test_what_an_outside_registry_needs_is_asked_for():
    with pytest.raises(helm.HelmError, match="registry.host is needed"):
        rendered({"registry": {"enabled": False, "credentialsSecret": "login"}})
    with pytest.raises(helm.HelmError, match="registry.credentialsSecret is needed"):
        rendered({"registry": {"enabled": False, "host": "registry.example.com"}})
