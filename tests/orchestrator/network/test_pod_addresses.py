"""Addresses, names and firewall rules of the pod network."""

from __future__ import annotations

import pytest

from orchestrator.network.addresses import AddressPool, NoAddressLeft, first_node_cidr, gateway_of
from orchestrator.network.pods import bridge_name, chain_name, render_firewall, veth_name


def test_addresses_are_handed_out_in_turn_and_reused_last() -> None:
    pool = AddressPool("10.0.0.0/29")
    assert [pool.take() for _ in range(2)] == ["10.0.0.2", "10.0.0.3"]
    pool.give_back("10.0.0.2")
    assert [pool.take() for _ in range(4)] == ["10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.2"]
    with pytest.raises(NoAddressLeft, match="all 5 pod addresses of 10.0.0.0/29 are in use"):
        pool.take()


def test_addresses_found_in_use_are_kept_out() -> None:
    pool = AddressPool("10.0.0.0/29")
    pool.reserve("10.0.0.3")
    taken = {pool.take() for _ in range(4)}
    assert taken == {"10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"}


def test_a_node_takes_the_first_part_of_the_cluster() -> None:
    assert first_node_cidr("10.244.0.0/16") == "10.244.0.0/24"
    assert first_node_cidr("10.244.7.0/25") == "10.244.7.0/25"
    assert gateway_of("10.244.0.0/24") == "10.244.0.1"


@pytest.mark.parametrize("instance", ["paas", "a-very-long-instance-name-of-mine"])
def test_names_fit_the_kernel(instance: str) -> None:
    assert len(bridge_name(instance)) <= 15 and len(veth_name(instance, "10.244.200.201")) <= 15
    assert len(chain_name(instance, "FORWARD")) <= 28
    assert veth_name(instance, "10.0.0.2") != veth_name(instance + "x", "10.0.0.2")


def test_traffic_inside_the_cluster_keeps_its_addresses() -> None:
    rules = {table: rules for table, _, _, rules in render_firewall("i", "br", "10.1.0.0/24", "10.1.0.0/16")}
    assert rules["nat"] == [["-s", "10.1.0.0/24", "!", "-d", "10.1.0.0/16", "!", "-o", "br", "-j", "MASQUERADE"]]
