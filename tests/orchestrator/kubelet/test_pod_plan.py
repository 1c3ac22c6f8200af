"""What a pod needs next."""

from __future__ import annotations

from typing import Any

import pytest
from kubelet_pods import attempt, make_container, make_pod

from orchestrator.kubelet.pod import Plan, Start, backoff_after, backoff_of_attempt, grouped, plan_pod


def plan(pod: dict[str, Any], *attempts: Any, now: float = 200.0, rests: Any = None, started: Any = None) -> Plan:
    running = [each.name for each in attempts if each.state == "running"]
    return plan_pod(
        pod,
        grouped(attempts),
        now=now,
        rests=rests or {},
        started=running if started is None else started,
        sandbox_id="sandbox",
    )


def test_a_new_pod_starts_all_its_containers() -> None:
    pod = make_pod(make_container("a"), make_container("b"))
    assert plan(pod).starts == (Start("a", 0), Start("b", 0))


def test_running_containers_need_nothing() -> None:
    assert plan(make_pod(), attempt()) == Plan(backing_off={})


def test_init_containers_run_one_after_the_other_before_the_rest() -> None:
    pod = make_pod(make_container("main"), initContainers=[make_container("one"), make_container("two")])
    assert plan(pod).starts == (Start("one", 0),)
    assert plan(pod, attempt("one")).starts == ()
    assert plan(pod, attempt("one", state="exited")).starts == (Start("two", 0),)
    done = (attempt("one", state="exited"), attempt("two", state="exited"))
    assert plan(pod, *done).starts == (Start("main", 0),)


def test_a_sidecar_must_have_started_before_the_next() -> None:
    pod = make_pod(make_container("main"), initContainers=[make_container("side", restartPolicy="Always")])
    assert plan(pod, attempt("side"), started=[]).starts == ()
    assert plan(pod, attempt("side")).starts == (Start("main", 0),)


def test_a_sidecar_that_died_is_restarted_beside_the_running_container() -> None:
    pod = make_pod(make_container("main"), initContainers=[make_container("side", restartPolicy="Always")])
    assert plan(pod, attempt("side", state="exited"), attempt("main")).starts == (Start("side", 1),)


def test_a_failed_init_container_of_a_pod_that_never_restarts_ends_the_pod() -> None:
    pod = make_pod(restartPolicy="Never", initContainers=[make_container("one")])
    assert plan(pod, attempt("one", state="exited", exit_code=1)).over


@pytest.mark.parametrize(
    ("policy", "exit_code", "restarts"),
    [
        ("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True),
        ("Never", 0, False), ("Never", 1, False),
    ],
)  # fmt: skip
def test_restart_policies(policy: str, exit_code: int, restarts: bool) -> None:
    outcome = plan(make_pod(restartPolicy=policy), attempt(state="exited", exit_code=exit_code))
    assert bool(outcome.starts) is restarts
    assert outcome.over is (not restarts)


def test_a_container_rests_after_its_exit() -> None:
    ended = attempt(state="exited", exit_code=1)
    assert plan(make_pod(), ended, now=115.0, rests={"main": 10.0}).backing_off == {"main": 5.0}
    assert plan(make_pod(), ended, now=120.0, rests={"main": 10.0}).starts == (Start("main", 1),)


def test_sidecars_are_stopped_when_the_pod_is_over() -> None:
    pod = make_pod(restartPolicy="Never", initContainers=[make_container("side", restartPolicy="Always")])
    outcome = plan(pod, attempt("side"), attempt("main", state="exited"))
    assert outcome.over and [status.name for status in outcome.stops] == ["side"]


def test_a_lost_sandbox_runs_everything_again_with_the_next_number() -> None:
    pod = make_pod(make_container("main"), initContainers=[make_container("one")])
    lost = (attempt("one", state="exited", sandbox_id="old"), attempt("main", 3, state="exited", sandbox_id="old"))
    assert plan(pod, *lost).starts == (Start("one", 1),)
    assert plan(pod, *lost, attempt("one", 1, state="exited")).starts == (Start("main", 4),)


def test_a_container_made_but_not_started_is_started() -> None:
    assert plan(make_pod(), attempt(number=2, state="created")).starts == (Start("main", 2),)


def test_rests_double_from_ten_seconds_to_five_minutes_and_are_forgiven() -> None:
    rests = [10.0]
    for _ in range(6):
        rests.append(backoff_after(rests[-1], 1.0))
    assert rests == [10, 20, 40, 80, 160, 300, 300]
    assert backoff_after(300, 600) == 0
    assert [backoff_of_attempt(number) for number in (0, 1, 2, 3, 7)] == [0, 0, 10, 20, 300]


def test_an_ephemeral_container_starts_once_and_at_once() -> None:
    pod = make_pod(initContainers=[make_container("one")], ephemeralContainers=[make_container("debug")])
    assert plan(pod, attempt("one")).starts == (Start("debug", 0),)
    assert plan(pod, attempt("one"), attempt("debug", state="exited", exit_code=1)).starts == ()


def test_an_ephemeral_container_keeps_no_pod_from_its_end() -> None:
    pod = make_pod(restartPolicy="Never", ephemeralContainers=[make_container("debug")])
    assert plan(pod, attempt(state="exited"), attempt("debug")).over
