"""The audit trail: every write is there, no secret is, and nothing changes it afterwards."""

import json

import pytest
from django.db import DatabaseError, transaction

from controller.models import AuditEntry, AuditOutcome


@pytest.fixture(autouse=True)
def since(database):
    """The trail outlives each test's data; what is older than the test doesn't count."""
    newest = AuditEntry.objects.order_by("-id").values_list("id", flat=True).first() or 0
    return lambda: list(AuditEntry.objects.filter(id__gt=newest).select_related("outcome").order_by("id"))


def test_a_write_says_who_what_and_from_where(live, since):
    live.post("/v2/apps/blue/scale/", {"worker": 2})
    entry = since()[-1]
    assert (entry.actor, entry.via, entry.address, entry.app) == ("bob", "login", "127.0.0.1", "blue")
    assert (entry.action, entry.detail) == ("POST /v2/apps/blue/scale/", {"worker": 2})
    assert entry.outcome.status == 204


def test_a_push_is_told_under_the_name_of_who_pushed(live, push, since):
    push(sha="bbbbbbbb", receive_address="192.0.2.7")
    entry = since()[-1]
    assert (entry.actor, entry.via, entry.address, entry.app) == ("bob", "git push", "192.0.2.7", "blue")
    assert entry.detail["sha"] == "bbbbbbbb" and entry.outcome.status == 200


def test_refused_attempts_are_told(live, sign_in, since):
    carol = sign_in("carol")
    carol.delete("/v2/apps/blue/")
    carol.post("/v2/apps/blue/config/", b"{broken")
    refused = [(entry.actor, entry.action, entry.outcome.status) for entry in since() if entry.actor == "carol"]
    assert refused[-2:] == [("carol", "DELETE /v2/apps/blue/", 403), ("carol", "POST /v2/apps/blue/config/", 403)]


def test_reading_leaves_no_entry(live, since):
    before = len(since())
    live.get("/v2/apps/blue/config/")
    assert len(since()) == before


def test_no_secret_is_kept(live, since):
    live.post("/v2/apps/blue/config/", {"values": {"PASSWORD": "s3cret"}, "registry": {"password": "s3cret"}})
    live.post("/v2/auth/passwd/", {"password": "s3cret", "new_password": "s3cret s3cret"})
    live.post("/v2/certs/", {"name": "c", "certificate": "s3cret", "key": "-----BEGIN s3cret"})
    live.post("/v2/apps/blue/run", {"command": "login s3cret"})
    live.post("/v2/apps/blue/", {"s3": "s3cret"})
    told = json.dumps([[entry.action, entry.detail] for entry in since()])
    assert "s3cret" not in told
    assert '"values": ["PASSWORD"]' in told


def test_everybody_sees_their_own_deeds_and_the_administrator_all(live, admin, sign_in):
    carol = sign_in("carol")
    carol.post("/v2/apps/", {"id": "carols"})
    assert {row["actor"] for row in carol.get("/v2/audit/").json()["results"]} == {"carol"}
    assert {"bob", "carol"} <= {row["actor"] for row in admin.get("/v2/audit/").json()["results"]}
    rows = live.get("/v2/apps/blue/audit/").json()["results"]
    assert rows and {row["app"] for row in rows} == {"blue"}
    assert carol.get("/v2/apps/blue/audit/").status_code == 403


def test_an_apps_trail_has_nothing_of_its_namesake(live, since):
    live.delete("/v2/apps/blue/")
    live.post("/v2/apps/", {"id": "blue"})
    assert live.get("/v2/apps/blue/audit/").json()["results"] == []


@pytest.mark.parametrize("model", [AuditEntry, AuditOutcome])
def test_the_database_refuses_changes(live, model):
    for change in (lambda: model.objects.update(id=1), lambda: model.objects.all()._raw_delete("default")):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


def test_an_entry_is_there_before_the_deed(live, since, monkeypatch):
    def killed(**fields):
        raise SystemExit("as if by kill -9")

    monkeypatch.setattr("controller.api.apps.actions.scale_app", killed)
    with pytest.raises(SystemExit):
        live.post("/v2/apps/blue/scale/", {"worker": 2})
    assert since()[-1].action == "POST /v2/apps/blue/scale/"
    assert not hasattr(since()[-1], "outcome")
    assert live.get("/v2/apps/blue/audit/").json()["results"][0]["status"] is None


def test_the_trail_costs_no_more_queries_when_it_grows(live, django_assert_max_num_queries):
    for count in range(5):
        live.post("/v2/apps/blue/scale/", {"worker": count})
    with django_assert_max_num_queries(6):
        live.get("/v2/apps/blue/audit/")


def test_a_push_that_was_recorded_says_where_it_came_from(live, builder, push, since):
    body = {"receive_user": "bob", "receive_repo": "blue", "source": "git-ssh", "origin": "192.0.2.9"}
    run = builder.post("/v2/hooks/build-runs/", body).json()["uuid"]
    push(sha="cccccccc", run=run)
    assert since()[-1].address == "192.0.2.9"
