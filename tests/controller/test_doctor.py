"""`paas doctor`: each check says what it saw; what is broken fails by itself, with what to do."""

from datetime import timedelta

import pytest
from django.utils import timezone

from controller import disk
from controller.actions import doctor
from controller.models import App, Certificate, Operation, User


def levels(admin):
    answer = admin.get("/v2/doctor")
    assert answer.status_code == 200
    return {each["name"]: each for each in answer.json()["findings"]}


def test_everything_is_looked_at_although_half_of_it_is_away(admin, settings):
    """No Redis, registry or router here: those fail with what to do, the others are told all the same."""
    settings.REGISTRY_HOST = "127.0.0.1:1"
    found = levels(admin)
    assert {"domain", "disk", "memory", "database", "work", "certificates", "registry", "redis"} <= found.keys()
    assert found["redis"]["level"] == found["registry"]["level"] == "fail"
    assert found["database"]["level"] == "ok", found["database"]
    assert all(each["fix"] for each in found.values() if each["level"] != "ok")


@pytest.mark.parametrize(
    ("share", "level", "refused"), [(0.5, "ok", False), (0.06, "warn", False), (0.01, "fail", True)]
)
def test_a_disk_that_fills_is_told_and_then_refuses_builds(blue, admin, builder, monkeypatch, share, level, refused):
    monkeypatch.setattr(disk, "room", lambda: disk.Room(int(share * (20 << 30)), 20 << 30))
    assert next(doctor.look_at_disk()).level == level
    run = builder.post("/v2/hooks/build-runs/", {"receive_user": "bob", "receive_repo": "blue", "source": "git-ssh"})
    assert run.status_code == (507 if refused else 201)
    if refused:
        assert "disk is nearly full" in run.json()["detail"] and "paas gc" in run.json()["detail"]


def test_large_disks_are_low_by_bytes_not_by_share():
    assert not disk.Room(30 << 30, 4000 << 30).is_low and disk.Room(4 << 30, 4000 << 30).is_low


def test_an_ending_certificate_and_waiting_work_are_told(live, admin):
    bob, app = User.objects.get(username="bob"), App.objects.get(name="blue")
    now = timezone.now()
    Certificate.objects.create(owner=bob, name="old", expires=now - timedelta(days=1), starts=now - timedelta(days=90))
    row = Operation.objects.filter(app=app).first()
    Operation.objects.filter(pk=row.pk).update(state=Operation.QUEUED, created=now - timedelta(minutes=5))
    found = levels(admin)
    assert found["certificate"]["level"] == "fail" and "old ends" in found["certificate"]["text"]
    assert found["work"]["level"] == "fail"


@pytest.mark.parametrize(
    ("conditions", "level"),
    [
        ([{"type": "Ready", "status": "True"}], "ok"),
        ([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}], "fail"),
        ([{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}], "warn"),
        ([{"type": "Ready", "status": "True", "lastHeartbeatTime": "2199-01-01T00:00:00Z"}], "warn"),
    ],
)
def test_nodes_are_judged_by_their_conditions(conditions, level):
    node = {"metadata": {"name": "n1"}, "status": {"conditions": conditions}}
    assert doctor.look_at_node(node).level == level
