"""Deliveries carried out: a webhook's signed POST, or a mail; tried again with growing pauses, then given up."""

import hashlib
import hmac
import json
import logging
import time
from datetime import timedelta

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from controller.actions.mail import send_mail
from controller.errors import BadRequest
from controller.models import Delivery, Notice
from controller.outbox import enqueue
from controller.outgoing import Refused, post_json

log = logging.getLogger(__name__)

PAUSES = (10, 60, 300, 1800, 7200, 21600)  # seconds before each further try; in all about eight hours
LEASE = timedelta(seconds=90)  # a try without a result for so long counts as cut off; a try takes far less


def deliver(pk: int) -> None:
    """One try at a delivery that is due, unless somebody else has it."""
    now = timezone.now()
    due = Delivery.objects.filter(pk=pk, state=Delivery.QUEUED, next_try__lte=now)
    if not due.update(next_try=now + LEASE, attempts=F("attempts") + 1):
        return
    row = Delivery.objects.select_related("notice__app", "webhook", "user").get(pk=pk)
    row.status, row.error = None, ""
    try:
        send(row)
    except (Refused, BadRequest) as exc:
        row.error = str(exc)[:1000]
    except Exception as exc:  # a row that can't be sent must not come back for ever
        log.exception("delivery broke", extra={"delivery": pk})
        row.error = f"could not be sent: {type(exc).__name__}; the controller-worker's log has more"
    if not row.error:
        row.state = Delivery.SENT
    elif row.attempts > len(PAUSES):
        row.state = Delivery.FAILED
    else:
        row.next_try = timezone.now() + timedelta(seconds=PAUSES[row.attempts - 1])
    row.save(update_fields=["state", "status", "error", "next_try", "updated"])
    log.info("delivery tried", extra={"delivery": pk, "state": row.state, "status": row.status, "error": row.error})


def send(row: Delivery) -> None:
    """Raises: Refused, BadRequest."""
    if row.webhook is None:
        name = row.notice.app.name if row.notice.app else settings.PLATFORM_DOMAIN
        send_mail([row.user.email], f"{name}: {headline(row.notice)}", mail_text(row.notice))
        return
    body = json.dumps(payload(row.notice)).encode()
    row.status = post_json(row.webhook.url, body, headers_for(row, body, int(time.time())))
    if not 200 <= row.status < 300:
        row.error = f"answered with status {row.status}"


def payload(notice: Notice) -> dict:
    return {
        "id": notice.pk,
        "event": notice.event,
        "time": notice.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "app": notice.app.name if notice.app else None,
        "text": notice.text,
        **notice.data,
    }


def headers_for(row: Delivery, body: bytes, timestamp: int) -> dict[str, str]:
    """The signature covers the time, so that a copy can't be sent again much later."""
    signed = f"{timestamp}.".encode() + body
    digest = hmac.new(row.webhook.secret.encode(), signed, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "User-Agent": "paas-webhooks",
        "X-Paas-Event": row.notice.event,
        "X-Paas-Delivery": str(row.pk),
        "X-Paas-Timestamp": str(timestamp),
        "X-Paas-Signature": f"sha256={digest}",
    }


def headline(notice: Notice) -> str:
    """The first line of what happened, short enough for a subject."""
    line = notice.text.splitlines()[0] if notice.text else notice.event
    return line if len(line) <= 120 else f"{line[:119]}…"


def mail_text(notice: Notice) -> str:
    name = notice.app.name if notice.app else ""
    facts = [f"{key}: {value}" for key, value in notice.data.items() if value]
    where = f"{settings.PLATFORM_URL}/apps/{name}/" if name else settings.PLATFORM_URL
    return "\n".join([notice.text, "", *facts, where, "", "`paas notifications:off` ends these mails."]) + "\n"


def deliver_due() -> None:
    """Sends on what waits for its next try, and what somebody began and never ended."""
    due = Delivery.objects.filter(state=Delivery.QUEUED, next_try__lte=timezone.now()).order_by("next_try")
    for pk in due.values_list("pk", flat=True)[:200]:
        enqueue("controller.deliver", pk)
