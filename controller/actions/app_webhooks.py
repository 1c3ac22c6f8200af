"""An app's webhooks: who is told of what happens to it, by a signed POST."""

import secrets

from django.db import transaction

from controller.actions.notices import ping
from controller.errors import BadRequest, Conflict, Invalid, Missing
from controller.models import App, Delivery, User, Webhook
from controller.outgoing import Refused, Unresolved, refuse_what_is_private

MOST_WEBHOOKS = 20  # of one app


def add_webhook(*, app: App, by: User, url: str, events: list[str], secret: str = "") -> Webhook:
    """`events` empty: all. Without a `secret` one is made up. Raises: Invalid, Conflict."""
    try:
        refuse_what_is_private(url)
    except Refused as exc:
        if not isinstance(exc, Unresolved):  # such a name may be made in a moment; each delivery looks again
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


def try_webhook(hook: Webhook, by: User) -> Delivery:
    """A ping on its way. Raises: BadRequest when it would go nowhere, or where it mustn't."""
    try:
        refuse_what_is_private(hook.url)
    except Refused as exc:
        raise BadRequest(f"Nothing is sent to webhook {hook.pk}: {exc}.") from exc
    return ping(hook, by)


def remove_webhook(hook: Webhook) -> None:
    """With the log of what was sent to it."""
    hook.delete()


def delivery_of(hook: Webhook, number: int) -> Delivery:
    """Raises: Missing."""
    row = hook.deliveries.select_related("notice", "webhook").filter(pk=number).first()
    if row is None:
        raise Missing("Delivery")
    return row
