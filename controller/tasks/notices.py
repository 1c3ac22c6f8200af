"""Tasks around notices."""

from celery import shared_task

from controller.actions import deliveries, disk_alarm, platform_certificates, upkeep


@shared_task(name="controller.deliver")
def deliver(delivery_id: int) -> None:
    deliveries.deliver(delivery_id)


@shared_task(name="controller.deliver_due")
def deliver_due() -> None:
    deliveries.deliver_due()


@shared_task(name="controller.look_for_crashes")
def look_for_crashes() -> None:
    upkeep.look_for_crashes()
    upkeep.look_for_failed_runs()


@shared_task(name="controller.look_at_certificates")
def look_at_certificates() -> None:
    upkeep.look_at_certificates()
    platform_certificates.look()


@shared_task(name="controller.look_at_disks")
def look_at_disks() -> None:
    disk_alarm.look()
