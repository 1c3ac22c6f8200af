"""Tasks around operations on apps."""

from celery import shared_task

from controller.actions import carry_out, events, sessions
from controller.actions import operations as actions


@shared_task(name="controller.carry_out_operation")
def carry_out_operation(operation_id: int) -> None:
    carry_out.carry_out(operation_id)


@shared_task(name="controller.recover_operations")
def recover_operations() -> None:
    actions.recover()


@shared_task(name="controller.resync_apps")
def resync_apps() -> None:
    carry_out.resync_apps()


@shared_task(name="controller.tidy")
def tidy() -> None:
    events.forget_old_events()
    sessions.forget_old_sessions()
