"""An app's webhooks: what is secret stays so, what was sent is told, and sent again."""

import re

import pytest

from controller.actions import app_webhooks
from controller.dashboard.webhook_pages import shown_address
from controller.models import Webhook
from controller.models.notice import Delivery, Notice
from tests.dashboard.test_pages import text_of, words

URL = "https://ci.example.test/paas?token=hush"


@pytest.fixture
def hook(admin, deployed):
    fields = {"url": URL, "events": ["deploy.failed", "process.crashed"]}
    page = text_of(admin.send("/apps/shop/webhooks/", "/apps/shop/webhooks/add/", **fields))
    made = Webhook.objects.get()
    assert re.search(r'data-text="([0-9a-f]{64})"', page)[1] == made.secret and "hush" not in page
    return made


@pytest.fixture
def deliver(hook):
    def deliver(state, **more):
        notice = Notice.objects.create(app=hook.app, event="deploy.failed", text="v3 failed")
        return hook.deliveries.create(notice=notice, state=state, attempts=2, **more)

    return deliver


def test_its_secret_is_shown_once_and_its_token_never(admin, hook):
    for page in ("/apps/shop/webhooks/", f"/apps/shop/webhooks/{hook.pk}/"):
        seen = text_of(admin.get(page))
        assert "https://ci.example.test/paas?…" in seen and hook.secret not in seen and "hush" not in seen
    assert hook.events == ["deploy.failed", "process.crashed"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ci.example.test/paas", "https://ci.example.test/paas"),
        ("http://me:secret@ci.example.test:8080/x", "http://ci.example.test:8080/x"),
        ("https://chat.test/services/T0000/abcdefghijklmnopqrst", "https://chat.test/services/T0000/…"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(url, shown):
    assert shown_address(url) == shown


def test_an_address_that_is_none_is_refused_with_what_was_typed(admin, deployed):
    fields = {"url": "ftp://x", "events": ["cron.failed"]}
    answer = admin.send("/apps/shop/webhooks/", "/apps/shop/webhooks/add/", **fields)
    assert answer.status_code == 400 and "An address begins with http:// or https://" in words(answer)
    assert 'value="ftp://x"' in text_of(answer) and 'value="cron.failed" checked' in text_of(answer)


def test_deliveries_tell_how_they_went_and_are_sent_again(admin, hook, deliver, monkeypatch):
    monkeypatch.setattr(app_webhooks, "refuse_what_is_private", lambda url: None)  # the DNS knows no hooks.test
    assert "Nothing was sent yet." in words(admin.get(f"/apps/shop/webhooks/{hook.pk}/"))
    row = deliver("failed", status=500, error="answered with status 500")
    page = words(admin.get(f"/apps/shop/webhooks/{hook.pk}/"))
    assert "Given up deploy.failed v3 failed answered with status 500 just now · 2 tries, status 500" in page
    where = f"/apps/shop/webhooks/{hook.pk}/"
    admin.send(where, f"{where}{row.pk}/redeliver/")
    assert Delivery.objects.filter(notice=row.notice).count() == 2
    admin.send(where, f"{where}test/")
    assert Notice.objects.filter(event="ping").exists()
    assert admin.send(where, f"{where}{row.pk + 99}/redeliver/").status_code == 404
    admin.send(where, f"{where}remove/")
    assert not Webhook.objects.exists()
