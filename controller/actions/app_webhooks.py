"""An app's webhooks: who is told of what happens to it, by a signed POST."""

import secrets

from django.db import transaction

from controller.errors import Conflict, Invalid, Missing
from controller.models import App, Delivery, User, Webhook
from controller.outgoing import Refused, checked_url

MOST_WEBHOOKS = 20  # of one app


def add_webhook(*, app: App, by: User, url: str, events: list[str], secret: str = "") -> Webhook:
    """`events` empty: all. Without a `secret` one is made up. Raises: Invalid, Conflict."""
    try:
        checked_url(url)
    except Refused as exc:
        raise Invalid(url=f"{exc}.") from exc
    with transaction.atomic():
        App.objects.select_for_update().get(pk=app.pk)
        if app.webhooks.count() >= MOST_WEBHOOKS:
            raise Conflict(f"{app.name} has {MOST_WEBHOOKS} webhooks already; remove one first")
        return Webhook.objects.create(app=app, owner=by, url=url, events=events, secret=secret or secrets.token_hex(32))


def webhook_of(app: App, number: int) -> Webhook:
    """Raises: Missing."""
    row = app.webhooks.select_related("owner", "app").filter(pk=number).first()
    if row is None:
        raise Missing("Webhook")
    return row


def remove_webhook(hook: Webhook) -> None:
    """With the log of what was sent to it."""
    hook.delete()


def delivery_of(hook: Webhook, number: int) -> Delivery:
    """Raises: Missing."""
    row = hook.deliveries.select_related("notice", "webhook").filter(pk=number).first()
    if row is None:
        raise Missing("Delivery")
    return row
