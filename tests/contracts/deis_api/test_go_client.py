"""An unmodified Deis client: every request of its SDK, byte for byte, and answers that its structures can hold."""

from __future__ import annotations

import json

import pytest

from tests.contracts.deis_api import go_client as go
from tests.contracts.deis_api.test_routing import make_pair

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hZfJ6ZV1y5Xq2c6l0wQ0v7z2q0m7rN7T5l5h0Y1Zb bob@laptop"
APP = "/v2/apps/blue"


class Client:
    """The SDK's `Request` and `LimitedRequest`."""

    def __init__(self, port: int, token: str) -> None:
        self.port, self.token = port, token

    def ask(self, method, path, body=None, *, status, shape=None):
        """The decoded answer; its status, headers and shape are those the client depends on."""
        sent = b"" if body is None else body if isinstance(body, bytes) else go.marshal(body)
        code, headers, content = go.exchange(self.port, method, path, sent, token=self.token)
        assert code == status, (method, path, code, content[:300])
        assert headers.get("DEIS_API_VERSION") == "2.3" and go.is_compatible(headers["DEIS_API_VERSION"])
        if shape is None:
            assert content == b"", (method, path, content[:300])
            return None
        value = json.loads(content)
        assert go.misfits(value, shape) == [], (method, path)
        return value

    def page(self, path, shape, limit=100):
        """The rows and the count. Without them the client panics."""
        whole = self.ask("GET", f"{path}?limit={limit}", status=200, shape={"results": [shape], "count": int})
        return whole["results"], whole["count"]


@pytest.fixture
def client(live, wire_port):
    return Client(wire_port, live.token)


def test_the_connection_test_of_login_and_register(admin, wire_port):
    for path in ("/v2/", "//v2/"):  # a controller's address that ends in a slash gives the second
        status, headers, _ = go.exchange(wire_port, "GET", path, probe=True)
        assert (status, headers["DEIS_API_VERSION"]) == (401, "2.3")


def test_the_order_of_headers_of_the_go_of_its_time(live, wire_port):
    status, headers, body = go.exchange(wire_port, "POST", f"{APP}/pods/restart/", token=live.token, early=True)
    assert (status, headers["DEIS_API_VERSION"], len(json.loads(body))) == (200, "2.3", 1)


def test_the_version_is_read_from_healthz(wire_port, anonymous):
    for method in ("GET", "HEAD"):
        status, headers, body = go.exchange(wire_port, method, "/healthz", probe=True)
        assert (status, headers["DEIS_API_VERSION"], body) == (200, "2.3", b"OK" if method == "GET" else b"")


def test_register_and_login(admin, wire_port):
    client = Client(wire_port, "")
    account = {"username": "carol", "password": "s3cret-pass", "email": "carol@example.test"}
    client.ask("POST", "/v2/auth/register/", account, status=201, shape=go.USER)
    login = {"username": "carol", "password": "s3cret-pass"}
    client.token = client.ask("POST", "/v2/auth/login/", login, status=200, shape={"token": str})["token"]
    client.ask("GET", "/v2/auth/whoami/", status=200, shape=go.USER)
    change = {"username": "", "password": "s3cret-pass", "new_password": "another-pass"}
    client.ask("POST", "/v2/auth/passwd/", {k: v for k, v in change.items() if v}, status=200, shape={"status": str})
    client.token = client.ask("POST", "/v2/auth/tokens/", status=200, shape={"token": str})["token"]
    client.ask("DELETE", "/v2/auth/cancel/", status=204)
    client.ask("GET", "/v2/auth/whoami/", status=401, shape={"detail": str})


def test_apps(client):
    named = client.ask("POST", "/v2/apps/", {"id": "amber"}, status=201, shape=go.APP)
    nameless = client.ask("POST", "/v2/apps/", status=201, shape=go.APP)
    rows, count = client.page("/v2/apps/", go.APP)
    assert count == 3 and {row["id"] for row in rows} == {"blue", named["id"], nameless["id"]}
    rows, count = client.page("/v2/apps/", go.APP, limit=2)
    assert (len(rows), count) == (2, 3)
    client.ask("GET", f"{APP}/", status=200, shape=go.APP)
    client.ask("POST", "/v2/apps/amber/", {"owner": "admin"}, status=200)
    client.ask("DELETE", f"/v2/apps/{nameless['id']}/", status=204)


def test_processes(client):
    client.ask("POST", f"{APP}/scale/", {"web": 2, "worker": 1}, status=204)
    rows, count = client.page(f"{APP}/pods/", go.POD, limit=1000)
    assert count == 3
    name = next(row["name"] for row in rows if row["type"] == "web")
    for path in (f"pods/web/{name.removeprefix('blue-')}/restart/", "pods/web/restart/", "pods/restart/"):
        fresh = client.ask("POST", f"{APP}/{path}", status=200, shape=[go.POD])
        assert fresh


def test_one_off_commands_and_logs(client):
    client.ask("POST", f"{APP}/run", {"command": "true"}, status=200, shape={"exit_code": int, "output": str})
    for tail in ("logs", "logs?log_lines=2"):
        status, headers, body = go.exchange(client.port, "GET", f"{APP}/{tail}", token=client.token)
        assert (status, headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
        assert len(body) >= 3  # of fewer bytes the client says that there are none


def test_builds_and_releases(client):
    image = {"image": "registry.example/shop:1", "procfile": {"web": "serve"}}
    client.ask("POST", f"{APP}/builds/", image, status=201, shape=go.BUILD)
    assert client.page(f"{APP}/builds/", go.BUILD)[1] == 2
    assert [row["version"] for row in client.page(f"{APP}/releases/", go.RELEASE)[0]] == [3, 2, 1]
    client.ask("GET", f"{APP}/releases/v3/", status=200, shape=go.RELEASE)
    back = client.ask("POST", f"{APP}/releases/rollback/", {"version": 2}, status=201, shape={"version": int})
    assert back == {"version": 4}
    assert client.ask("POST", f"{APP}/releases/rollback/", status=201, shape={"version": int}) == {"version": 5}


def test_every_section_of_config(client):
    path = f"{APP}/config/"
    probe = {"initialDelaySeconds": 1, "timeoutSeconds": 5, "periodSeconds": 10, "successThreshold": 1,
             "failureThreshold": 3, "httpGet": {"path": "/", "port": 5000}}  # fmt: skip
    for body in (
        {"values": {"A": "1", "PORT": "5000"}},
        {"memory": {"web": "64M/128M"}, "cpu": {"web": "250m/500m"}},
        {"tags": {"disk": "ssd"}},
        {"registry": {"username": "bob", "password": "x"}},
        {"healthcheck": {"worker": {"livenessProbe": probe}}},
        {"termination_grace_period": {"web": 60}},
        {"values": {"A": None}, "memory": {"web": None}, "cpu": {"web": None}, "registry": {"password": None}},
    ):
        client.ask("POST", path, body, status=201, shape=go.CONFIG)
    whole = client.ask("GET", path, status=200, shape=go.CONFIG)
    assert whole["values"] == {"PORT": "5000"} and whole["registry"] == {"username": "bob"}
    gone = client.ask("POST", path, {"values": {"A": None}}, status=422, shape={"detail": str})
    assert gone == {"detail": "A does not exist under values"}


TIMES = b'"initialDelaySeconds":0,"timeoutSeconds":50,"periodSeconds":10,"successThreshold":1,"failureThreshold":3'
HEADERS = b'[{"name":"X-A","value":"b"},{"name":"X-C","value":"d"}]'


@pytest.mark.parametrize(
    ("section", "key", "sent", "kept"),
    [
        ("healthcheck", "web", b'{"livenessProbe":{%b,"httpGet":{"path":"/up","port":5000,"httpHeaders":%b}}}',
         b'{"livenessProbe":null}'),
        ("healthcheck", "web", b'{"readinessProbe":{%b,"tcpSocket":{"port":5000}}}', b'{"readinessProbe":null}'),
        ("healthcheck", "worker", b'{"livenessProbe":{%b,"exec":{"command":["/bin/echo","-n","hi"]}}}',
         b'{"livenessProbe":null}'),
        ("healthcheck", "web/cmd", b'{"readinessProbe":{%b,"httpGet":{"path":"/","port":5000}}}',
         b'{"readinessProbe":null}'),
        ("memory", "worker", b'"32M/64M"', b"null"),
        ("termination_grace_period", "web", b'"60"', b"null"),
        ("values", "HTML", b'"\\u003ca href=\\"x\\"\\u003e\\u0026amp;\\u003c/a\\u003e"', b"null"),
        ("values", "SEP", b'"\\u2028Zo\xc3\xab\\ta\\nb"', b"null"),
    ],
)  # fmt: skip
def test_config_as_the_client_was_seen_to_write_it(client, section, key, sent, kept):
    path = f"{APP}/config/"
    sent = sent % ((TIMES, HEADERS)[: sent.count(b"%b")]) if b"%b" in sent else sent
    for value in (sent, kept):
        body = b'{"%b":{"%b":%b}}' % (section.encode(), key.encode(), value)
        answer = client.ask("POST", path, body, status=201, shape=go.CONFIG)
        left = answer[section].get(key) or None
        assert left == (json.loads(value) if value is sent else None)
    client.ask("POST", path, body, status=422, shape={"detail": str})


def test_names_in_paths_as_go_escapes_them(client):
    odd = {"username": "o+d@x.y", "password": "s3cret-pass", "email": ""}
    client.ask("POST", "/v2/auth/register/", odd, status=201, shape=go.USER)
    for domain, escaped in (("bücher.example", "b%C3%BCcher.example"), ("*.example.test", "%2A.example.test")):
        client.ask("POST", f"{APP}/domains/", {"domain": domain}, status=201, shape=go.DOMAIN)
        client.ask("DELETE", f"{APP}/domains/{escaped}", status=204)
    client.ask("POST", f"{APP}/perms/", {"username": "o+d@x.y"}, status=201)
    client.ask("DELETE", f"{APP}/perms/o+d@x.y", status=204)
    client.ask("POST", "/v2/keys/", {"id": "a b/c", "public": PUBLIC}, status=201, shape=go.KEY)
    client.ask("DELETE", "/v2/keys/a%20b/c", status=204)


def test_settings_routing_and_tls(client):
    for body in (
        {"maintenance": True},
        {"routable": False},
        {"autoscale": {"web": {"min": 1, "max": 3, "cpu_percent": 50}}},
        {"label": {"team": "core"}},
        {"autoscale": {"web": None}, "label": {"team": None}},
    ):
        client.ask("POST", f"{APP}/settings/", body, status=201, shape=go.SETTINGS)
    client.ask("GET", f"{APP}/settings/", status=200, shape=go.SETTINGS)
    client.ask("GET", f"{APP}/tls/", status=200, shape=go.TLS)
    for enforced in (True, False):
        client.ask("POST", f"{APP}/tls/", {"https_enforced": enforced}, status=201, shape=go.TLS)
    addresses = {"addresses": ["1.2.3.4", "10.0.0.0/8"]}
    for method, status in (("POST", 201), ("GET", 200)):
        sent = addresses if method == "POST" else None
        client.ask(method, f"{APP}/whitelist/", sent, status=status, shape={"addresses": [str]})
    client.ask("DELETE", f"{APP}/whitelist/", addresses, status=204)
    service = {"procfile_type": "worker", "path_pattern": "/api"}
    client.ask("POST", f"{APP}/services/", service, status=201, shape=go.Anything)
    client.ask("GET", f"{APP}/services/", status=200, shape={"services": [{k: str for k in service}]})
    client.ask("DELETE", f"{APP}/services/", {"procfile_type": "worker"}, status=204)


def test_domains_and_certificates(client):
    client.ask("POST", f"{APP}/domains/", {"domain": "www.example.test"}, status=201, shape=go.DOMAIN)
    assert client.page(f"{APP}/domains/", go.DOMAIN)[1] == 2
    certificate, key = make_pair()
    pair = {"certificate": certificate, "key": key, "name": "www"}
    client.ask("POST", "/v2/certs/", pair, status=201, shape=go.CERT)
    assert client.page("/v2/certs/", go.CERT)[1] == 1
    client.ask("POST", "/v2/certs/www/domain/", {"domain": "www.example.test"}, status=201)
    assert client.ask("GET", "/v2/certs/www", status=200, shape=go.CERT)["domains"] == ["www.example.test"]
    client.ask("DELETE", "/v2/certs/www/domain/www.example.test", status=204)
    client.ask("DELETE", "/v2/certs/www", status=204)
    client.ask("DELETE", f"{APP}/domains/www.example.test", status=204)


def test_keys_people_and_administrators(client, admin, sign_in):
    sign_in("carol")
    client.ask("POST", "/v2/keys/", {"id": "bob@laptop", "public": PUBLIC}, status=201, shape=go.KEY)
    assert client.page("/v2/keys/", go.KEY)[1] == 1
    client.ask("DELETE", "/v2/keys/bob@laptop", status=204)
    client.ask("POST", f"{APP}/perms/", {"username": "carol"}, status=201)
    client.ask("GET", f"{APP}/perms/", status=200, shape={"users": [str]})
    client.ask("DELETE", f"{APP}/perms/carol", status=204)
    chief = Client(client.port, admin.token)
    chief.page("/v2/users/", go.USER)
    chief.ask("POST", "/v2/admin/perms/", {"username": "carol"}, status=201)
    assert chief.page("/v2/admin/perms/", {"username": str, "is_superuser": bool})[1] == 2
    chief.ask("DELETE", "/v2/admin/perms/carol", status=204)
    assert len(chief.ask("POST", "/v2/auth/tokens/", {"username": "carol"}, status=200, shape={"token": str})) == 1
    chief.ask("DELETE", "/v2/auth/cancel/", {"username": "carol"}, status=204)


def test_refusals_are_those_the_client_translates(client):
    for method, path, body, status, answer in (
        ("GET", "/v2/apps/none/", None, 404, "No App matches the given query."),
        ("GET", "/v2/certs/none", None, 404, "No Certificate matches the given query."),
        ("DELETE", "/v2/keys/none", None, 404, "No Key matches the given query."),
        ("DELETE", f"{APP}/domains/none.test", None, 404, "No Domain matches the given query."),
        ("GET", f"{APP}/releases/v9/", None, 404, "No Release matches the given query."),
        ("POST", f"{APP}/perms/", {"username": "none"}, 404, "No User matches the given query."),
        ("DELETE", f"{APP}/services/", {"procfile_type": "x"}, 404, "No Service matches the given query."),
        ("POST", f"{APP}/scale/", {"x": 1}, 404, {"detail": "Container type x does not exist in application"}),
        ("POST", f"{APP}/releases/rollback/", {"version": 0}, 400, {"detail": "version cannot be below 0"}),
        ("POST", f"{APP}/builds/", {"image": ""}, 400, {"image": ["This field may not be blank."]}),
        ("POST", "/v2/apps/", {"id": "blue"}, 400, {"id": ["Application with this id already exists."]}),
        ("POST", "/v2/keys/", {"id": "k", "public": ""}, 400, {"public": ["This field may not be blank."]}),
        ("POST", f"{APP}/config/", {"values": {}}, 409, {"detail": "bob changed nothing - release stopped"}),
        ("PUT", f"{APP}/", {}, 405, {"detail": 'Method "PUT" not allowed.'}),
    ):
        sent = b"" if body is None else json.dumps(body).encode()
        code, headers, content = go.exchange(client.port, method, path, sent, token=client.token)
        assert (code, json.loads(content), headers["DEIS_API_VERSION"]) == (status, answer, "2.3"), path
        assert headers["Content-Type"] == "application/json"


def test_json_is_compact_and_in_utf_8(client):
    client.ask("POST", f"{APP}/config/", {"values": {"NAME": "Zoë"}}, status=201, shape=go.CONFIG)
    _, _, content = go.exchange(client.port, "GET", f"{APP}/config/", token=client.token)
    assert '"values":{"NAME":"Zoë"}'.encode() in content


def test_links_of_pages_are_absolute_and_keep_the_form_of_the_request(client):
    for tail in ("/", ""):
        path = f"{APP}/releases{tail}?limit=1"
        _, _, content = go.exchange(client.port, "GET", path, token=client.token, host="deis.example.test")
        assert json.loads(content)["next"] == f"http://deis.example.test{APP}/releases{tail}?limit=1&offset=1"
        _, _, content = go.exchange(client.port, "GET", f"{path}&page_size=5", token=client.token)
        assert len(json.loads(content)["results"]) == 1  # only `limit` counts
