"""The app's log of what the controller did."""

import logging

from django.conf import settings

from controller.models import App, Event

log = logging.getLogger("controller.app")


def record(app: App, message: str, level: str = "INFO") -> None:
    Event.objects.create(app=app, level=level, message=message)
    log.info(message, extra={"app": app.name})


def forget_old_events() -> None:
    """Keeps the newest lines of each app."""
    for app in App.objects.all():
        newest = app.events.order_by("-id").values_list("id", flat=True)[
            settings.EVENTS_KEPT : settings.EVENTS_KEPT + 1
        ]
        if newest:
            app.events.filter(id__lte=newest[0]).delete()
