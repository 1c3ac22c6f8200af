"""What a container said at its end: its termination file, or the tail of its log when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.kubelet.pod import failed
from orchestrator.kubelet.runtime import ContainerStatus, LogOptions, RuntimeFailure
from orchestrator.kubelet.services import NodeServices

LONGEST = 4096  # bytes, as Kubernetes allows
LOG_LINES, LOG_BYTES = 80, 2048


async def read_termination_message(
    services: NodeServices, container: Mapping[str, Any], status: ContainerStatus
) -> str:
    file = services.volumes.folder(status.pod.uid) / "termination" / f"{status.name}-{status.attempt}"
    try:
        with file.open("rb") as handle:
            said = handle.read(LONGEST)
    except OSError:
        said = b""
    if not said and failed(status) and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        try:
            async for _, chunk in services.runtime.logs(status.id, LogOptions(tail=LOG_LINES)):
                said += chunk
        except RuntimeFailure:
            return ""
        said = said[-LOG_BYTES:]
    return said.decode(errors="replace")
