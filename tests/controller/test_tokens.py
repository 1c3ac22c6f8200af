"""Personal tokens: what they open, for how long, and what is kept of them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from controller.models import PersonalToken
from tests.controller.harness import API

ALL = ["read", "deploy", "config", "operate", "admin"]


@pytest.fixture
def token(live):
    """Makes a token of bob's and gives the API that uses it."""

    def made(*scopes, **more):
        name = f"t{PersonalToken.objects.count()}"
        answer = live.post("/v2/tokens/", {"name": name, "scopes": scopes or ["read"], **more})
        assert answer.status_code == 201, answer.content
        return API(answer.json()["token"])

    return made


def test_the_text_is_shown_once_and_only_its_hash_kept(live):
    made = live.post("/v2/tokens/", {"name": "ci", "scopes": ["deploy"]}).json()
    assert made["token"].startswith("paas_") and len(made["token"]) == 45
    listed = live.get("/v2/tokens/").json()["results"]
    assert [(row["name"], row["scopes"], row["app"], row["last_used"]) for row in listed] == [
        ("ci", ["deploy"], None, None)
    ]
    assert "token" not in listed[0]
    row = PersonalToken.objects.get()
    assert made["token"] not in str(vars(row)) and len(row.digest) == 64
    assert timedelta(days=89) < row.expires - timezone.now() < timedelta(days=90)


@pytest.mark.parametrize(
    ("scope", "passes"),
    [
        ("read", set()),
        ("deploy", {"scale/"}),
        ("config", {"config/"}),
        ("operate", {"domains/", "run"}),
        ("admin", {"scale/", "config/", "domains/", "run", "perms/"}),
    ],
)
def test_a_scope_opens_what_it_says_and_reading(token, sign_in, scope, passes):
    sign_in("carol")
    api = token(scope)
    bodies = {
        "scale/": {"worker": 1},
        "config/": {"values": {"A": "1"}},
        "domains/": {"domain": "x.example.test"},
        "run": {"command": "ls"},
        "perms/": {"username": "carol"},
    }
    statuses = {tail: api.post(f"/v2/apps/blue/{tail}", body).status_code for tail, body in bodies.items()}
    assert {tail for tail, status in statuses.items() if status < 300} == passes
    assert {status for tail, status in statuses.items() if tail not in passes} <= {403}
    assert api.get("/v2/apps/blue/").status_code == 200
    assert (api.post("/v2/tokens/", {"name": "more", "scopes": ["admin"]}).status_code == 201) == (scope == "admin")
    assert (api.get("/v2/apps/blue/config/").status_code == 200) == (scope in ("config", "admin"))


def test_a_token_for_an_app_is_for_nothing_else(token, live):
    live.post("/v2/apps/", {"id": "green"})
    api = token("admin", app="blue")
    assert api.get("/v2/apps/blue/").status_code == 200
    assert api.get("/v2/apps/green/").status_code == 403
    assert [row["id"] for row in api.get("/v2/apps/").json()["results"]] == ["blue"]
    for path in ("/v2/keys/", "/v2/tokens/", "/v2/certs/", "/v2/teams/"):
        assert api.get(path).status_code == 403, path
    assert api.post("/v2/apps/", {"id": "red"}).status_code == 403
    assert api.get("/v2/auth/whoami/").json()["username"] == "bob"


def test_a_token_for_somebody_elses_app_is_not_made(live, sign_in):
    answer = sign_in("carol").post("/v2/tokens/", {"name": "x", "scopes": ["read"], "app": "blue"})
    assert answer.status_code == 403


def test_a_token_gives_no_more_than_its_person_has(live, sign_in):
    carol = sign_in("carol")
    live.post("/v2/apps/blue/access/", {"username": "carol", "role": "viewer"})
    made = carol.post("/v2/tokens/", {"name": "x", "scopes": ALL}).json()["token"]
    assert API(made).get("/v2/apps/blue/").status_code == 200
    assert API(made).post("/v2/apps/blue/scale/", {"web": 2}).status_code == 403


def test_an_administrators_token_is_limited_too(admin, live):
    made = admin.post("/v2/tokens/", {"name": "x", "scopes": ["deploy"]}).json()["token"]
    assert API(made).post("/v2/apps/blue/scale/", {"worker": 1}).status_code == 204
    assert API(made).post("/v2/admin/perms/", {"username": "bob"}).status_code == 403


def test_use_is_noted(token):
    token("read").get("/v2/apps/")
    row = PersonalToken.objects.get()
    assert row.last_address == "127.0.0.1"
    assert timezone.now() - row.last_used < timedelta(minutes=1)


def test_an_expired_or_revoked_token_is_none(token, live):
    api, other = token(), token()
    PersonalToken.objects.filter(name="t0").update(expires=timezone.now() - timedelta(seconds=1))
    assert (api.get("/v2/apps/").status_code, api.get("/v2/apps/").json()) == (401, {"detail": "Invalid token."})
    assert live.delete("/v2/tokens/t1").status_code == 204
    assert other.get("/v2/apps/").status_code == 401


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["read"]}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["everything"]}, "scopes"),
        ({"name": "x", "scopes": ["read"], "days": 0}, "days"),
        ({"name": "t0", "scopes": ["read"]}, "name"),
    ],
)
def test_a_bad_wish_is_refused_by_field(token, live, body, field):
    token()
    answer = live.post("/v2/tokens/", body)
    assert answer.status_code == 400 and field in answer.json()
