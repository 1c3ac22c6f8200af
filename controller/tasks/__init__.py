"""Celery tasks: an id in, an action called."""

from controller.tasks import hooks, operations

__all__ = ("hooks", "operations")
