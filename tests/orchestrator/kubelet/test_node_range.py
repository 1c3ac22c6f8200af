"""Which pod range a node has."""

from __future__ import annotations

import pytest

from orchestrator.kubelet.main import given_range


@pytest.mark.parametrize(
    ("told", "used"),
    [("10.244.7.0/24", "10.244.7.0/24"), (None, "10.244.0.0/24"), ("10.9.0.0/24", "10.244.0.0/24")],
    ids=["another of the cluster's", "none", "one from outside"],
)
def test_a_node_has_the_range_the_api_gave_it(told: str | None, used: str) -> None:
    node = {"spec": {"podCIDR": told} if told else {}}
    assert given_range(node, "10.244.0.0/16", "10.244.0.0/24") == used
