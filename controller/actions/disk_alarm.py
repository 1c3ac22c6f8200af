"""A disk that fills up: one notice when it is low, one when there is room again, none for what lies between."""

import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction
from django.utils import timezone

from controller import disk
from controller.actions.notices import emit
from controller.cluster.client import cluster
from controller.errors import ClusterTrouble
from controller.models import DiskAlarm

log = logging.getLogger(__name__)

PLATFORM = f"the platform's disk on {socket.gethostname()}"  # controllers on several machines have one each
NODE = "the disk of node "


@dataclass(frozen=True)
class Disk:
    place: str
    is_low: bool
    has_recovered: bool  # false as well while it is neither
    text: str  # how it stands
    fix: str = ""  # what to do while it is low


def look() -> None:
    """Tells of every disk that became low or well since the last look."""
    for each in disks():
        tell(each)


def disks() -> Iterator[Disk]:
    """The platform's own, and those of nodes; those of nodes that are gone are over."""
    room = disk.room()
    refused = "; builds are refused" if room.is_full else ""
    fix = "`paas gc` removes images nobody keeps; else enlarge the disk"
    yield Disk(PLATFORM, room.is_low, room.has_recovered, f"{room}{refused}", fix)
    try:
        nodes, _ = cluster().list("Node", None)
    except ClusterTrouble as exc:
        log.info("no look at the nodes' disks", extra={"error": str(exc)})
        return
    for node in nodes:
        yield from disk_of(node)
    here = {NODE + node["metadata"]["name"] for node in nodes}
    for alarm in DiskAlarm.objects.filter(place__startswith=NODE).exclude(place__in=here):
        yield Disk(alarm.place, False, True, "the node is gone")


def disk_of(node: dict) -> Iterator[Disk]:
    """By the node's own word, which it takes back minutes after there is room again."""
    name = node["metadata"]["name"]
    conditions = {each["type"]: each for each in (node.get("status") or {}).get("conditions") or []}
    pressure = conditions.get("DiskPressure") or {}
    said = pressure.get("message") or "it reports no DiskPressure"
    fix = f"It takes no new processes and may evict some; free space there (`kubectl describe node {name}`)"
    if pressure.get("status") in ("True", "False"):
        low = pressure["status"] == "True"
        yield Disk(NODE + name, low, not low, said, fix)


def tell(found: Disk) -> None:
    with transaction.atomic():
        if found.is_low:
            _, began = DiskAlarm.objects.get_or_create(place=found.place)
            if began:
                emit(None, "disk.low", f"{found.place} is nearly full: {found.text}. {found.fix}")
            return
        alarm = DiskAlarm.objects.select_for_update().filter(place=found.place).first()
        if alarm is not None and found.has_recovered:
            minutes = (timezone.now() - alarm.since).total_seconds() / 60
            alarm.delete()
            emit(None, "disk.recovered", f"{found.place} has room again after {minutes:.0f} minutes: {found.text}")
