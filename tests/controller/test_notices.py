"""Webhooks: signed, tried again, never lost, and never sent where they mustn't go."""

import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from controller import outgoing
from controller.actions import deliveries
from controller.actions.notices import emit
from controller.models import App, Delivery, Webhook
from controller.outgoing import Refused, checked_addresses, is_public
from tests.controller.harness import later
from tests.controller.receivers import SECRET, log_of


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
    blue.post("/v2/apps/blue/webhooks/", {"url": ear.url.replace("127.0.0.1", "localhost")})
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = False
    push()
    assert ear.requests == [] and "no public address" in Delivery.objects.get().error


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://[::1]:80/", "https://10.1.2.3/x", "http://localhost/"])
def test_an_address_that_leads_inside_is_refused_at_once(blue, url):
    answer = blue.post("/v2/apps/blue/webhooks/", {"url": url})
    assert answer.status_code == 400 and "no public address" in answer.json()["url"][0]
    assert not Webhook.objects.exists()


def test_a_name_without_an_address_may_have_one_later(blue):
    made = blue.post("/v2/apps/blue/webhooks/", {"url": "https://nowhere.invalid/"})
    assert made.status_code == 201
    tried = blue.post(f"/v2/apps/blue/webhooks/{made.json()['id']}/test")
    assert tried.status_code == 400 and "can't be resolved" in tried.json()["detail"]


def test_trying_one_that_leads_inside_by_now_is_refused_at_once(hook, ear, blue, settings):
    path = hook()
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = False
    answer = blue.post(f"{path}/test")
    assert answer.status_code == 400 and "no public address" in answer.json()["detail"]
    assert not Delivery.objects.exists()


def test_a_name_is_looked_up_once_and_the_connection_goes_to_what_was_checked(ear, monkeypatch, settings):
    """A name that changes between the check and the connection gains nothing."""
    settings.WEBHOOKS_TO_PRIVATE_ADDRESSES = False
    port, asked, reached = urlsplit(ear.url).port, [], []

    def answer(host, *args, **more):
        asked.append(host)
        return [(2, 1, 6, "", ("93.184.216.34" if len(asked) == 1 else "127.0.0.1", port))]

    def connect(address, timeout):
        reached.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(outgoing.socket, "getaddrinfo", answer)
    monkeypatch.setattr(outgoing.socket, "create_connection", connect)
    with pytest.raises(Refused, match="could not be reached"):
        outgoing.post_json(f"http://rebinds.example:{port}/", b"{}", {})
    assert (asked, reached) == (["rebinds.example"], [("93.184.216.34", port)])
    with pytest.raises(Refused, match="no public address"):
        outgoing.post_json(f"http://rebinds.example:{port}/", b"{}", {})
    assert len(reached) == 1


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
