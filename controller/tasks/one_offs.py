"""Tasks around one-off commands."""

from celery import shared_task

from controller.actions import one_offs


@shared_task(name="controller.tend_one_offs")
def tend_one_offs() -> None:
    one_offs.tend()


@shared_task(name="controller.tidy_one_offs")
def tidy_one_offs() -> None:
    one_offs.tidy()
