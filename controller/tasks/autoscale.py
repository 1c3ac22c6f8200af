"""The clock of autoscaling by the router's figures."""

from celery import shared_task

from controller.actions import autoscale


@shared_task(name="controller.autoscale")
def evaluate() -> None:
    autoscale.evaluate()
