"""Celery tasks: an id in, an action called."""

from controller.tasks import hooks, notices, one_offs, operations

__all__ = ("hooks", "notices", "one_offs", "operations")
