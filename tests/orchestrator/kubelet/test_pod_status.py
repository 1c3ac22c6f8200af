"""The status a pod gets from what its containers do."""

from __future__ import annotations

from typing import Any

import pytest
from kubelet_pods import attempt, make_container, make_pod

from orchestrator.kubelet.pod import grouped
from orchestrator.kubelet.runtime import Sandbox
from orchestrator.kubelet.status import Observation, observe_pod
from orchestrator.kubelet.status_writer import differs, for_merge, is_patient


def status(pod: dict[str, Any], *attempts: Any, previous: Any = None, **seen: Any) -> dict[str, Any]:
    running = {each.name: True for each in attempts if each.state == "running"}
    known = {"ready": running, "started": running, "sandbox": Sandbox("sandbox", "10.0.0.5"), **seen}
    observation = Observation(history=grouped(attempts), host_address="192.0.2.1", start_time=100.0, **known)
    return observe_pod(pod, observation, now=200.0, previous=previous or {})


def conditions(found: dict[str, Any]) -> dict[str, str]:
    return {each["type"]: each["status"] for each in found["conditions"]}


def test_a_pod_that_has_not_started_is_pending() -> None:
    found = status(make_pod())
    assert found["phase"] == "Pending" and is_patient(found)
    assert found["containerStatuses"][0]["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert conditions(found)["Ready"] == "False"


def test_a_running_and_ready_pod() -> None:
    found = status(make_pod(), attempt())
    assert found["phase"] == "Running" and set(conditions(found).values()) == {"True"}
    assert found["podIP"] == "10.0.0.5" and found["podIPs"] == [{"ip": "10.0.0.5"}]
    assert not is_patient(found)


def test_one_unready_container_is_named() -> None:
    pod = make_pod(make_container("a"), make_container("b"))
    found = status(pod, attempt("a"), attempt("b"), ready={"a": True})
    ready = next(each for each in found["conditions"] if each["type"] == "ContainersReady")
    assert ready["message"] == "containers with unready status: [b]"


@pytest.mark.parametrize(("exit_code", "phase", "reason"), [(0, "Succeeded", "Completed"), (2, "Failed", "Error")])
def test_the_end_of_a_pod_that_never_restarts(exit_code: int, phase: str, reason: str) -> None:
    found = status(make_pod(restartPolicy="Never"), attempt(state="exited", exit_code=exit_code))
    assert found["phase"] == phase
    assert found["containerStatuses"][0]["state"]["terminated"]["reason"] == reason
    assert conditions(found)["PodReadyToStartContainers"] == "False"


def test_a_pod_is_not_over_while_a_sidecar_still_stops() -> None:
    pod = make_pod(restartPolicy="Never", initContainers=[make_container("side", restartPolicy="Always")])
    assert status(pod, attempt("side"), attempt(state="exited"))["phase"] == "Running"


def test_back_off_shows_the_attempt_that_ended_as_the_last_state() -> None:
    waiting = {"main": ("CrashLoopBackOff", "back-off 10s")}
    found = status(make_pod(), attempt(number=4, state="exited", exit_code=3), waiting=waiting)
    entry = found["containerStatuses"][0]
    assert entry["state"]["waiting"]["reason"] == "CrashLoopBackOff" and entry["restartCount"] == 4
    assert entry["lastState"]["terminated"]["exitCode"] == 3


def test_a_restarted_container_tells_how_the_one_before_ended() -> None:
    before = attempt(number=0, state="exited", exit_code=137, oom_killed=True)
    entry = status(make_pod(), before, attempt(number=1))["containerStatuses"][0]
    assert entry["lastState"]["terminated"]["reason"] == "OOMKilled" and "running" in entry["state"]


def test_readiness_gates_hold_the_pod_back() -> None:
    pod = make_pod(readinessGates=[{"conditionType": "example/up"}])
    assert conditions(status(pod, attempt()))["Ready"] == "False"
    pod["status"]["conditions"] = [{"type": "example/up", "status": "True"}]
    assert conditions(status(pod, attempt()))["Ready"] == "True"


def test_conditions_keep_their_time_until_they_change() -> None:
    first = status(make_pod(), attempt())
    again = status(make_pod(), attempt(), previous=first | {"conditions": [
        {**each, "lastTransitionTime": "2001-01-01T00:00:00Z"} for each in first["conditions"]
    ]})  # fmt: skip
    assert {each["lastTransitionTime"] for each in again["conditions"]} == {"2001-01-01T00:00:00Z"}
    assert not differs(again, first)


def test_a_new_address_replaces_the_old_one() -> None:
    first = status(make_pod(), attempt())
    moved = status(make_pod(), attempt(), sandbox=Sandbox("other", "10.0.0.6"))
    assert for_merge(moved, first)["podIPs"] == [{"$patch": "replace"}, {"ip": "10.0.0.6"}]
    assert for_merge(first, {})["podIPs"] == [{"ip": "10.0.0.5"}]


def test_a_failed_pod_says_why() -> None:
    found = status(make_pod(), attempt(state="exited"), failure=("DeadlineExceeded", "too long"))
    assert (found["phase"], found["reason"], found["message"]) == ("Failed", "DeadlineExceeded", "too long")
