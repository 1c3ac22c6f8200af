"""Every reconciler, world by world: what it writes, that it does so once, and that it may be killed anywhere."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.reconcilers.run import RECONCILERS
from tests.orchestrator.reconcilers.crashes import Case, in_short, play, writes_of_a_second_look
from tests.orchestrator.reconcilers.worlds import cluster, jobs, services, workloads

CASES = (*workloads.CASES, *jobs.CASES, *services.CASES, *cluster.CASES)
PATIENCE = 90  # seconds a world may take; each takes some hundredths


@pytest.mark.parametrize("reconciler", RECONCILERS, ids=lambda one: one.name)
def test_every_reconciler_has_a_world(reconciler):
    assert any(case.reconciler is reconciler for case in CASES), f"{reconciler.name} has no world in worlds/"


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_it_writes_what_the_world_asks_for_and_nothing_the_second_time(case: Case):
    played = await asyncio.wait_for(play(case), PATIENCE)
    assert in_short(played.written) == list(case.writes)
    assert await writes_of_a_second_look(case, played) == []


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_killed_after_any_write_a_new_one_brings_about_the_same(case: Case):
    whole = await asyncio.wait_for(play(case), PATIENCE)
    for lifetime in range(1, len(whole.written) + 1):
        again = await asyncio.wait_for(play(case, lifetime), PATIENCE)
        assert again.objects == whole.objects, f"killed after write {lifetime}: {whole.written[lifetime - 1]}"
