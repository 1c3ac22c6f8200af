"""Celery tasks: an id in, an action called."""

from controller.tasks import autoscale, hooks, notices, one_offs, operations

__all__ = ("autoscale", "hooks", "notices", "one_offs", "operations")
