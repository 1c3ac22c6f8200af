"""What a node is, read from the engine's `info` and the kernel."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.kubelet.runtime import NodeFacts

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def read_node_facts(info: Mapping[str, Any]) -> NodeFacts:
    return NodeFacts(
        cpus=int(info.get("NCPU") or 1),
        memory=int(info.get("MemTotal") or 0),
        disk=disk_size(info.get("DockerRootDir") or "/"),
        storage=info.get("DockerRootDir") or "",
        runtime_version=f"docker://{info.get('ServerVersion', '')}",
        kernel=info.get("KernelVersion") or "",
        operating_system=info.get("OperatingSystem") or "",
        architecture=ARCHITECTURES.get(info.get("Architecture", ""), info.get("Architecture") or "amd64"),
        machine_id=first_line("/etc/machine-id"),
        system_uuid=first_line("/sys/class/dmi/id/product_uuid"),
        boot_id=first_line("/proc/sys/kernel/random/boot_id"),
    )


def disk_size(folder: str) -> int:
    try:
        figures = os.statvfs(folder)
    except OSError:
        return 0
    return figures.f_blocks * figures.f_frsize


def first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
