"""Section 1: users and tokens."""

import re

import pytest

NEW = {"username": "carol", "password": "s3cret-pass", "email": "carol@example.test"}


def test_the_first_user_is_the_administrator(anonymous):
    first = anonymous.post("/v2/auth/register/", NEW)
    assert first.status_code == 201
    assert first.json() | {"date_joined": ""} == {
        "email": "carol@example.test",
        "username": "carol",
        "first_name": "",
        "last_name": "",
        "is_superuser": True,
        "is_staff": True,
        "groups": [],
        "user_permissions": [],
        "last_login": None,
        "date_joined": "",
        "is_active": True,
    }
    second = anonymous.post("/v2/auth/register/", NEW | {"username": "dave", "is_superuser": True})
    assert second.json()["is_superuser"] is False


def test_registering_without_an_email_works(anonymous):
    assert anonymous.post("/v2/auth/register/", {"username": "x", "password": "y" * 8}).status_code == 201
    assert anonymous.post("/v2/auth/register/", {"username": "z", "password": "y" * 8, "email": ""}).status_code == 201


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"username": ""}, {"username": ["This field may not be blank."]}),
        (
            {"username": "a b"},
            {
                "username": [
                    "Enter a valid username. This value may contain only letters, numbers and @/./+/-/_ characters."
                ]
            },
        ),
        ({"username": "admin"}, {"username": ["A user with that username already exists."]}),
        ({"password": ""}, {"password": ["This field may not be blank."]}),
        ({"email": "nonsense"}, {"email": ["Enter a valid email address."]}),
    ],
)
def test_register_errors_are_those_the_client_knows(admin, anonymous, change, error):
    answer = anonymous.post("/v2/auth/register/", NEW | change)
    assert (answer.status_code, answer.json()) == (400, error)


@pytest.mark.parametrize("name", ["a b", "a/b", "x" * 151, "a\nb", "<b>"])
def test_hostile_usernames_are_refused(admin, anonymous, name):
    assert "username" in anonymous.post("/v2/auth/register/", NEW | {"username": name}).json()


def test_registration_modes(admin, anonymous, settings):
    settings.REGISTRATION_MODE = "disabled"
    assert anonymous.post("/v2/auth/register/", NEW).status_code == 403
    settings.REGISTRATION_MODE = "admin_only"
    assert anonymous.post("/v2/auth/register/", NEW).status_code == 403
    assert admin.post("/v2/auth/register/", NEW).status_code == 201


def test_the_very_first_user_may_come_in_admin_only_mode(anonymous, settings):
    settings.REGISTRATION_MODE = "admin_only"
    assert anonymous.post("/v2/auth/register/", NEW).json()["is_superuser"] is True


def test_login_gives_the_same_token_until_it_is_regenerated(bob, anonymous):
    def login():
        return anonymous.post("/v2/auth/login/", {"username": "bob", "password": "correct horse"}).json()["token"]

    assert login() == login() == bob.token
    assert len(bob.token) == 40 and set(bob.token) <= set("0123456789abcdef")
    fresh = bob.post("/v2/auth/tokens/").json()["token"]
    assert fresh != bob.token and login() == fresh
    assert bob.get("/v2/").status_code == 401


def test_login_takes_a_form_too(bob, anonymous, in_process):
    answer = anonymous._client.post(
        "/v2/auth/login/", "username=bob&password=correct+horse", content_type="application/x-www-form-urlencoded"
    )
    assert answer.json() == {"token": bob.token}


def test_login_takes_the_parts_of_a_form(bob, anonymous, in_process):
    """What `curl -F username=bob -F password=…` sends."""
    answer = anonymous._client.post("/v2/auth/login/", {"username": "bob", "password": "correct horse"})
    assert (answer.status_code, answer.json()) == (200, {"token": bob.token})
    broken = anonymous._client.post("/v2/auth/login/", b"--x", content_type="multipart/form-data; boundary=x")
    assert broken.status_code == 400 and {"username", "password"} <= set(broken.json())


def test_a_wrong_password_is_no_401(bob, anonymous):
    for username in ("bob", "nobody"):
        answer = anonymous.post("/v2/auth/login/", {"username": username, "password": "wrong"})
        assert answer.status_code == 400
        assert answer.json() == {"non_field_errors": ["Unable to log in with provided credentials."]}


def test_the_database_holds_no_token(bob, in_process):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM controller_user")
        assert bob.token not in repr(cursor.fetchall())


def test_whoami(bob):
    me = bob.get("/v2/auth/whoami/").json()
    assert (me["username"], "id" in me) == ("bob", False)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", me["last_login"])


def test_passwords(bob, admin, anonymous):
    new = {"new_password": "another one"}
    assert bob.post("/v2/auth/passwd/", {}).json() == {"detail": "new_password is a required field"}
    assert bob.post("/v2/auth/passwd/", new).json() == {"detail": "password is a required field"}
    wrong = bob.post("/v2/auth/passwd/", new | {"password": "wrong"})
    assert (wrong.status_code, wrong.json()) == (401, {"detail": "Current password does not match"})
    assert bob.post("/v2/auth/passwd/", new | {"username": "admin", "password": "x"}).status_code == 403
    done = bob.post("/v2/auth/passwd/", new | {"password": "correct horse"})
    assert (done.status_code, done.json()) == (200, {"status": "password set"})
    assert anonymous.post("/v2/auth/login/", {"username": "bob", "password": "another one"}).status_code == 200
    assert bob.get("/v2/").status_code == 200
    assert admin.post("/v2/auth/passwd/", {"username": "bob", "new_password": "given horse"}).status_code == 200
    assert admin.post("/v2/auth/passwd/", {"username": "nobody", "new_password": "given horse"}).status_code == 404


def test_only_admins_regenerate_for_others(bob, admin):
    assert bob.post("/v2/auth/tokens/", {"username": "bob"}).status_code == 403
    assert bob.post("/v2/auth/tokens/", {"all": False}).status_code == 403
    assert len(admin.post("/v2/auth/tokens/", {"username": "bob"}).json()["token"]) == 40
    everyone = admin.post("/v2/auth/tokens/", {"all": True})
    assert (everyone.status_code, everyone.json()) == (200, "")
    assert admin.get("/v2/").status_code == 401


def test_cancel(live, admin, sign_in):
    refused = live.delete("/v2/auth/cancel/")
    assert refused.status_code == 409
    text = "bob still has applications assigned. Delete or transfer ownership"
    assert refused.json() == {"detail": text}
    carol = sign_in("carol")
    assert carol.delete("/v2/auth/cancel/", {"username": "bob"}).status_code == 403
    assert carol.delete("/v2/auth/cancel/", {"username": "carol"}).status_code == 204
    assert carol.get("/v2/").status_code == 401


def test_a_user_who_left_records_in_others_apps_stays(live, sign_in):
    carol = sign_in("carol")
    live.post("/v2/apps/blue/perms/", {"username": "carol"})
    assert carol.post("/v2/apps/blue/config/", {"values": {"A": "1"}}).status_code == 201
    refused = carol.delete("/v2/auth/cancel/")
    assert refused.status_code == 409
    assert refused.json()["detail"] == (
        "carol can't be deleted: config, builds or releases of the apps blue are theirs, and stay while those do"
    )


def test_users_and_administrators(bob, admin):
    for path in ("/v2/users/", "/v2/admin/perms/"):
        assert bob.get(path).status_code == 403
    assert [user["username"] for user in admin.get("/v2/users/").json()["results"]] == ["admin", "bob"]
    assert bob.post("/v2/admin/perms/", {"username": "bob"}).status_code == 403
    made = admin.post("/v2/admin/perms/", {"username": "bob"})
    assert (made.status_code, made.content) == (201, b"")
    assert {"username": "bob", "is_superuser": True} in admin.get("/v2/admin/perms/").json()["results"]
    assert admin.post("/v2/admin/perms/", {"username": "nobody"}).status_code == 404
    assert admin.delete("/v2/admin/perms/bob").status_code == 204
    assert bob.get("/v2/users/").status_code == 403


def test_names_may_have_marks_and_people_may_be_named(admin, anonymous):
    more = {"username": "carol.d+x@home_1-2", "first_name": "Carol", "last_name": "Danvers"}
    made = anonymous.post("/v2/auth/register/", NEW | more).json()
    assert {key: made[key] for key in more} == more
    assert anonymous.post("/v2/auth/register/", NEW | {"username": "y" * 150}).status_code == 201


def test_an_administrator_needs_no_old_password_and_may_step_down(admin, bob, anonymous):
    assert admin.post("/v2/auth/passwd/", {"new_password": "another horse"}).json() == {"status": "password set"}
    assert anonymous.post("/v2/auth/login/", {"username": "admin", "password": "another horse"}).status_code == 200
    admin.post("/v2/admin/perms/", {"username": "bob"})
    assert admin.delete("/v2/admin/perms/admin").status_code == 204
    assert admin.get("/v2/users/").status_code == 403
    assert bob.get("/v2/users/").status_code == 200
    missing = bob.delete("/v2/admin/perms/nobody")
    assert (missing.status_code, missing.json()) == (404, "No User matches the given query.")


def test_a_users_keys_go_with_them(bob, admin):
    public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hZfJ6ZV1y5Xq2c6l0wQ0v7z2q0m7rN7T5l5h0Y1Zb"
    bob.post("/v2/keys/", {"id": "laptop", "public": public})
    assert admin.delete("/v2/auth/cancel/", {"username": "bob"}).status_code == 204
    assert admin.post("/v2/keys/", {"id": "laptop", "public": public}).status_code == 201


def test_who_owns_a_certificate_stays(bob):
    from tests.contracts.deis_api.test_routing import make_pair

    certificate, key = make_pair()
    bob.post("/v2/certs/", {"name": "www", "certificate": certificate, "key": key})
    refused = bob.delete("/v2/auth/cancel/")
    text = "bob can't be deleted: these are theirs, remove them first: certificate www"
    assert (refused.status_code, refused.json()) == (409, {"detail": text})
    assert bob.get("/v2/auth/whoami/").status_code == 200
