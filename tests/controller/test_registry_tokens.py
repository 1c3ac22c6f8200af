"""Tokens for the image registry: what each account may do with which repository."""

import base64
import time

import jwt
import pytest
from cryptography import x509

from builder.registry_auth import builds_login as the_builders
from controller.registry_tokens import ISSUER, SERVICE, Wanted, builds_login, parse_scopes, pull_login
from host.secret_files import signing_pair

BLUE = {"pull", "push"}
PASSWORD = "correct horse"  # of whoever signs in here


@pytest.fixture
def pair(settings):
    settings.REGISTRY_TOKEN_KEY, settings.REGISTRY_TOKEN_CERT = signing_pair()
    return settings.REGISTRY_TOKEN_CERT


@pytest.fixture
def granted(client, pair):
    """What a token answers to: {repository: actions}."""

    def ask(username, password, *scopes, status=200):
        login = base64.b64encode(f"{username}:{password}".encode()).decode()
        answer = client.get(
            "/v2/registry/token",
            {"service": SERVICE, "scope": list(scopes)},
            headers={"Authorization": f"Basic {login}"},
        )
        assert answer.status_code == status, answer.content
        if status != 200:
            return answer.json()
        key = x509.load_pem_x509_certificate(pair.encode()).public_key()
        claims = jwt.decode(answer.json()["token"], key, ["ES256"], audience=SERVICE, issuer=ISSUER)
        assert claims["exp"] - claims["iat"] == answer.json()["expires_in"]
        return {one["name"]: set(one["actions"]) for one in claims["access"]}

    return ask


def test_the_owner_pulls_and_pushes_and_never_deletes(blue, granted):
    assert granted("bob", PASSWORD, "repository:blue:pull,push,delete") == {"blue": BLUE}
    assert granted("bob", PASSWORD, "repository:blue:*") == {"blue": BLUE}
    assert granted("bob", PASSWORD) == {}


def test_the_builders_token_lives_as_long_as_it_says_and_nobody_elses(blue, client, pair, settings):
    settings.REGISTRY_CREDENTIALS = {"username": "paas", "password": "the platform's own"}

    def life(username, password, wanted):
        login = base64.b64encode(f"{username}:{password}".encode()).decode()
        asked = {"service": SERVICE, "scope": "repository:blue:pull", "life": wanted}
        answer = client.get("/v2/registry/token", asked, headers={"Authorization": f"Basic {login}"})
        return answer.json()["expires_in"] if answer.status_code == 200 else answer.json()["detail"]

    own = ("paas", "the platform's own")
    assert [life(*own, wanted) for wanted in ("0", "60", "7200", "999999999")] == [3600, 60, 7200, 2 * 24 * 3600]
    assert life("bob", PASSWORD, "7200") == 300
    assert "is no number of seconds" in life(*own, "-5") and "is no number of seconds" in life(*own, "1e3")


def test_a_stranger_gets_a_token_for_nothing(blue, sign_in, granted):
    sign_in("carol")
    assert granted("carol", PASSWORD, "repository:blue:pull") == {}
    assert granted("carol", PASSWORD, "repository:absent:pull") == {}


def test_a_viewer_pulls_only(blue, sign_in, granted):
    sign_in("carol")
    assert blue.post("/v2/apps/blue/access/", {"username": "carol", "role": "viewer"}).status_code < 300
    assert granted("carol", PASSWORD, "repository:blue:pull,push") == {"blue": {"pull"}}


def test_a_wrong_password_is_refused_in_words(blue, granted):
    assert "Wrong user name or password" in granted("bob", "wrong", status=401)["detail"]
    assert granted("", "", status=401)


def test_a_personal_token_is_a_password_within_its_scopes(blue, granted):
    made = blue.post("/v2/tokens/", {"name": "ci", "scopes": ["read"]}).json()["token"]
    assert granted("bob", made, "repository:blue:pull,push") == {"blue": {"pull"}}
    assert granted("carol", made, "repository:blue:pull", status=401)


def test_an_apps_nodes_pull_that_app_alone(blue, settings, granted):
    name, password = pull_login(settings.SECRET_KEY, "blue")
    assert granted(name, password, "repository:blue:pull,push", "repository:green:pull") == {"blue": {"pull"}}
    assert granted("apps/green", password, "repository:green:pull", status=401)


def test_nodes_that_build_pull_the_platforms_own_images_until_their_time_is_up(blue, settings, granted):
    soon = int(time.time()) + 60
    name, password = builds_login(settings.BUILDER_KEY, soon)
    asked = ("repository:blue:pull,push", "repository:paas/stack-build:pull,push", "repository:paas/stack:push")
    assert granted(name, password, *asked) == {"paas/stack-build": {"pull"}}
    assert (name, password) == the_builders(settings.BUILDER_KEY, soon)
    for bad in (f"builds/{soon + 1}", "builds/", "builds/x", "builds"):
        assert granted(bad, password, *asked, status=401)
    assert granted(*builds_login(settings.BUILDER_KEY, soon - 120), *asked, status=401), "it has ended"
    assert granted(*builds_login("another key", soon), *asked, status=401)


def test_the_platform_itself_may_do_what_it_asks_for(settings, granted, db):
    own = settings.REGISTRY_CREDENTIALS
    asked = "repository:blue:pull,push,delete repository:paas/stack:pull"
    assert granted(own["username"], own["password"], asked) == {
        "blue": {"pull", "push", "delete"},
        "paas/stack": {"pull"},
    }


def test_another_service_is_refused_by_its_field(client, pair, db):
    answer = client.get("/v2/registry/token", {"service": "elsewhere"})
    assert answer.status_code == 400 and "service" in answer.json()["detail"]


def test_scopes_that_name_no_repository_are_left_out():
    texts = ["repository:a/b:pull,unknown", "registry:catalog:*", "repository:../x:pull", "repository:c:push"]
    assert parse_scopes(texts) == [Wanted("a/b", ("pull",)), Wanted("c", ("push",))]
