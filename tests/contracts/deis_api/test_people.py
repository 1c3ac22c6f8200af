"""Sections 0.7, 2 and 10: who may do what, keys, collaborators."""

import pytest

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hZfJ6ZV1y5Xq2c6l0wQ0v7z2q0m7rN7T5l5h0Y1Zb"
OTHER = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ== other"

READS = ["", "config/", "builds/", "releases/", "releases/v1/", "pods/", "domains/", "settings/", "whitelist/", "tls/",
         "perms/", "services/", "logs"]  # fmt: skip
POSTS = [
    ("config/", {"values": {"X": "1"}}, 201),
    ("scale/", {"worker": 1}, 204),
    ("domains/", {"domain": "c.example.test"}, 201),
    ("settings/", {"maintenance": True}, 201),
    ("whitelist/", {"addresses": ["1.2.3.4"]}, 201),
    ("tls/", {"https_enforced": True}, 201),
    ("services/", {"procfile_type": "worker", "path_pattern": "/api"}, 201),
    ("run", {"command": "ls"}, 200),
    ("pods/restart/", None, 200),
    ("releases/rollback/", {"version": 2}, 201),
    ("builds/", {"image": "example/x", "sha": "abc12345", "procfile": {"web": "x"}}, 201),
]
DELETES = [
    ("", None),
    ("domains/blue", None),
    ("whitelist/", {"addresses": ["9.9.9.9"]}),
    ("services/", {"procfile_type": "web"}),
    ("perms/bob", None),
]


def test_a_collaborator_reads_and_posts(live, sign_in):
    carol = sign_in("carol")
    live.post("/v2/apps/blue/perms/", {"username": "carol"})
    for tail in READS:
        assert carol.get(f"/v2/apps/blue/{tail}").status_code == 200, tail
    for tail, body, status in POSTS:
        assert carol.post(f"/v2/apps/blue/{tail}", body).status_code == status, tail


def test_a_collaborator_deletes_transfers_and_grants_nothing(live, sign_in):
    carol = sign_in("carol")
    live.post("/v2/apps/blue/perms/", {"username": "carol"})
    for tail, body in DELETES:
        assert carol.delete(f"/v2/apps/blue/{tail}", body).status_code == 403, tail
    assert carol.post("/v2/apps/blue/", {"owner": "carol"}).status_code == 403
    assert carol.post("/v2/apps/blue/perms/", {"username": "admin"}).status_code == 403
    assert carol.delete("/v2/apps/blue/perms/carol").status_code == 204
    assert carol.get("/v2/apps/blue/").status_code == 403


def test_a_stranger_is_refused_everywhere(live, sign_in):
    carol = sign_in("carol")
    for tail in READS:
        assert carol.get(f"/v2/apps/blue/{tail}").status_code == 403, tail
    for tail, body, _ in POSTS:
        answer = carol.post(f"/v2/apps/blue/{tail}", body)
        assert answer.status_code == 403, tail
        assert answer.json() == {"detail": "You do not have permission to perform this action."}
    for tail, body in DELETES:
        assert carol.delete(f"/v2/apps/blue/{tail}", body).status_code == 403, tail


def test_an_administrator_may_do_everything(live, admin):
    for tail in READS:
        assert admin.get(f"/v2/apps/blue/{tail}").status_code == 200, tail
    for tail, body, status in POSTS:
        assert admin.post(f"/v2/apps/blue/{tail}", body).status_code == status, tail
    assert admin.delete("/v2/apps/blue/").status_code == 204


def test_nobody_unknown_gets_in(live, anonymous):
    for tail in READS:
        assert anonymous.get(f"/v2/apps/blue/{tail}").status_code == 401, tail
    for tail, body, _ in POSTS:
        assert anonymous.post(f"/v2/apps/blue/{tail}", body).status_code == 401, tail


def test_perms_list_only_collaborators(live, sign_in):
    sign_in("carol")
    assert live.get("/v2/apps/blue/perms/").json() == {"users": []}
    made = live.post("/v2/apps/blue/perms/", {"username": "carol"})
    assert (made.status_code, made.content) == (201, b"")
    assert live.get("/v2/apps/blue/perms").json() == {"users": ["carol"]}
    assert live.post("/v2/apps/blue/perms/", {"username": "nobody"}).status_code == 404
    assert live.delete("/v2/apps/blue/perms/carol").status_code == 204
    assert live.delete("/v2/apps/blue/perms/carol").status_code == 403


def test_a_key_object(bob):
    made = bob.post("/v2/keys/", {"id": "bob@laptop", "public": f"  {PUBLIC} \n"})
    assert made.status_code == 201
    key = made.json()
    assert set(key) == {"uuid", "owner", "created", "updated", "id", "public", "fingerprint"}
    assert key["public"] == PUBLIC
    assert key["fingerprint"].count(":") == 15 and key["fingerprint"].islower()
    assert bob.get("/v2/keys/bob@laptop").json() == key
    assert bob.delete("/v2/keys/bob@laptop").status_code == 204
    assert bob.delete("/v2/keys/bob@laptop").json() == "No Key matches the given query."


def test_key_names_and_keys_are_unique_over_all_users(bob, admin):
    bob.post("/v2/keys/", {"id": "laptop", "public": PUBLIC})
    same_name = admin.post("/v2/keys/", {"id": "laptop", "public": OTHER})
    assert (same_name.status_code, same_name.json()) == (400, {"id": ["SSH Key with this id already exists."]})
    same_key = admin.post("/v2/keys/", {"id": "desk", "public": PUBLIC})
    assert same_key.json() == {"public": ["Public Key is already in use"]}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"id": "k", "public": "ssh-rsa no!base64"}, {"public": ["Key contains invalid base64 chars"]}),
        ({"id": "k", "public": "oneword"}, {"public": ["Key contains invalid base64 chars"]}),
        ({"id": "k", "public": ""}, {"public": ["This field may not be blank."]}),
        ({"id": "x" * 129, "public": PUBLIC}, {"id": ["Ensure this field has no more than 128 characters."]}),
    ],
)
def test_key_errors(bob, body, error):
    answer = bob.post("/v2/keys/", body)
    assert (answer.status_code, answer.json()) == (400, error)


def test_keys_are_private_even_to_administrators(bob, admin):
    bob.post("/v2/keys/", {"id": "laptop", "public": PUBLIC})
    assert admin.get("/v2/keys/").json()["results"] == []
    assert admin.get("/v2/keys/laptop").status_code == 404


def test_keys_are_listed_by_their_text_and_of_any_type(bob):
    for name, public in (("b", "ssh-rsa AAAAB3Nz"), ("a", "ecdsa-sha2-nistp256 AAAAE2Vj x"), ("c", "ssh-dss AAAAB3M=")):
        assert bob.post("/v2/keys/", {"id": name, "public": public}).status_code == 201
    assert [key["id"] for key in bob.get("/v2/keys/").json()["results"]] == ["a", "c", "b"]
    assert bob.get("/v2/keys/?limit=2").json()["next"].endswith("/v2/keys/?limit=2&offset=2")
