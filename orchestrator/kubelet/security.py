"""Security contexts of pods and containers as the engine takes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from orchestrator.kubelet.environment import ConfigError
from orchestrator.kubelet.runtime import Image, Security
from orchestrator.objects.meta import Obj


def render_security(
    pod: Obj, container: Mapping[str, Any], image: Image, *, oom_score_adj: int, profiles: Path
) -> Security:
    """`profiles` is the folder that Localhost seccomp profiles are read from.

    Raises: ConfigError, when the container must not run as root and would, or its profile can't be read.
    """
    shared, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    user, group = own.get("runAsUser", shared.get("runAsUser")), own.get("runAsGroup", shared.get("runAsGroup"))
    if own.get("runAsNonRoot", shared.get("runAsNonRoot")):
        check_not_root(user, image, container["name"])
    capabilities = own.get("capabilities") or {}
    groups = [str(number) for number in shared.get("supplementalGroups") or ()]
    if shared.get("fsGroup") is not None:
        groups.append(str(shared["fsGroup"]))
    seccomp = own.get("seccompProfile") or shared.get("seccompProfile") or {}
    return Security(
        user=rendered_user(user, group, image),
        groups=tuple(groups),
        privileged=bool(own.get("privileged")),
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        no_new_privileges=own.get("allowPrivilegeEscalation") is False,
        capabilities_add=tuple(capabilities.get("add") or ()),
        capabilities_drop=tuple(capabilities.get("drop") or ()),
        seccomp=rendered_seccomp(seccomp, profiles),
        proc_unmasked=own.get("procMount") == "Unmasked",
        oom_score_adj=oom_score_adj,
    )


def rendered_seccomp(profile: Mapping[str, Any], folder: Path) -> str:
    """Raises: ConfigError."""
    if profile.get("type") != "Localhost":
        return "unconfined" if profile.get("type") == "Unconfined" else ""
    name = profile.get("localhostProfile") or ""
    path = folder / name
    if not name or ".." in path.parts or Path(name).is_absolute():
        raise ConfigError(f"localhostProfile {name!r} must be a path below {folder}")
    try:
        return orjson.dumps(orjson.loads(path.read_bytes())).decode()
    except (OSError, ValueError) as exc:
        raise ConfigError(f"the seccomp profile {path} can't be used: {exc}") from exc


def rendered_user(user: int | None, group: int | None, image: Image) -> str:
    """`uid:gid`; empty leaves it to the image. A group alone keeps the image's user."""
    if user is None:
        return "" if group is None else f"{image.user.partition(':')[0] or 0}:{group}"
    return str(user) if group is None else f"{user}:{group}"


def check_not_root(user: int | None, image: Image, container: str) -> None:
    if user is not None:
        if user == 0:
            raise ConfigError(f"container's runAsUser breaks non-root policy (container: {container})")
        return
    name = image.user.partition(":")[0]
    if not name or name in ("0", "root"):
        raise ConfigError(f"container has runAsNonRoot and image will run as root (container: {container})")
    if not name.isdigit():
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), "
            f"cannot verify user is non-root (container: {container})"
        )
