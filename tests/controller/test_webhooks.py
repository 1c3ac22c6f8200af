"""Deliveries of git hosts, in the shapes GitHub, GitLab and Gitea send them."""

import hashlib
import hmac
import json
from urllib.parse import urlencode

import pytest
from django.test import Client

SHA = "5e" * 20
RUNS = "/v2/apps/blue/build-runs/"


@pytest.fixture
def secret(blue):
    source = {"url": "https://git.example.com/blue.git", "branch": "main"}
    return blue.post("/v2/apps/blue/git/", source).json()["secret"]


@pytest.fixture
def deliver(settings):
    def delivered(body: bytes, headers: dict, app="blue", kind="application/json"):
        headers = {"X-Deis-Builder-Auth": settings.BUILDER_KEY, **headers}
        return Client().generic("POST", f"/v2/hooks/webhook/{app}", body, content_type=kind, headers=headers)

    return delivered


def push_of(ref="refs/heads/main", after=SHA, **more) -> bytes:
    return json.dumps({"ref": ref, "before": "0" * 40, "after": after, **more}).encode()


def github(secret, body, event="push", delivery="72d3162e-cc78-11e3-81ab-4c9367dc0958"):
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-GitHub-Event": event, "X-GitHub-Delivery": delivery, "X-Hub-Signature-256": f"sha256={digest}"}


def gitlab(secret, body):
    return {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Event-UUID": "13792a34", "X-Gitlab-Token": secret}


def gitea(secret, body):
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"X-Gitea-Event": "push", "X-Gitea-Delivery": "f6266f16", "X-Gitea-Signature": digest}


@pytest.mark.parametrize("host", [github, gitlab, gitea])
def test_a_signed_push_queues_one_build(blue, deliver, secret, host):
    body = push_of()
    answer = deliver(body, host(secret, body))
    assert answer.status_code == 202 and "build 1 of blue is queued" in answer.json()["detail"]
    again = deliver(body, host(secret, body))
    assert "delivered before: build 1 is queued" in again.json()["detail"]
    run = blue.get(RUNS).json()["results"]
    assert [(one["source"], one["state"], one["sha"], one["by"]) for one in run] == [("webhook", "queued", SHA, "bob")]


@pytest.mark.parametrize("host", [github, gitlab, gitea])
def test_a_wrong_signature_is_refused(blue, deliver, secret, host):
    body = push_of()
    assert deliver(body, host("not-the-secret", body)).status_code == 401
    assert deliver(body, {}).status_code == 401
    assert blue.get(RUNS).json()["count"] == 0


def test_a_changed_body_is_refused(deliver, secret):
    assert deliver(push_of(after="66" * 20), github(secret, push_of())).status_code == 401


def test_an_app_without_a_connection_takes_no_delivery(blue, deliver):
    body = push_of()
    assert deliver(body, github("", body)).status_code == 401
    assert deliver(body, github("", body), app="none").status_code == 404


def test_what_asks_for_no_build_is_answered_in_words(blue, deliver, secret):
    def say(body, event="push"):
        answer = deliver(body, github(secret, body, event))
        assert answer.status_code == 200
        return answer.json()["detail"]

    assert "pong" in say(b'{"zen": "x"}', "ping")
    assert "blue is built from main" in say(push_of("refs/heads/other"))
    assert "blue is built from main" in say(push_of("refs/tags/v1"))
    assert "was deleted" in say(push_of(after="0" * 40))
    assert "only pushes are built" in say(b"{}", "issues")
    assert blue.get(RUNS).json()["count"] == 0


def test_a_failed_delivery_may_be_sent_again(blue, deliver, secret, builder):
    body = push_of()
    deliver(body, github(secret, body))
    run = blue.get(RUNS + "1").json()
    builder.post(f"/v2/hooks/build-runs/{run['uuid']}/", {"state": "failed", "cause": "x"})
    assert "build 2 of blue is queued" in deliver(body, github(secret, body)).json()["detail"]


def test_forms_and_broken_payloads(deliver, secret):
    body = urlencode({"payload": push_of().decode()}).encode()
    kind = "application/x-www-form-urlencoded"
    assert deliver(body, github(secret, body), kind=kind).status_code == 202
    for body in (b"{", b"[]", push_of(after="xyz"), b"[" * 10_000):
        assert deliver(body, github(secret, body, delivery="other")).status_code == 400
