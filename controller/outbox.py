"""Work handed to the worker by name, so that nothing here imports the tasks.

A queue that is away is no error: what must happen stands in the database, and recovery sends it again.
"""

import logging

from django.conf import settings
from kombu.exceptions import OperationalError

from controller.celery import app

log = logging.getLogger(__name__)


def enqueue(task: str, *args) -> None:
    if settings.TASKS_INLINE:
        app.loader.import_default_modules()
        app.tasks[task].apply(args=args)
        return
    try:
        app.send_task(task, args=args)
    except (OperationalError, OSError) as exc:
        log.warning("queue unreachable, recovery will send", extra={"task": task, "args_": args, "error": str(exc)})
