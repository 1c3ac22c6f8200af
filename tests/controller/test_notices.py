"""Webhooks: signed, tried again, never lost, and never sent where they mustn't go; what is told, and how often."""

import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import pytest
from django.core import mail
from django.utils import timezone

from controller import disk, outgoing
from controller.actions import deliveries, disk_alarm, upkeep
from controller.actions.notices import emit
from controller.errors import ClusterTrouble
from controller.models import App, Certificate, Delivery, DiskAlarm, User
from controller.outgoing import Refused, checked_addresses, is_public
from tests.controller.harness import later

SECRET = "a secret of some length"


class Ear:
    """A web server that keeps what it is sent, and answers with `status`."""

    def __init__(self):
        ear, self.requests, self.status = self, [], 204

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                ear.requests.append((self.path, dict(self.headers), body))
                self.send_response(ear.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *args):
                """Quiet."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?t=1"

    def events(self):
        return [json.loads(body)["event"] for _, _, body in self.requests]


@pytest.fixture
def ear(settings):
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    made = Ear()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def hook(ear, blue):
    """A webhook of blue's; the path of its routes."""

    def added(**body):
        answer = blue.post("/v2/apps/blue/webhooks/", {"url": ear.url, "secret": SECRET, **body})
        assert answer.status_code == 201, answer.content
        return f"/v2/apps/blue/webhooks/{answer.json()['id']}"

    return added


def log_of(api, hook):
    return api.get(f"{hook}/deliveries").json()["results"]


def test_a_deploy_is_told_signed(hook, ear, push, blue):
    path = hook()
    push()
    ((target, headers, body),) = ear.requests
    assert target == "/hook?t=1" and headers["X-Paas-Event"] == "deploy.succeeded"
    signed = headers["X-Paas-Timestamp"].encode() + b"." + body
    assert headers["X-Paas-Signature"] == "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    told = json.loads(body)
    assert (told["app"], told["release"], told["sha"], told["user"]) == ("blue", "v2", "a1b2c3d4", "bob")
    (row,) = log_of(blue, path)
    assert (row["state"], row["status"], row["attempts"]) == ("sent", 204, 1)


def test_a_failed_deploy_is_told_with_its_reason(hook, ear, push, cluster):
    hook(events=["deploy.failed"])
    image = "127.0.0.1:5000/blue@sha256:" + "a1b2c3d4".ljust(64, "0")
    cluster.fates[image] = {
        "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"exitCode": 1, "reason": "Error"}},
    }
    assert push().status_code == 400
    assert ear.events() == ["deploy.failed"]
    assert "v2 did not go live: web crashed with exit code 1" in json.loads(ear.requests[0][2])["text"]


def test_only_what_was_asked_for_is_sent(hook, ear, push):
    hook(events=["process.crashed"])
    push()
    assert ear.requests == []


def test_a_refusal_is_tried_again_with_growing_pauses_then_given_up(hook, ear, push, blue):
    path, ear.status = hook(), 500
    push()
    for pause in deliveries.PAUSES:
        (row,) = Delivery.objects.all()
        wait = (row.next_try - timezone.now()).total_seconds()
        assert row.state == "queued" and pause - 5 < wait <= pause
        later(pause)
    (row,) = log_of(blue, path)
    assert (row["state"], row["error"]) == ("failed", "answered with status 500")
    assert len(ear.requests) == row["attempts"] == len(deliveries.PAUSES) + 1
    later(100_000)
    assert len(ear.requests) == row["attempts"]


def test_a_try_that_was_cut_off_is_made_again(hook, ear, push, monkeypatch):
    def killed(*args):
        raise SystemExit("as if by kill -9")

    hook()
    monkeypatch.setattr(deliveries, "post_json", killed)
    with pytest.raises(SystemExit):
        emit(App.objects.get(), "process.crashed", "x")
    assert Delivery.objects.get().state == "queued"
    monkeypatch.undo()
    later(0)
    assert Delivery.objects.get().state == "queued"
    later(deliveries.LEASE.total_seconds())
    assert Delivery.objects.get().state == "sent"


def test_a_delivery_is_sent_once_by_whoever_has_it(hook, ear):
    hook()
    emit(App.objects.get(), "process.crashed", "x")
    pk = Delivery.objects.get().pk
    deliveries.deliver(pk)
    assert len(ear.requests) == 1


def test_a_redirect_is_no_success_and_is_not_followed(hook, ear, blue):
    path, ear.status = hook(), 302
    blue.post(f"{path}/test")
    assert len(ear.requests) == 1
    assert log_of(blue, path)[0]["error"] == "answered with status 302"


def test_redelivering_sends_the_same_notice_again(hook, ear, push, blue):
    path = hook()
    push()
    number = log_of(blue, path)[0]["id"]
    assert blue.post(f"{path}/deliveries/{number}/redeliver").status_code == 201
    first, second = (json.loads(body) for _, _, body in ear.requests)
    assert first == second
    assert [row["id"] for row in log_of(blue, path)] == [number + 1, number]


def test_a_ping(hook, ear, blue):
    path = hook()
    blue.post(f"{path}/test")
    assert ear.events() == ["ping"]


def test_the_secret_is_shown_once_and_encrypted(hook, blue):
    made = blue.post("/v2/apps/blue/webhooks/", {"url": "https://example.com/x"}).json()
    assert len(made["secret"]) == 64
    assert "secret" not in blue.get(f"/v2/apps/blue/webhooks/{made['id']}").json()


@pytest.mark.parametrize("url", ["ftp://example.com/", "http://", "http://x:99999/", "javascript:1", "http://a b/"])
def test_no_address_at_all_is_refused(blue, url):
    answer = blue.post("/v2/apps/blue/webhooks/", {"url": url})
    assert answer.status_code == 400 and "url" in answer.json()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.9.9", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
     "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::", "64:ff9b::7f00:1", "2002:7f00:1::"],
)  # fmt: skip
def test_an_address_of_the_platforms_own_network_is_refused(address):
    assert not is_public(address)
    with pytest.raises(Refused, match="no public address") as caught:
        checked_addresses(address, 80)
    assert str(caught.value).count(address) == 1


def test_a_public_address_is_not():
    assert is_public("93.184.216.34") and is_public("2606:4700::1111")
    assert checked_addresses("93.184.216.34", 80) == ["93.184.216.34"]


def test_a_name_that_leads_inside_is_refused_when_it_is_used(ear, blue, settings, push):
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = False
    blue.post("/v2/apps/blue/webhooks/", {"url": ear.url.replace("127.0.0.1", "localhost")})
    push()
    assert ear.requests == [] and "no public address" in Delivery.objects.get().error


def test_an_answer_a_byte_at_a_time_keeps_no_worker(settings, monkeypatch):
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = True
    monkeypatch.setattr(outgoing, "DEADLINE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:

        def drip():
            peer = stack.enter_context(listener.accept()[0])
            with contextlib.suppress(OSError):
                peer.sendall(b"HTTP/1.1 200 OK\r\n")
                while True:
                    peer.sendall(b"X: 1\r\n")
                    time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with pytest.raises(Refused, match="in full within"):
            outgoing.post_json(f"http://127.0.0.1:{listener.getsockname()[1]}/", b"{}", {})
        assert time.monotonic() - began < 30


def test_another_address_of_the_name_is_tried(ear, hook, push, monkeypatch):
    port = urlsplit(ear.url).port
    found = [(2, 1, 6, "", ("127.0.0.2", port)), (2, 1, 6, "", ("127.0.0.1", port))]
    monkeypatch.setattr(outgoing.socket, "getaddrinfo", lambda *args, **more: found)
    hook(url=f"http://two.example:{port}/")
    push()
    assert ear.events() == ["deploy.succeeded"]


def test_what_breaks_a_delivery_is_given_up_in_time(hook, blue, push, monkeypatch):
    made = hook()
    monkeypatch.setattr(deliveries, "post_json", lambda *args: 1 / 0)
    push()
    assert "ZeroDivisionError" in log_of(blue, made)[0]["error"]
    for seconds in deliveries.PAUSES:
        later(seconds)
    assert (log_of(blue, made)[0]["state"], log_of(blue, made)[0]["attempts"]) == ("failed", 7)


# Mail


# Crashes and certificates


def pod(name, restarts, **ended):
    status = {"restartCount": restarts, "lastState": {"terminated": ended} if ended else {}}
    labels = {"app": "blue", "heritage": "deis", "type": "web"}
    return {
        "metadata": {"name": name, "namespace": "blue", "labels": labels},
        "status": {"containerStatuses": [status]},
    }


@pytest.fixture
def pods(monkeypatch):
    """The pods that a look at the cluster finds."""
    found = []

    class Nodes:
        def list(self, *args):
            return found, "1"

    monkeypatch.setattr(upkeep, "cluster", Nodes)
    return found


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
