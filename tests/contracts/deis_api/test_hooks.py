"""Section 11, and what this builder sends beyond it."""

import json

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hZfJ6ZV1y5Xq2c6l0wQ0v7z2q0m7rN7T5l5h0Y1Zb bob@laptop"


def test_only_the_builders_key_opens_hooks(blue, anonymous, builder):
    for path in ("/v2/hooks/key/aa", "/v2/hooks/keys/blue", "/v2/hooks/keys/blue/bob"):
        assert anonymous.get(path).status_code == 401
        assert anonymous.get(path, **{"X-Deis-Builder-Auth": "wrong"}).status_code == 401
        assert blue.get(path).status_code == 403
        assert builder.get(path).status_code in (200, 404)


def test_keys_by_fingerprint_and_by_app(blue, builder):
    key = blue.post("/v2/keys/", {"id": "laptop", "public": PUBLIC}).json()
    found = builder.get(f"/v2/hooks/key/{key['fingerprint']}")
    uuid = blue.get("/v2/apps/blue").json()["uuid"]
    assert found.json() == {"username": "bob", "apps": ["blue"], "uuids": {"blue": uuid}}
    entry = {"key": PUBLIC, "fingerprint": key["fingerprint"]}
    assert builder.get("/v2/hooks/keys/blue/bob").json() == {"bob": [entry]}
    assert builder.get("/v2/hooks/keys/blue").json() == {"bob": [entry]}
    assert builder.get("/v2/hooks/key/00:11").json() == "No Key matches the given query."


def test_strangers_may_not_push(blue, builder, sign_in, push):
    sign_in("carol")
    assert builder.get("/v2/hooks/keys/blue/carol").status_code == 403
    assert push(user="carol").status_code == 403
    assert push(app="none").status_code == 404
    assert push(user="nobody").status_code == 404
    assert builder.get("/v2/hooks/keys/blue/bob").status_code == 404


def test_the_config_hook_gives_the_whole_config(blue, builder):
    blue.post("/v2/apps/blue/config/", {"values": {"A": "1"}})
    answer = builder.post("/v2/hooks/config/", {"receive_user": "bob", "receive_repo": "blue"})
    assert (answer.status_code, answer.json()["values"]) == (200, {"A": "1"})


def test_the_build_hook_answers_with_the_release(blue, push):
    answer = push()
    assert (answer.status_code, answer.json()) == (200, {"release": {"version": 2}})


def test_the_build_hook_tells_on_the_way(blue, builder, push):
    body = {"receive_user": "bob", "receive_repo": "blue", "image": f"r.test/blue@sha256:{1:064}", "sha": "a1b2c3d4"}
    answer = builder.post("/v2/hooks/build/", body, Accept="application/x-ndjson")
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert lines[-1] == {"release": {"version": 2}}
    assert all(set(line) == {"message"} for line in lines[:-1])


def test_a_failed_deploy_tells_the_hook_why(blue, push, cluster):
    image = "127.0.0.1:5000/blue@sha256:" + "a1b2c3d4".ljust(64, "0")
    ended = {"exitCode": 1, "reason": "Error"}
    cluster.fates[image] = {
        "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": ended},
    }
    cluster.outputs["web"] = "Traceback\nKeyError: 'X'\n"
    answer = push()
    assert answer.status_code == 400
    assert answer.json() == {"detail": "web crashed with exit code 1: Traceback | KeyError: 'X'"}
