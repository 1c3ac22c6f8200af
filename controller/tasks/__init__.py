"""Celery tasks: an id in, an action called."""

from controller.tasks import hooks, one_offs, operations

__all__ = ("hooks", "one_offs", "operations")
