"""The addresses of a node's pods."""

from __future__ import annotations

import ipaddress

from orchestrator.errors import OrchestratorError


class PodNetworkError(OrchestratorError):
    """The pod network could not be made or changed."""


class NoAddressLeft(PodNetworkError):
    """Every address of the node's range is in use."""


def gateway_of(node_cidr: str) -> str:
    return str(ipaddress.IPv4Network(node_cidr)[1])


def first_node_cidr(cluster_cidr: str) -> str:
    """The first /24 of the cluster's range (all of it when it is smaller)."""
    network = ipaddress.IPv4Network(cluster_cidr)
    return str(network if network.prefixlen >= 24 else next(network.subnets(new_prefix=24)))


class AddressPool:
    """Hands out the addresses of a range in turn; the network, the gateway and the broadcast address stay free."""

    def __init__(self, node_cidr: str) -> None:
        self._network = ipaddress.IPv4Network(node_cidr)
        self._size = self._network.num_addresses
        self._used: set[str] = set()
        self._next = 2

    def take(self) -> str:
        """Raises: NoAddressLeft."""
        for _ in range(self._size):
            offset, self._next = self._next, self._next + 1
            if self._next >= self._size - 1:
                self._next = 2
            if 2 <= offset < self._size - 1 and (address := str(self._network[offset])) not in self._used:
                self._used.add(address)
                return address
        raise NoAddressLeft(f"all {len(self._used)} pod addresses of {self._network} are in use on this node")

    def reserve(self, address: str) -> None:
        """Marks an address found in use, and continues after it."""
        self._used.add(address)
        if ipaddress.IPv4Address(address) in self._network:
            offset = int(ipaddress.IPv4Address(address)) - int(self._network.network_address)
            self._next = max(self._next, offset + 1) if offset + 1 < self._size - 1 else self._next

    def give_back(self, address: str) -> None:
        self._used.discard(address)

    def __contains__(self, address: str) -> bool:
        return address in self._used
