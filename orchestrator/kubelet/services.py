"""What every pod worker of a node shares."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.client import ApiClient
from orchestrator.kubelet.environment import NodeView
from orchestrator.kubelet.lookup import Lookup
from orchestrator.kubelet.runtime import Runtime
from orchestrator.kubelet.volumes import Volumes
from orchestrator.machinery.events import Recorder


@dataclass(frozen=True)
class NodeServices:
    client: ApiClient
    runtime: Runtime
    volumes: Volumes
    lookup: Lookup
    recorder: Recorder
    node: NodeView
