"""Section 0 of the contract: headers, slashes, pages, errors."""

import pytest
from django.http import HttpResponse

from controller.middleware import BodyCap


def test_every_answer_carries_both_version_headers(anonymous, admin):
    for answer in (
        anonymous.get("/healthz"),
        anonymous.get("/readiness"),
        anonymous.get("/v2/"),
        admin.get("/v2/"),
        admin.get("/v2/apps/none/"),
        anonymous.get("/v2/nowhere-at-all"),
    ):
        assert answer.headers["DEIS_API_VERSION"] == "2.3"
        assert answer.headers["DEIS_PLATFORM_VERSION"] == "2.3.0"


def test_health_is_two_letters(anonymous):
    for path in ("/healthz", "/readiness"):
        answer = anonymous.get(path)
        assert (answer.status_code, answer.content) == (200, b"OK")
        assert answer.headers["Content-Type"].startswith("text/html")


def test_metrics_are_for_this_host_alone(anonymous):
    assert b"controller_apps 0" in anonymous.get("/metrics").content
    through_the_router = anonymous.get("/metrics", **{"X-Forwarded-For": "203.0.113.9"})
    assert (through_the_router.status_code, b"controller_apps" in through_the_router.content) == (404, False)


def test_connection_test_wants_401_then_an_empty_object(anonymous, admin):
    answer = anonymous.get("/v2/")
    assert answer.status_code == 401
    assert answer.json() == {"detail": "Authentication credentials were not provided."}
    assert answer.headers["WWW-Authenticate"] == "Token"
    assert (admin.get("/v2/").status_code, admin.get("/v2/").json()) == (200, {})


def test_doubled_slashes_are_one(anonymous, in_process):
    assert anonymous._client.get("/", PATH_INFO="//v2/").status_code == 401


def test_a_wrong_token_is_told_so(anonymous):
    answer = anonymous.get("/v2/apps/", Authorization="token " + "0" * 40)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Invalid token."})


def test_the_scheme_word_has_no_case(admin, anonymous):
    assert anonymous.get("/v2/", Authorization=f"ToKeN {admin.token}").status_code == 200


@pytest.mark.parametrize("path", ["apps", "keys", "certs", "users", "auth/whoami", "admin/perms", "apps/blue", "info"])
def test_slash_or_none(blue, admin, path):
    user = admin if path in ("users", "admin/perms") else blue
    assert user.get(f"/v2/{path}").status_code == 200
    assert user.get(f"/v2/{path}/").status_code == 200


@pytest.mark.parametrize(
    "tail", ["config", "builds", "releases", "pods", "domains", "settings", "whitelist", "tls", "perms", "services"]
)
def test_slash_or_none_below_an_app(blue, tail):
    assert blue.get(f"/v2/apps/blue/{tail}").status_code == 200
    assert blue.get(f"/v2/apps/blue/{tail}/").status_code == 200


def test_login_and_tokens_need_the_slash(anonymous, admin):
    assert anonymous.post("/v2/auth/login", {}).status_code == 404
    assert admin.post("/v2/auth/tokens", {}).status_code == 404


def test_an_unknown_address_is_a_page(anonymous):
    answer = anonymous.get("/v2/unknown/")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.content.count(b"\n") == 1, "the client prints all of it"
    assert b"<title>" in anonymous.get("/unknown/").content


def test_a_wrong_method_is_named(admin):
    answer = admin._send("PUT", "/v2/apps/", {}, {})
    assert (answer.status_code, answer.json()) == (405, {"detail": 'Method "PUT" not allowed.'})


def test_bad_json_is_explained(admin):
    answer = admin.post("/v2/apps/", b'{"id": ')
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("JSON parse error - ")


def test_an_empty_body_is_an_empty_object(admin):
    assert admin.post("/v2/apps/", b"").status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"id": NaN}',
        b"\xff\xfe",
        b'"text"',
        b"[1]",
        b"7",
        b"null",
    ],
)
def test_hostile_bodies_are_refused_politely(admin, body):
    for path in ("/v2/apps/", "/v2/keys/", "/v2/auth/passwd/"):
        assert admin.post(path, body).status_code == 400


def test_a_huge_body_is_refused(admin, settings):
    answer = admin.post("/v2/apps/", b" " * (settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1))
    assert answer.status_code == 413
    assert "at most" in answer.json()["detail"]


def test_a_refusal_leaves_nothing_of_the_body_unread(rf):
    request = rf.post("/v2/apps/", b"[" * 700_000, content_type="application/json")
    answer = BodyCap(lambda request: HttpResponse(status=401))(request)
    assert answer.status_code == 401
    assert request.read(1) == b""


def test_numbers_are_no_text(admin):
    admin.post("/v2/apps/", {"id": "blue"})
    for path, field in (
        ("/v2/auth/passwd/", "new_password"),
        ("/v2/admin/perms/", "username"),
        ("/v2/apps/blue/", "owner"),
        ("/v2/apps/blue/run", "command"),
        ("/v2/keys/", "id"),
    ):
        answer = admin.post(path, {field: 1})
        assert (answer.status_code, answer.json()) == (400, {field: ["Not a valid string."]}), path


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("config/", {"values": {"A": "x\0y"}}, "values"),
        ("config/", {"values": {"A": "y" * 131_072}}, "values"),
        ("config/", {"values": {"K" * 254: "y"}}, "values"),
        ("config/", {"values": {"PORT": "9" * 5000}}, "values"),
        ("config/", {"values": {"HEALTHCHECK_PORT": "²"}}, "values"),
        ("config/", {"cpu": {"web": "٣"}}, "cpu"),
        ("config/", {"memory": {"web": "٣M"}}, "memory"),
        (
            "config/",
            {"healthcheck": {"web": {"readinessProbe": {"tcpSocket": {"port": 1}, "periodSeconds": 2**31}}}},
            "healthcheck",
        ),
        ("scale/", {"web": "000000000" + "9" * 5000}, "detail"),
        ("settings/", {"label": {"a\0": "b"}}, "label"),
        ("pods/restart/", {"x": 1}, "x"),
        ("pods/restart/", [1], "non_field_errors"),
    ],
)
def test_hostile_values_are_refused_by_field(blue, path, body, field):
    answer = blue.post(f"/v2/apps/blue/{path}", body)
    assert (answer.status_code, list(answer.json())) == (400, [field])


def test_an_enormous_number_of_log_lines_is_no_trouble(blue):
    assert blue.get(f"/v2/apps/blue/logs?log_lines={'9' * 5000}").status_code == 200


@pytest.mark.parametrize("body", [[1], {"bogus": 1}, {"username": 1}])
def test_a_senseless_wish_for_a_token_leaves_the_old_one(bob, body):
    assert bob.post("/v2/auth/tokens/", body).status_code == 400
    assert bob.get("/v2/").status_code == 200


def test_unknown_fields_are_named(blue):
    answer = blue.post("/v2/apps/blue/config/", {"valeus": {"A": "1"}, "self": 1})
    assert answer.status_code == 400
    assert set(answer.json()) == {"valeus", "self"}


def test_pages_have_count_and_absolute_links(admin):
    for name in ("aa", "bb", "cc"):
        admin.post("/v2/apps/", {"id": name})
    page = admin.get("/v2/apps/?limit=1&offset=1", Host="deis.example.test").json()
    assert page["count"] == 3
    assert [app["id"] for app in page["results"]] == ["bb"]
    assert page["next"] == "http://deis.example.test/v2/apps/?limit=1&offset=2"
    assert page["previous"] == "http://deis.example.test/v2/apps/?limit=1"


@pytest.mark.parametrize("limit", ["0", "garbage", "-4", ""])
def test_a_senseless_limit_means_the_default(admin, limit):
    admin.post("/v2/apps/", {"id": "aa"})
    assert len(admin.get(f"/v2/apps/?limit={limit}").json()["results"]) == 1


def test_a_missing_object_is_a_bare_string(admin):
    answer = admin.get("/v2/apps/none/")
    assert (answer.status_code, answer.content) == (404, b'"No App matches the given query."')


def test_times_have_seconds_and_a_z(blue):
    import re

    app = blue.get("/v2/apps/blue/").json()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", app["created"])


def test_cors_is_open(anonymous):
    answer = anonymous.get("/v2/", Origin="http://elsewhere.test")
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "DEIS_API_VERSION" in answer.headers["Access-Control-Expose-Headers"]
