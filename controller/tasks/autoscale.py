"""The clock of autoscaling by the router's figures, and of keeping them for graphs."""

from celery import shared_task

from controller.actions import autoscale, usage


@shared_task(name="controller.autoscale")
def evaluate() -> None:
    autoscale.evaluate()


@shared_task(name="controller.measure_usage")
def measure_usage() -> None:
    usage.measure()
