"""Starts everything that reconciles: informers, reconcilers, scheduler, in one task group, each restarted if it fails.

The server starts this in its own process; it needs nothing but a client.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from orchestrator.client import ApiClient
from orchestrator.machinery.clock import Clock, RealClock
from orchestrator.machinery.reconciler import Reconciler, World
from orchestrator.machinery.workqueue import retry_delay
from orchestrator.reconcilers.cronjob import CronJobReconciler
from orchestrator.reconcilers.daemonset import DaemonSetReconciler
from orchestrator.reconcilers.deployment import DeploymentReconciler
from orchestrator.reconcilers.disruption import DisruptionReconciler
from orchestrator.reconcilers.endpoints import EndpointsReconciler
from orchestrator.reconcilers.endpointslice import EndpointSliceReconciler
from orchestrator.reconcilers.endpointslice_mirror import EndpointSliceMirror
from orchestrator.reconcilers.finished_ttl import FinishedTtlReconciler
from orchestrator.reconcilers.garbage import GarbageCollector
from orchestrator.reconcilers.hpa import HpaReconciler
from orchestrator.reconcilers.job import JobReconciler
from orchestrator.reconcilers.load_balancer import LoadBalancerReconciler
from orchestrator.reconcilers.namespace import NamespaceReconciler
from orchestrator.reconcilers.node_lifecycle import NodeLifecycleReconciler
from orchestrator.reconcilers.pod_garbage import PodGarbageCollector
from orchestrator.reconcilers.quota import QuotaReconciler
from orchestrator.reconcilers.replicaset import ReplicaSetReconciler, ReplicationControllerReconciler
from orchestrator.reconcilers.service_account import ServiceAccountReconciler
from orchestrator.reconcilers.statefulset import StatefulSetReconciler
from orchestrator.reconcilers.volumes import ClaimReconciler, VolumeReconciler
from orchestrator.scheduler.loop import Scheduler

log = logging.getLogger(__name__)

RECONCILERS: tuple[type[Reconciler], ...] = (
    DeploymentReconciler,
    ReplicaSetReconciler,
    ReplicationControllerReconciler,
    EndpointSliceReconciler,
    EndpointsReconciler,
    EndpointSliceMirror,
    LoadBalancerReconciler,
    NamespaceReconciler,
    GarbageCollector,
    JobReconciler,
    CronJobReconciler,
    FinishedTtlReconciler,
    StatefulSetReconciler,
    DaemonSetReconciler,
    HpaReconciler,
    DisruptionReconciler,
    ServiceAccountReconciler,
    QuotaReconciler,
    ClaimReconciler,
    VolumeReconciler,
    NodeLifecycleReconciler,
    PodGarbageCollector,
)


async def run_controllers(client: ApiClient, settings: Any = None, clock: Clock | None = None) -> None:
    """Run until cancelled; then everything has stopped."""
    world = World(client, clock or RealClock(), settings)
    parts: list[Reconciler | Scheduler] = [*(reconciler(world) for reconciler in RECONCILERS), Scheduler(world)]
    world.informers.start()
    try:
        await world.informers.synced()
        log.info("%d reconcilers and the scheduler start", len(parts) - 1)
        async with asyncio.TaskGroup() as group:
            group.create_task(_kept_running("events", world.events.run, world.clock), name="events")
            for part in parts:
                group.create_task(_kept_running(part.name, part.run, world.clock), name=part.name)
    finally:
        await world.informers.stop()


async def _kept_running(name: str, run: Callable[[], Awaitable[None]], clock: Clock) -> None:
    """Start it again, after a growing pause, whenever it fails."""
    failures = 0
    while True:
        started = clock.monotonic()
        try:
            await run()
            return
        except Exception:
            failures = 1 if clock.monotonic() - started > 60 else failures + 1
            delay = retry_delay(failures + 7)
            log.exception("%s failed; starting it again in %.1f s", name, delay)
            await clock.sleep(delay)
