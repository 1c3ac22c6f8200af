"""An app's webhooks: made, tried, and the log of what was sent to each."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from controller.access import OPERATE, app_for
from controller.actions import notices
from controller.actions.app_webhooks import add_webhook, delivery_of, remove_webhook, try_webhook, webhook_of
from controller.dashboard import forms, pages
from controller.dashboard.edge import Next, page, write
from controller.dashboard.listing import page_of
from controller.dashboard.observe import Observed
from controller.dashboard.views import Context, Entered, app_page
from controller.models import App, Delivery, Webhook
from controller.models.notice import EVENTS

DELIVERIES_SHOWN = 30
LONG_SEGMENT = 16  # characters; a part of a path from there on may be somebody's token
STATES = {
    Delivery.QUEUED: (pages.BUSY, "Waiting"),
    Delivery.SENT: (pages.GOOD, "Delivered"),
    Delivery.FAILED: (pages.BAD, "Given up"),
}


def shown_address(url: str) -> str:
    """The address without what may be secret in it: login, query, and long parts of the path."""
    parts = urlsplit(url)
    path = "/".join("…" if len(part) >= LONG_SEGMENT else part for part in parts.path.split("/"))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}{'?…' if parts.query else ''}"


def webhook_row(hook: Webhook) -> Context:
    return {
        "number": hook.pk,
        "address": shown_address(hook.url),
        "events": ", ".join(hook.events) or "every event",
        "owner": hook.owner.username,
        "created": hook.created,
    }


def webhooks_context(request: HttpRequest, app: App, observed: Observed) -> Context:
    rows = [webhook_row(hook) for hook in app.webhooks.select_related("owner")]
    return {"webhooks": rows, "events": EVENTS.items(), "chosen_events": request.POST.getlist("events")}


def show_webhooks(request: HttpRequest, app: str, entered: Entered | None = None) -> HttpResponse:
    return app_page(request, app, "webhooks", "dashboard/webhooks.html", webhooks_context, entered, OPERATE)


webhooks = page(show_webhooks)


def show_webhook(
    request: HttpRequest, app: str, number: int, entered: Entered | None = None, secret: str = ""
) -> HttpResponse:
    def context(request: HttpRequest, app: App, observed: Observed) -> Context:
        hook = webhook_of(app, number)
        chosen = page_of(request, hook.deliveries.select_related("notice"), DELIVERIES_SHOWN)
        now = timezone.now()
        return {
            "webhook": webhook_row(hook),
            "deliveries": [delivery_row(row, now) for row in chosen],
            "chosen": chosen,
            "secret": secret,
        }

    return app_page(request, app, "webhooks", "dashboard/webhook.html", context, entered, OPERATE)


webhook = page(show_webhook)


def delivery_row(row: Delivery, now: Any) -> Context:
    tone, text = STATES.get(row.state, (pages.IDLE, row.state))
    if row.state == Delivery.QUEUED and row.attempts:
        text = "Tried again soon"
    tries = f"{row.attempts} tr{'ies' if row.attempts != 1 else 'y'}"
    return {
        "number": row.pk,
        "event": row.notice.event,
        "text": row.notice.text.partition("\n")[0],
        "state": {"tone": tone, "text": text},
        "outcome": f"{tries}, status {row.status}" if row.status else tries,
        "error": row.error if row.state != Delivery.SENT else "",
        "next_try": row.next_try if row.state == Delivery.QUEUED else None,
        "time": row.notice.time,
        "ago": pages.ago(row.notice.time, now),
    }


@write(show_webhooks)
def webhook_add(request: HttpRequest, app: str) -> HttpResponse:
    found = app_for(request.user, app, OPERATE)
    hook = add_webhook(app=found, by=request.user, **forms.read(forms.NewWebhook, request))
    return show_webhook(request, app, hook.pk, secret=hook.secret)


@write(show_webhook)
def webhook_test(request: HttpRequest, app: str, number: int) -> Next:
    hook = webhook_of(app_for(request.user, app, OPERATE), number)
    try_webhook(hook, request.user)
    return ("dashboard:webhook", app, number), "A ping is on its way; reload to see how it went."


@write(show_webhooks)
def webhook_remove(request: HttpRequest, app: str, number: int) -> Next:
    hook = webhook_of(app_for(request.user, app, OPERATE), number)
    address = shown_address(hook.url)
    remove_webhook(hook)
    return ("dashboard:webhooks", app), f"{address} hears nothing of {app} any more."


@write(show_webhook)
def redeliver(request: HttpRequest, app: str, number: int, delivery: int) -> Next:
    hook = webhook_of(app_for(request.user, app, OPERATE), number)
    notices.redeliver(delivery_of(hook, delivery))
    return ("dashboard:webhook", app, number), "It is sent once more; reload to see how it went."
