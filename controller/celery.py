"""The task application: `celery -A controller worker -P threads -c 8`, one process with its own beat.

What must survive a crash is a row in the database (`models/operation.py`); a task only carries its id. A lost
message therefore delays work until the next recovery, and a doubled one finds the row taken.
"""

from celery import Celery, bootsteps
from celery.beat import EmbeddedService
from celery.schedules import crontab
from celery.signals import setup_logging, worker_ready
from django.conf import settings

from controller.settings.base import default_to_deploy

default_to_deploy()

app = Celery("controller", set_as_current=True)


class BeatThread(bootsteps.StartStopStep):
    """The periodic tasks' clock as a thread of the worker: `--beat` would fork a second process of the same size."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent, **kwargs):
        self.beat = EmbeddedService(parent.app, thread=True, scheduler_cls="celery.beat:Scheduler")

    def start(self, parent):
        self.beat.start()

    def stop(self, parent):
        self.beat.stop()


app.steps["worker"].add(BeatThread)


def configuration() -> dict:
    """Celery's settings, out of Django's; read at first use because the settings need the environment."""
    return {
        "broker_url": settings.BROKER_URL,
        "task_always_eager": settings.TASKS_INLINE,
        "task_ignore_result": True,
        # acknowledged at once: the row is the record, and a message held back makes kombu fail when Redis dies
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {"visibility_timeout": 3600, "socket_keepalive": True},
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_publish_retry_policy": {"max_retries": 2, "interval_start": 0.1, "interval_step": 0.2},
        "beat_schedule": {
            "recover-operations": {"task": "controller.recover_operations", "schedule": settings.RECOVERY_PERIOD},
            "resync-apps": {"task": "controller.resync_apps", "schedule": 15.0},
            "autoscale": {"task": "controller.autoscale", "schedule": 15.0},
            "measure-usage": {
                "task": "controller.measure_usage",
                "schedule": crontab(),  # at each minute's beginning
                "options": {"expires": 50},
            },
            "tend-one-offs": {"task": "controller.tend_one_offs", "schedule": 10.0},
            "tidy-one-offs": {"task": "controller.tidy_one_offs", "schedule": 60.0},
            "watch-releases": {
                "task": "controller.watch_releases",
                "schedule": settings.WATCH_PERIOD,
                "options": {"expires": settings.WATCH_PERIOD * 2},  # looks that come too late needn't pile up
            },
            "refresh-configs": {"task": "controller.refresh_configs", "schedule": settings.RECOVERY_PERIOD},
            "deliver-due": {"task": "controller.deliver_due", "schedule": 10.0},
            "look-for-crashes": {"task": "controller.look_for_crashes", "schedule": 15.0, "options": {"expires": 30}},
            "look-at-disks": {"task": "controller.look_at_disks", "schedule": 60.0, "options": {"expires": 60}},
            "look-at-certificates": {"task": "controller.look_at_certificates", "schedule": 3600.0},
            "collect": {"task": "controller.collect", "schedule": crontab(minute=30, hour=settings.COLLECT_HOUR)},
            "tidy": {"task": "controller.tidy", "schedule": 3600.0},
        },
    }


app.config_from_object(type("Lazy", (), {}))
app.add_defaults(configuration)
app.autodiscover_tasks(["controller"], related_name="tasks")


@setup_logging.connect
def keep_our_logging(**kwargs):
    """Connected so that Celery leaves the log configuration of Django alone."""


@worker_ready.connect
def take_up_what_was_left(sender, **kwargs):
    sender.app.send_task("controller.recover_operations")
