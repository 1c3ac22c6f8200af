"""Mail about apps: to whoever asked and may see them, tried again, its failures told in the server's words."""

import socketserver
import threading

import pytest
from django.core import mail

from controller.actions import doctor
from controller.models import Delivery
from tests.controller.harness import later


def test_mail_can_be_tried_and_its_log_is_ones_own(blue, sign_in, settings):
    carol = sign_in("carol")
    assert blue.post("/v2/notifications/address/", {"email": "nowhere"}).status_code == 400
    assert blue.post("/v2/notifications/address/", {"email": "b@elsewhere.test"}).json() == {
        "email": "b@elsewhere.test"
    }
    assert blue.post("/v2/notifications/test/").status_code == 201
    assert [message.to for message in mail.outbox] == [["b@elsewhere.test"]]
    sent = mail.outbox[0].message()
    assert sent["Auto-Submitted"] == "auto-generated" and sent["Message-ID"].endswith("@paas.localhost>")
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    blue.post("/v2/notifications/test/")
    log = blue.get("/v2/notifications/deliveries/").json()["results"]
    assert [(row["event"], row["state"], row["app"]) for row in log] == [
        ("ping", "queued", None),
        ("ping", "sent", None),
    ]
    assert "127.0.0.1:1: connection refused" in log[0]["error"]
    assert carol.get("/v2/notifications/deliveries/").json()["count"] == 0


def test_who_has_no_address_gets_no_mail_and_is_told_how_to_have_one(blue, push):
    blue.post("/v2/notifications/", {})
    blue.post("/v2/notifications/address/", {"email": ""})
    assert "notifications:address" in blue.post("/v2/notifications/test/").json()["detail"]
    push()
    assert mail.outbox == []


class Postmaster(socketserver.StreamRequestHandler):
    """An SMTP server that knows no password."""

    def handle(self):
        self.wfile.write(b"220 mail.test\r\n")
        for line in self.rfile:
            word = line.split()[0].upper()
            answers = {b"EHLO": b"250-mail.test\r\n250 AUTH PLAIN\r\n", b"AUTH": b"535 5.7.8 wrong\r\n"}
            self.wfile.write(answers.get(word, b"250 ok\r\n"))


@pytest.mark.parametrize(
    ("password", "words"), [("wrong", "refused the login of me: 535 5.7.8 wrong"), ("pässwort", "in ASCII only")]
)
def test_a_refused_login_is_told_in_the_servers_words(blue, admin, settings, password, words):
    with socketserver.TCPServer(("127.0.0.1", 0), Postmaster) as server:  # one at a time: who is refused hangs up
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
        settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD = "me", password
        blue.post("/v2/notifications/test/")
        assert words in blue.get("/v2/notifications/deliveries/").json()["results"][0]["error"]
        (found,) = doctor.look_at_mail()
        assert found.level == "fail" and words in found.text
        server.shutdown()


def test_mail_goes_to_whoever_asked_and_may_see_the_app(blue, sign_in, push):
    carol = sign_in("carol")
    assert blue.post("/v2/notifications/", {"app": "blue", "events": ["deploy.succeeded"]}).status_code == 201
    carol.post("/v2/notifications/", {})
    assert carol.post("/v2/notifications/", {"app": "blue"}).status_code == 403
    push()
    assert [(message.to, message.subject) for message in mail.outbox] == [
        (["bob@example.test"], "blue: v2 is live: bob deployed a1b2c3d")
    ]
    assert "http://paas.localhost:8080/apps/blue/" in mail.outbox[0].body
    blue.post("/v2/apps/blue/access/", {"username": "carol", "role": "viewer"})
    push(sha="bbbbbbbb")
    assert [message.to for message in mail.outbox[1:]] == [["bob@example.test"], ["carol@example.test"]]


def test_mail_is_ended(blue, push):
    blue.post("/v2/notifications/", {})
    assert blue.get("/v2/notifications/").json()["mail"] == [{"app": None, "events": []}]
    assert blue.delete("/v2/notifications/").status_code == 204
    push()
    assert mail.outbox == []


def test_a_mail_server_that_is_away_is_tried_again(blue, push, settings):
    blue.post("/v2/notifications/", {})
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    assert push().status_code == 200
    row = Delivery.objects.get()
    assert (row.state, row.attempts) == ("queued", 1) and "could not be sent" in row.error
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    later(10)
    assert len(mail.outbox) == 1
