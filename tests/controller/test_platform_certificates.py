"""The platform's own certificates: administrators are told before they end, once at each threshold."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from controller.actions import platform_certificates
from controller.actions.app import create_app
from controller.cluster.pki import Certificate
from controller.errors import ClusterTrouble
from controller.models import CertificateAlarm, MailSubscription, Notice, User, Webhook
from controller.tasks.notices import look_at_certificates

NOW = datetime(2026, 1, 1, tzinfo=UTC)
API = "the API server's"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def people(settings):
    """An administrator and a plain user who both want mail about everything."""
    settings.MAIL_ENABLED = True
    made = {}
    for name in ("admin", "bob"):
        user = User.objects.create(username=name, email=f"{name}@example.test", is_superuser=name == "admin")
        MailSubscription.objects.create(user=user, app=None)
        made[name] = user
    return made


def tell(days, name=API, end=None):
    """Looks `days` before the certificate ends; how many notices there are then."""
    end = end or NOW
    platform_certificates.tell(Certificate(name, end), end - timedelta(days=days))
    return Notice.objects.count()


def test_each_threshold_is_told_of_once(people):
    days = (90, 61.5, 60.5, 60.2, 45, 30.5, 29, 14, 8, 7, 3, 2, 1, 0.5, -0.1, -5)
    counts = [tell(each) for each in days]
    assert counts == [0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6, 7, 7]


def test_one_that_was_made_anew_is_told_of_again_when_its_turn_comes(people):
    assert tell(2) == 1
    later = NOW + timedelta(days=825)
    assert tell(825, end=later) == 1
    assert not CertificateAlarm.objects.exists()
    assert tell(2, end=later) == 2
    assert tell(2, end=later + timedelta(days=30)) == 3  # renewed for so short that no look saw it far away


def test_each_certificate_is_told_of_by_itself(people):
    assert tell(2) == 1
    assert tell(2, name="the controller's own") == 2
    assert tell(2) == 2


def test_the_notice_says_which_when_and_what_to_do(people):
    tell(14)
    tell(0.5, name="the cluster's authority")
    tell(-1, name="the kubelet's of node n1")
    texts = list(Notice.objects.order_by("pk").values_list("event", "text", "app"))
    assert texts[0][1].startswith("of the platform's certificates, the API server's ends on 2026-01-01, in 14 days; ")
    assert "`make down && make up`" in texts[0][1]
    assert "within a day; make a new one: `make down`, move $PAAS_HOME/orchestrator/pki away" in texts[1][1]
    assert "the kubelet's of node n1 ended on 2026-01-01" in texts[2][1]
    assert {(event, app) for event, _, app in texts} == {("platform_certificate.expiring", None)}


def test_administrators_alone_hear_of_it_by_mail_and_webhook(people):
    bob = people["bob"]
    app = create_app(by=bob, name="blue")
    for number, (owner, events) in enumerate(
        [(bob, []), (people["admin"], ["platform_certificate.expiring"]), (people["admin"], ["disk.low"])]
    ):
        Webhook.objects.create(app=app, owner=owner, url=f"https://hooks.test/{number}", secret="x", events=events)
    tell(3)
    notice = Notice.objects.get()
    assert [row.webhook.url for row in notice.deliveries.exclude(webhook=None)] == ["https://hooks.test/1"]
    assert [row.user.username for row in notice.deliveries.exclude(user=None)] == ["admin"]
    assert {to for message in mail.outbox for to in message.to} <= {"admin@example.test"}


def test_a_cluster_that_does_not_answer_delays_the_notice_and_breaks_nothing(people, monkeypatch):
    def away():
        raise ClusterTrouble("no answer")

    monkeypatch.setattr(platform_certificates, "found", away)
    look_at_certificates()
    assert not Notice.objects.exists()
    soon = [Certificate(API, datetime.now(UTC) + timedelta(days=5))]
    monkeypatch.setattr(platform_certificates, "found", lambda: soon)
    look_at_certificates()
    look_at_certificates()
    assert Notice.objects.count() == 1


def test_the_certificate_of_the_platforms_address_counts_when_it_is_https(monkeypatch, settings):
    asked = []
    monkeypatch.setattr(platform_certificates.pki, "shown_by", lambda host, port: asked.append((host, port)) or NOW)
    settings.KUBECONFIG = ""
    settings.PLATFORM_URL = "http://paas.example.test:8080"
    assert platform_certificates.found() == []
    settings.PLATFORM_URL = "https://paas.example.test"
    assert platform_certificates.found() == [Certificate(platform_certificates.ROUTER, NOW)]
    assert asked == [("paas.example.test", 443)]
    assert "default.crt" in platform_certificates.renewal(platform_certificates.ROUTER)
