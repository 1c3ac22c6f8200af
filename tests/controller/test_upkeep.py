"""What nobody asks for and everybody wants to know: crashes, certificates that end, failed schedules, full disks."""

import json
from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from controller import disk
from controller.actions import disk_alarm, upkeep
from controller.errors import ClusterTrouble
from controller.models import App, Certificate, DiskAlarm, User
from tests.controller.receivers import SECRET


def pod(name, restarts, **ended):
    status = {"restartCount": restarts, "lastState": {"terminated": ended} if ended else {}}
    labels = {"app": "blue", "heritage": "deis", "type": "web"}
    return {
        "metadata": {"name": name, "namespace": "blue", "labels": labels},
        "status": {"containerStatuses": [status]},
    }


def test_a_crash_is_told_once(hook, ear, live, pods):
    hook()
    pods[:] = [pod("blue-web-1", 1)]
    upkeep.look_for_crashes()
    assert ear.requests == []
    pods[:] = [pod("blue-web-1", 2, exitCode=3), pod("blue-web-2", 1, exitCode=137, reason="OOMKilled")]
    upkeep.look_for_crashes()
    upkeep.look_for_crashes()
    assert ear.events() == ["process.crashed"]
    assert json.loads(ear.requests[0][2])["text"] == (
        "blue-web-1 ended with exit code 3 (restarted 2 times)\nblue-web-2 ran out of memory (restarted 1 time)"
    )


def test_a_crash_loop_is_told_of_every_ten_minutes_at_most(hook, ear, live, pods):
    hook()
    for restarts in range(5):
        pods[:] = [pod("blue-web-1", restarts, exitCode=1)]
        upkeep.look_for_crashes()
    assert len(ear.requests) == 1
    mark = App.objects.get().crash_mark
    mark.told -= upkeep.QUIET
    mark.save()
    upkeep.look_for_crashes()
    assert len(ear.requests) == 2


def test_a_certificate_is_told_of_as_its_end_comes_nearer(hook, ear, live):
    hook(events=["certificate.expiring"])
    bob = User.objects.get(username="bob")
    made = Certificate.objects.create(
        owner=bob, name="www", certificate="x", key="y", fingerprint="z", starts=timezone.now(), expires=timezone.now()
    )
    App.objects.get().domains.update(certificate=made)
    told = []
    for days in (40, 29, 28, 13, 2.5, 0.5, -1):
        Certificate.objects.filter(pk=made.pk).update(expires=timezone.now() + timedelta(days=days))
        upkeep.look_at_certificates()
        told.append(len(ear.requests))
    assert told == [0, 1, 1, 2, 3, 4, 4]
    assert "within a day; replace it" in json.loads(ear.requests[-1][2])["text"]


def test_a_certificate_that_serves_no_app_is_told_to_its_owner_by_mail(live):
    bob = User.objects.get(username="bob")
    live.post("/v2/notifications/", {})
    soon = timezone.now() + timedelta(days=5)
    Certificate.objects.create(
        owner=bob, name="www", certificate="x", key="y", fingerprint="z", starts=timezone.now(), expires=soon
    )
    upkeep.look_at_certificates()
    assert [message.to for message in mail.outbox] == [["bob@example.test"]]


def test_a_failed_run_of_a_schedule_is_told_once(hook, ear, live, cluster, monkeypatch):
    hook(events=["cron.failed"])
    monkeypatch.setattr(upkeep, "cluster", lambda: cluster)

    def job(name, ended):
        labels = {"heritage": "deis", "app": "blue", "type": "cron-nightly"}
        failed = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "lastTransitionTime": ended}
        return {
            "kind": "Job",
            "metadata": {"name": name, "namespace": "blue", "labels": labels, "creationTimestamp": ended},
            "status": {"conditions": [failed]},
        }

    now = timezone.now()
    stamps = [moment.strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (now, now - timedelta(hours=1))]
    jobs = [job("nightly-2", stamps[0]), job("nightly-1", stamps[1])]
    monkeypatch.setattr(cluster, "list", lambda kind, *args: (jobs if kind == "Job" else [], "1"))
    upkeep.look_for_failed_runs()
    upkeep.look_for_failed_runs()
    assert [json.loads(body)["text"].partition(";")[0] for _, _, body in ear.requests] == [
        "cron nightly failed: its time was over"
    ]
    jobs.clear()
    upkeep.look_for_failed_runs()
    assert App.objects.get().crash_mark.failed_runs == []


# The platform's disks


@pytest.fixture
def room(monkeypatch, pods):
    """Says how much of a disk of 20 GiB is free; no node says anything."""
    monkeypatch.setattr(disk_alarm, "cluster", upkeep.cluster)

    def free(share):
        monkeypatch.setattr(disk, "room", lambda: disk.Room(int(share * (20 << 30)), 20 << 30))
        disk_alarm.look()

    return free


def test_a_disk_is_told_of_when_it_becomes_low_and_when_it_has_room_again(ear, blue, admin, room):
    admin.post("/v2/apps/blue/webhooks/", {"url": ear.url, "secret": SECRET})
    told = []
    for share in (0.5, 0.099, 0.101, 0.099, 0.02, 0.14, 0.151, 0.12, 0.099):
        room(share)
        told.append(len(ear.requests))
    assert told == [0, 1, 1, 1, 1, 1, 2, 2, 3]
    assert ear.events() == ["disk.low", "disk.recovered", "disk.low"]
    begun = json.loads(ear.requests[0][2])
    assert begun["app"] is None
    assert begun["text"].startswith(f"{disk_alarm.PLATFORM} is nearly full: 2.0 of 20 GiB free. `paas gc` removes")


def test_only_administrators_hear_of_disks_and_each_address_once(ear, blue, admin, room):
    for name in ("blue", "green"):
        admin.post("/v2/apps/", {"id": name})
        admin.post(f"/v2/apps/{name}/webhooks/", {"url": ear.url, "secret": SECRET})
    blue.post("/v2/apps/blue/webhooks/", {"url": f"{ear.url}&bob", "secret": SECRET})
    for user in (admin, blue):
        assert user.post("/v2/notifications/", {"events": ["disk.low"]}).status_code == 201
    room(0.05)
    assert [path for path, _, _ in ear.requests] == ["/hook?t=1"]
    assert [message.to for message in mail.outbox] == [["admin@example.test"]]
    assert "is nearly full: 1.0 of 20 GiB free" in mail.outbox[0].subject + mail.outbox[0].body


def node(name, pressed):
    said = "the disk is 97 % full" if pressed else "there is enough room"
    condition = {"type": "DiskPressure", "status": "True" if pressed else "False", "message": said}
    return {"metadata": {"name": name}, "status": {"conditions": [condition]}}


def test_nodes_with_full_disks_are_told_of_until_they_recover_or_go(ear, blue, admin, room, pods):
    admin.post("/v2/apps/blue/webhooks/", {"url": ear.url, "secret": SECRET})
    for nodes in ([node("n1", True), node("n2", True)], [node("n1", True), node("n2", False)], [node("n2", False)]):
        pods[:] = nodes
        room(0.5)
    texts = [json.loads(body)["text"] for _, _, body in ear.requests]
    assert texts[0].startswith("the disk of node n1 is nearly full: the disk is 97 % full. It takes no new processes")
    assert [text.partition(" after")[0] for text in texts[2:]] == [
        "the disk of node n2 has room again", "the disk of node n1 has room again",
    ]  # fmt: skip
    assert not DiskAlarm.objects.exists()


def test_a_cluster_that_is_away_changes_no_alarm(ear, blue, admin, room, pods, monkeypatch):
    pods[:] = [node("n1", True)]
    room(0.5)

    class Away:
        def list(self, *args):
            raise ClusterTrouble("away")

    monkeypatch.setattr(disk_alarm, "cluster", Away)
    disk_alarm.look()
    assert DiskAlarm.objects.get().place == "the disk of node n1"
