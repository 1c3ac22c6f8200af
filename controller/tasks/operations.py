"""Tasks around operations on apps."""

from celery import shared_task

from controller.actions import (
    build_runs,
    carry_out,
    collection,
    config_rerelease,
    docker_push,
    events,
    notices,
    outputs,
    sessions,
    usage,
    watches,
)
from controller.actions import operations as actions


@shared_task(name="controller.carry_out_operation")
def carry_out_operation(operation_id: int) -> None:
    carry_out.carry_out(operation_id)
    config_rerelease.refresh_configs()  # of apps that waited for this one


@shared_task(name="controller.refresh_configs")
def refresh_configs() -> None:
    config_rerelease.refresh_configs()


@shared_task(name="controller.recover_operations")
def recover_operations() -> None:
    actions.recover()
    docker_push.take_up_waiting()


@shared_task(name="controller.resync_apps")
def resync_apps() -> None:
    carry_out.resync_apps()


@shared_task(name="controller.watch_releases")
def watch_releases() -> None:
    watches.look_at_releases()


@shared_task(name="controller.collect")
def collect() -> None:
    collection.collect(dry_run=False)


@shared_task(name="controller.tidy")
def tidy() -> None:
    outputs.forget_old_output()
    events.forget_old_events()
    sessions.forget_old_sessions()
    build_runs.forget_old_runs()
    notices.forget_old_notices()
    usage.forget_old_usage()


@shared_task(name="controller.release_pushed_image")
def release_pushed_image(run_id: str) -> None:
    docker_push.release(run_id)
