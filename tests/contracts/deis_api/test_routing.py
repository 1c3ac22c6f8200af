"""Sections 7, 8 and 9: settings, whitelist, TLS, paths, domains, certificates."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def route(cluster):
    return cluster.get("Service", "blue", "blue")["metadata"]


def test_settings_patch(blue, cluster):
    path = "/v2/apps/blue/settings/"
    settings = blue.get(path).json()
    assert set(settings) == {
        "uuid", "app", "owner", "maintenance", "routable", "whitelist", "autoscale", "label", "created", "updated",
    }  # fmt: skip
    assert (settings["maintenance"], settings["routable"], settings["whitelist"]) == (False, True, [])
    changed = blue.post(path, {"maintenance": True})
    assert (changed.status_code, changed.json()["maintenance"]) == (201, True)
    assert route(cluster)["annotations"]["router.deis.io/maintenance"] == "true"
    same = blue.post(path, {"maintenance": True})
    assert (same.status_code, same.json()) == (409, {"detail": "bob changed nothing"})
    assert blue.post(path, {"routable": False, "maintenance": None}).json()["maintenance"] is True
    assert route(cluster)["labels"]["router.deis.io/routable"] == "false"


def test_autoscale_and_labels(live, cluster):
    path = "/v2/apps/blue/settings/"
    rule = {"min": 2, "max": 5, "cpu_percent": 60}
    assert live.post(path, {"autoscale": {"web": rule}}).json()["autoscale"] == {"web": rule}
    assert cluster.get("HorizontalPodAutoscaler", "blue", "blue-web")["spec"]["maxReplicas"] == 5
    assert "autoscale" in live.post(path, {"autoscale": {"web": {"min": 1}}}).json()
    missing = live.post(path, {"autoscale": {"clock": None}})
    assert (missing.status_code, missing.json()) == (422, {"detail": "clock does not exist under autoscale"})
    assert live.post(path, {"autoscale": {"web": None}}).json()["autoscale"] == {}
    assert cluster.all("HorizontalPodAutoscaler") == []
    assert live.post(path, {"label": {"team": "core"}}).json()["label"] == {"team": "core"}
    gone = live.post(path, {"label": {"x": None}})
    assert (gone.status_code, gone.json()) == (422, {"detail": "x does not exist under label"})


def test_scaling_an_autoscaled_type_sets_what_the_autoscaler_goes_on_from(live, cluster):
    live.post("/v2/apps/blue/settings/", {"autoscale": {"web": {"min": 2, "max": 5, "cpu_percent": 60}}})
    for wished, replicas in ((4, 4), (0, 0), (3, 3), (9, 5), (1, 2)):
        assert live.post("/v2/apps/blue/scale/", {"web": wished}).status_code == 204
        assert cluster.get("Deployment", "blue", "blue-web")["spec"]["replicas"] == replicas, wished
    live.post("/v2/apps/blue/scale/", {"web": 4})
    live.post("/v2/apps/blue/scale/", {"worker": 1})
    assert cluster.get("Deployment", "blue", "blue-web")["spec"]["replicas"] == 4, "another type was scaled"


def test_an_autoscaled_type_keeps_the_replicas_it_has(live, cluster, push):
    live.post("/v2/apps/blue/settings/", {"autoscale": {"web": {"min": 1, "max": 5, "cpu_percent": 60}}})
    cluster.apply(
        {**(deployment := cluster.get("Deployment", "blue", "blue-web")), "spec": {**deployment["spec"], "replicas": 4}}
    )
    push(sha="bbbbbbbb")
    assert cluster.get("Deployment", "blue", "blue-web")["spec"]["replicas"] == 4


def test_whitelist(blue, cluster):
    path = "/v2/apps/blue/whitelist/"
    made = blue.post(path, {"addresses": ["1.2.3.4", "10.0.0.7/8"]})
    assert (made.status_code, set(made.json()["addresses"])) == (201, {"1.2.3.4", "10.0.0.7/8"})
    assert set(blue.get(path).json()["addresses"]) == {"1.2.3.4", "10.0.0.7/8"}
    assert route(cluster)["annotations"]["router.deis.io/whitelist"] == "1.2.3.4,10.0.0.7/8"
    assert blue.post(path, {"addresses": ["1.2.3.4"]}).status_code == 409
    assert "addresses" in blue.post(path, {"addresses": ["nonsense"]}).json()
    assert blue.delete(path, {"addresses": ["8.8.8.8"]}).status_code == 422
    assert blue.delete(path, {"addresses": ["1.2.3.4", "10.0.0.7/8"]}).status_code == 204
    assert "router.deis.io/whitelist" not in route(cluster)["annotations"]
    assert "whitelist" in blue.post("/v2/apps/blue/settings/", {"whitelist": []}).json()


def test_https_enforced(blue, cluster):
    path = "/v2/apps/blue/tls/"
    assert blue.get(path).json()["https_enforced"] is None
    made = blue.post(path, {"https_enforced": True})
    assert (made.status_code, made.json()["https_enforced"]) == (201, True)
    assert route(cluster)["annotations"]["router.deis.io/ssl.enforce"] == "true"
    assert blue.post(path, {"https_enforced": True}).json() == {"detail": "bob changed nothing"}


def test_a_service_whose_name_would_be_too_long_is_refused(live):
    body = {"procfile_type": "w" * 59, "path_pattern": "/api"}
    answer = live.post("/v2/apps/blue/services/", body)
    assert (answer.status_code, answer.json()) == (
        400, {"procfile_type": [f"blue-{'w' * 59} has more than the 63 characters of a Service's name"]},
    )  # fmt: skip


def test_path_services(live, cluster):
    path = "/v2/apps/blue/services/"
    body = {"procfile_type": "worker", "path_pattern": "/api,/v[0-9]+/"}
    assert live.post(path, body).status_code == 201
    assert live.post(path, body).status_code == 204
    assert live.get(path).json() == {"services": [body]}
    assert "blue-worker" in route(cluster)["annotations"]["router.deis.io/locations"]
    assert cluster.get("Service", "blue", "blue-worker")["spec"]["selector"]["type"] == "worker"
    assert "path_pattern" in live.post(path, {"procfile_type": "worker", "path_pattern": "/(["}).json()
    badly = live.post(path, {"procfile_type": "Worker", "path_pattern": "/"}).json()
    assert badly == {"procfile_type": ["Process types can only contain lowercase alphanumeric characters"]}
    assert live.delete(path, {"procfile_type": "worker"}).status_code == 204
    assert live.delete(path, {"procfile_type": "worker"}).status_code == 404
    assert cluster.get("Service", "blue", "blue-worker") is None


def test_domains(blue, cluster):
    path = "/v2/apps/blue/domains/"
    made = blue.post(path, {"domain": "www.example.test."})
    assert made.status_code == 201
    assert set(made.json()) == {"owner", "created", "updated", "app", "domain"}
    assert made.json()["domain"] == "www.example.test"
    assert route(cluster)["annotations"]["router.deis.io/domains"] == "blue,www.example.test"
    blue.post(path, {"domain": "*.example.test"})
    assert [d["domain"] for d in blue.get(path).json()["results"]] == ["*.example.test", "blue", "www.example.test"]
    assert blue.delete(path + "www.example.test").status_code == 204
    gone = blue.delete(path + "www.example.test")
    assert (gone.status_code, gone.json()) == (404, "No Domain matches the given query.")


@pytest.mark.parametrize("domain", ["green.paas.localhost", "Green.PAAS.localhost", "green"])
def test_nobody_takes_the_name_of_another_app(blue, sign_in, domain):
    carol = sign_in("carol")
    carol.post("/v2/apps/", {"id": "green"})
    answer = blue.post("/v2/apps/blue/domains/", {"domain": domain})
    assert answer.status_code == 400
    assert "already in use" in answer.json()["domain"][0]


@pytest.mark.parametrize("domain", ["paas.localhost", "PAAS.localhost.", "*.paas.localhost", "*.localhost"])
def test_nobody_takes_the_names_of_the_platform(blue, domain):
    answer = blue.post("/v2/apps/blue/domains/", {"domain": domain})
    assert answer.status_code == 400
    assert list(answer.json()) == ["domain"]


def test_domains_of_other_scripts(blue):
    path = "/v2/apps/blue/domains/"
    assert blue.post(path, {"domain": "bücher.example"}).json()["domain"] == "xn--bcher-kva.example"
    clash = blue.post(path, {"domain": "xn--bcher-kva.example."})
    assert clash.json() == {"domain": ["The domain xn--bcher-kva.example is already in use by another app"]}
    assert blue.delete(path + "bücher.example").status_code == 204


@pytest.mark.parametrize(
    ("domain", "start"),
    [
        ("*", "Hostname can't only be a wildcard"),
        ("a.123", "Hostname does not look valid."),
        ("a_b.example", "Hostname does not look valid, could not convert to ACE a_b.example: "),
        ("a..example", "Hostname does not look valid, could not convert to ACE a..example: "),
        ("-a.example", "Hostname does not look valid, could not convert to ACE -a.example: "),
        ("a b.example", "Hostname does not look valid, could not convert to ACE a b.example: "),
        ("", "This field may not be blank."),
        ("blue", "Domain is already in use by another application"),
        ("x.*.example", "Hostname does not look valid, could not convert to ACE x.*.example: "),
        ("a,b.example", "Hostname does not look valid, could not convert to ACE a,b.example: "),
    ],
)
def test_domains_that_are_none(blue, domain, start):
    answer = blue.post("/v2/apps/blue/domains/", {"domain": domain})
    assert answer.status_code == 400
    assert answer.json()["domain"][0].startswith(start)


def make_pair(key=None, name="www.example.test"):
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "US"), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now - timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name), x509.DNSName("alt.test")]), False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


@pytest.mark.parametrize("key", [None, rsa.generate_private_key(65537, 2048)])
def test_certificates_of_either_kind(blue, key):
    certificate, private = make_pair(key)
    made = blue.post("/v2/certs/", {"name": "www", "certificate": certificate, "key": private})
    assert made.status_code == 201
    cert = made.json()
    assert set(cert) == {
        "id", "owner", "name", "common_name", "san", "domains", "fingerprint", "expires", "starts", "issuer",
        "subject", "created", "updated",
    }  # fmt: skip
    assert (cert["common_name"], cert["san"]) == ("www.example.test", ["www.example.test", "alt.test"])
    assert cert["subject"] == "/C=US/CN=www.example.test"
    assert cert["fingerprint"].count(":") == 31 and cert["fingerprint"].isupper()
    assert blue.get("/v2/certs/www").json() == cert


def test_attaching_and_detaching(blue, cluster, admin, sign_in):
    certificate, private = make_pair()
    blue.post("/v2/certs/", {"name": "www", "certificate": certificate, "key": private})
    assert blue.post("/v2/certs/www/domain/", {"domain": "none.test"}).status_code == 404
    assert blue.post("/v2/certs/www/domain/", {}).json() == {"detail": "domain is a required field"}
    made = blue.post("/v2/certs/www/domain/", {"domain": "blue"})
    assert (made.status_code, made.content) == (201, b"")
    again = blue.post("/v2/certs/www/domain/", {"domain": "blue"})
    assert (again.status_code, again.json()) == (409, {"detail": "Domain already has a certificate attached to it"})
    assert route(cluster)["annotations"]["router.deis.io/certificates"] == "blue:www"
    assert cluster.get("Secret", "blue", "www-cert")["type"] == "kubernetes.io/tls"
    assert blue.get("/v2/certs/").json()["results"][0]["domains"] == ["blue"]
    assert admin.get("/v2/certs/").json()["results"] == []
    assert admin.get("/v2/certs/www").status_code == 404
    assert blue.delete("/v2/certs/www/domain/blue").status_code == 204
    assert cluster.get("Secret", "blue", "www-cert") is None
    blue.post("/v2/certs/www/domain/", {"domain": "blue"})
    assert blue.delete("/v2/certs/www").status_code == 204
    assert "router.deis.io/certificates" not in route(cluster)["annotations"]


def test_nobody_puts_a_certificate_on_a_strangers_domain(blue, sign_in):
    carol = sign_in("carol")
    certificate, private = make_pair()
    carol.post("/v2/certs/", {"name": "mine", "certificate": certificate, "key": private})
    assert carol.post("/v2/certs/mine/domain/", {"domain": "blue"}).status_code == 403


def test_bad_certificates(blue):
    certificate, private = make_pair()
    _, other = make_pair()
    bad = blue.post("/v2/certs/", {"name": "x", "certificate": "nonsense", "key": "nonsense"}).json()
    assert bad["certificate"][0].startswith("Could not load certificate: ")
    assert bad["key"][0].startswith("Could not load private key: ")
    pair = blue.post("/v2/certs/", {"name": "x", "certificate": certificate, "key": other})
    assert (pair.status_code, "Certificate and private key do not match!" in pair.content.decode()) == (400, True)
    named = blue.post("/v2/certs/", {"name": "Bad_Name", "certificate": certificate, "key": private})
    assert named.json() == {"name": ["Can only contain a-z (lowercase), 0-9 and hyphens"]}


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("nonsense", None, "it is no PEM text, which begins with -----BEGIN CERTIFICATE-----"),
        ("key", None, "it holds no certificate, perhaps certificate and key are swapped"),
        ("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----", None, "its PEM block is damaged"),
        (None, "certificate", "it holds no private key, perhaps certificate and key are swapped"),
        (None, "protected", "it is protected by a password; write one without"),
    ],
)
def test_what_is_wrong_with_a_certificate_or_its_key(blue, certificate, key, said):
    private = ec.generate_private_key(ec.SECP256R1())
    good = dict(zip(("certificate", "key"), make_pair(private), strict=True))
    locked = serialization.BestAvailableEncryption(b"secret")
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    texts = {**good, "protected": private.private_bytes(*form, locked).decode()}
    field = "certificate" if certificate else "key"
    wrong = certificate or key
    answer = blue.post("/v2/certs/", {"name": "x", **good, field: texts.get(wrong, wrong)})
    assert (answer.status_code, list(answer.json())) == (400, [field])
    start = "Could not load certificate: " if certificate else "Could not load private key: "
    assert answer.json()[field][0].startswith(start + said)


def test_private_keys_are_not_readable_in_the_database(blue, in_process):
    from django.db import connection

    certificate, private = make_pair()
    blue.post("/v2/certs/", {"name": "www", "certificate": certificate, "key": private})
    blue.post("/v2/apps/blue/config/", {"values": {"PASSWORD": "hunter2hunter2"}})
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM controller_certificate")
        assert private.splitlines()[1] not in repr(cursor.fetchall())
        cursor.execute("SELECT * FROM controller_config")
        assert "hunter2" not in repr(cursor.fetchall())


def test_services_are_listed_newest_first_and_changed(live):
    path = "/v2/apps/blue/services/"
    for kind, pattern in (("worker", "/a"), ("web", "/b")):
        assert live.post(path, {"procfile_type": kind, "path_pattern": pattern}).status_code == 201
    assert live.post(path, {"procfile_type": "worker", "path_pattern": "/c"}).status_code == 201
    found = live.get(path).json()["services"]
    assert {row["procfile_type"]: row["path_pattern"] for row in found} == {"web": "/b", "worker": "/c"}
    assert [row["procfile_type"] for row in found][0] == "web"


@pytest.mark.parametrize(
    "domain", ["WWW.Example.Test", "single", "*.example.test", "a." * 126 + "b", "xn--bcher-kva.ch"]
)
def test_domains_that_are_some(blue, domain):
    path = "/v2/apps/blue/domains/"
    made = blue.post(path, {"domain": domain})
    assert (made.status_code, made.json()["domain"]) == (201, domain)
    assert blue.delete(path + domain).status_code == 204


def test_a_domain_has_at_most_253_characters(blue):
    assert list(blue.post("/v2/apps/blue/domains/", {"domain": "a." * 127 + "b"}).json()) == ["domain"]


@pytest.mark.parametrize("address", ["::1", "2001:db8::/32", "10.1.2.3/8", "0.0.0.0/0"])
def test_addresses_of_either_kind_are_let_in(blue, address):
    made = blue.post("/v2/apps/blue/whitelist/", {"addresses": [address]})
    assert (made.status_code, made.json()) == (201, {"addresses": [address]})
    assert blue.get("/v2/apps/blue/settings/").json()["whitelist"] == [address]


@pytest.mark.parametrize(
    "rule", [{"min": 1, "max": 2}, {"min": "x", "max": 2, "cpu_percent": 5}, {"min": 3, "max": 2, "cpu_percent": 5}, 7]
)
def test_autoscale_rules_that_cannot_be(live, rule):
    answer = live.post("/v2/apps/blue/settings/", {"autoscale": {"web": rule}})
    assert (answer.status_code, list(answer.json())) == (400, ["autoscale"])
    assert " of web " in answer.json()["autoscale"][0]


def test_https_may_be_enforced_and_let_go_again(blue):
    path = "/v2/apps/blue/tls/"
    assert {"uuid", "app", "owner", "https_enforced", "created", "updated"} <= set(blue.get(path).json())
    for enforced in (False, True, False):
        assert blue.post(path, {"https_enforced": enforced}).json()["https_enforced"] is enforced


def test_names_of_certificates_are_unique_over_all_owners(blue, admin):
    certificate, key = make_pair()
    body = {"name": "www", "certificate": certificate, "key": key, "common_name": "ignored.test"}
    assert blue.post("/v2/certs/", body).json()["common_name"] == "www.example.test"
    again = admin.post("/v2/certs/", body)
    assert (again.status_code, list(again.json())) == (400, ["name"])
    missing = blue.post("/v2/certs/", {"name": "x"})
    assert missing.status_code == 400 and {"certificate", "key"} <= set(missing.json())
