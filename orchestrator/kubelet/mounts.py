"""Where a container sees its volumes and the pod's own files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.kubelet.environment import ConfigError, expand, references_of
from orchestrator.kubelet.payloads import is_live
from orchestrator.kubelet.pod import runs_on_host_network
from orchestrator.kubelet.runtime import Mount
from orchestrator.objects.meta import Obj

PROPAGATIONS = {"HostToContainer": "rslave", "Bidirectional": "rshared"}
TERMINATION_PATH = "/dev/termination-log"


def render_mounts(
    pod: Obj, container: Mapping[str, Any], *, volumes: Mapping[str, Path], folder: Path,
    environment: Mapping[str, str], termination_file: Path,
) -> tuple[Mount, ...]:  # fmt: skip
    """Raises: ConfigError, for a mount of a volume the pod doesn't have or a subPath that leaves it."""
    mounts: dict[str, Mount] = {}
    kept_from_writing = {volume["name"] for volume in pod["spec"].get("volumes") or () if is_read_only(volume)}
    for wanted in container.get("volumeMounts") or ():
        if wanted["name"] not in volumes:
            raise ConfigError(f'volume "{wanted["name"]}" of container {container["name"]} is not in the pod')
        target = os.path.normpath(wanted["mountPath"])
        source = volumes[wanted["name"]]
        inside = wanted.get("subPath") or expanded_path(wanted.get("subPathExpr") or "", environment)
        if inside:
            source = path_inside(source, inside)
        mounts[target] = Mount(
            source=str(source),
            target=target,
            read_only=bool(wanted.get("readOnly")) or wanted["name"] in kept_from_writing,
            propagation=PROPAGATIONS.get(wanted.get("mountPropagation") or "", ""),
        )
    for name in ("hosts", "resolv.conf", "hostname"):
        target = f"/etc/{name}"
        if target in mounts or (name == "hostname" and runs_on_host_network(pod)):
            continue
        mounts[target] = Mount(source=str(folder / "etc" / name), target=target)
    told = container.get("terminationMessagePath") or TERMINATION_PATH
    if told not in mounts:
        mounts[told] = Mount(source=str(termination_file), target=told)
    return tuple(mounts.values())


def is_read_only(volume: Mapping[str, Any]) -> bool:
    """Whether every mount of the volume is: what the API fills, and a claim taken for reading."""
    return is_live(volume) or bool((volume.get("persistentVolumeClaim") or {}).get("readOnly"))


def expanded_path(expression: str, environment: Mapping[str, str]) -> str:
    """Raises: ConfigError, naming the variable that isn't there."""
    if missing := [name for name in references_of(expression) if name not in environment]:
        raise ConfigError(f'failed to expand subPathExpr {expression!r}: missing value for "{missing[0]}"')
    return expand(expression, environment)


def path_inside(volume: Path, inside: str) -> Path:
    """`volume/inside` without links, made as a directory when it isn't there.

    Raises: ConfigError, when it leads out of the volume.
    """
    if os.path.isabs(inside) or ".." in Path(inside).parts:
        raise ConfigError(f"subPath {inside!r} must stay inside its volume")
    root = Path(os.path.realpath(volume))
    path = Path(os.path.realpath(root / inside))
    if path != root and root not in path.parents:
        raise ConfigError(f"subPath {inside!r} leads out of its volume")
    if not path.exists():
        path.mkdir(parents=True)
        path.chmod(0o750 if not volume.stat().st_mode & 0o007 else 0o777)
    return path
