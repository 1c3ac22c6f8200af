"""The app's log of what the controller did."""

import logging

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from controller import log_store
from controller.models import App, Event

log = logging.getLogger("controller.app")


def record(app: App, message: str, level: str = "INFO") -> None:
    Event.objects.create(app=app, level=level, message=message)
    transaction.on_commit(log_store.nudge)
    log.info(message, extra={"app": app.name})


def forget_old_events() -> None:
    """Keeps the newest lines of each app."""
    for app in App.objects.all():
        newest = app.events.order_by("-id").values_list("id", flat=True)[
            settings.EVENTS_KEPT : settings.EVENTS_KEPT + 1
        ]
        if newest:
            app.events.filter(id__lte=newest[0]).delete()


MOST_EVENTS = 500  # in one answer
GAP_PATIENCE = 3.0  # seconds that a missing number may belong to a transaction that has yet to commit


def events_after(number: int) -> list[Event]:
    """The next events in the order of their numbers, as far as no earlier one can still come."""
    rows = list(Event.objects.filter(id__gt=number).select_related("app").order_by("id")[:MOST_EVENTS])
    known = number
    for index, row in enumerate(rows):
        young = (timezone.now() - row.time).total_seconds() < GAP_PATIENCE
        if row.pk != known + 1 and known and young:
            return rows[:index]
        known = row.pk
    return rows
