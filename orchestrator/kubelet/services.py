"""What every pod worker of a node shares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestrator.client import ApiClient
from orchestrator.kubelet.environment import NodeView
from orchestrator.kubelet.lookup import Lookup
from orchestrator.kubelet.runtime import Runtime
from orchestrator.kubelet.volumes import Volumes
from orchestrator.machinery.events import Recorder
from orchestrator.network.host_ports import HostPorts


@dataclass(frozen=True)
class NodeServices:
    client: ApiClient
    runtime: Runtime
    volumes: Volumes
    lookup: Lookup
    recorder: Recorder
    node: NodeView
    host_ports: HostPorts = field(default_factory=HostPorts)
    pressures: set[str] = field(default_factory=set)  # conditions of the node that keep pods away
    allocatable: Mapping[str, int] = field(default_factory=dict)  # what its pods share; what it doesn't name has no end
