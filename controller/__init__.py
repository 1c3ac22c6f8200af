"""The controller: people's wishes in (Deis API v2.3), Kubernetes objects out.

`celery -A controller` finds the task application here.
"""

from controller.celery import app as celery_app

__all__ = ("celery_app",)
