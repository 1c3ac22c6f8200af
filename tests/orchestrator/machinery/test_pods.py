from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.machinery import pods as podlib
from orchestrator.machinery.clock import rfc3339

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def pod(name, node="n1", phase="Running", ready_for=60, restarts=0, age=600, cost=None):
    meta = {"name": name, "creationTimestamp": rfc3339(NOW - timedelta(seconds=age))}
    if cost is not None:
        meta["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": str(cost)}
    status = {"phase": phase, "containerStatuses": [{"restartCount": restarts}]}
    if ready_for is not None:
        since = rfc3339(NOW - timedelta(seconds=ready_for))
        status["conditions"] = [{"type": "Ready", "status": "True", "lastTransitionTime": since}]
    return {"metadata": meta, "spec": {"nodeName": node} if node else {}, "status": status}


@pytest.mark.parametrize("first, second", [
    (pod("a", node="", phase="Pending", ready_for=None), pod("b", phase="Pending", ready_for=None)),
    (pod("a", phase="Pending", ready_for=None), pod("b", ready_for=None)),
    (pod("a", ready_for=None), pod("b")),
    (pod("a", cost=-1), pod("b")),
    (pod("a", ready_for=10), pod("b", ready_for=300)),
    (pod("a", restarts=5), pod("b", restarts=1)),
    (pod("a", age=20), pod("b", age=9000)),
])  # fmt: skip
def test_the_less_useful_pod_goes_first(first, second):
    assert podlib.deletion_order([second, first], NOW) == [first, second]


def test_a_crowded_node_gives_up_a_pod_first_counting_the_pods_of_sibling_sets():
    here, there = pod("z", node="n1"), pod("a", node="n2")
    assert podlib.deletion_order([here, there], NOW)[0] is there
    assert podlib.deletion_order([here, there], NOW, [here, there, pod("other", node="n1")])[0] is here


def test_equal_templates_have_equal_hashes_and_collisions_change_them():
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": []}}
    same = {"spec": {"containers": []}, "metadata": {"labels": {"a": "b"}}}
    assert podlib.template_hash(template) == podlib.template_hash(same)
    assert podlib.template_hash(template) != podlib.template_hash(template, 1)
    assert podlib.same_template(template, {**same, "metadata": {"labels": {"a": "b", "pod-template-hash": "x"}}})


def test_a_condition_moves_its_time_only_with_its_status():
    one = podlib.set_condition((), {"type": "Ready", "status": "True", "reason": "A"}, "t1")
    two = podlib.set_condition(one, {"type": "Ready", "status": "True", "reason": "B"}, "t2")
    three = podlib.set_condition(two, {"type": "Ready", "status": "False", "reason": "B"}, "t3")
    assert [c[0]["lastTransitionTime"] for c in (one, two, three)] == ["t1", "t1", "t3"]
