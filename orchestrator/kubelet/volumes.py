"""The volumes of pods on this node: made before the first container, kept up to date, taken down after the last."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.errors import ApiError, OrchestratorError
from orchestrator.kubelet.atomic_files import write_atomically
from orchestrator.kubelet.environment import ConfigError, NodeView
from orchestrator.kubelet.lookup import Lookup
from orchestrator.kubelet.payloads import is_live, render_payload, volume_sources, volume_tokens
from orchestrator.kubelet.pod_files import (
    hostname_of,
    read_host_hosts,
    read_host_resolv_conf,
    render_hosts,
    render_resolv_conf,
)
from orchestrator.kubelet.resources import bytes_of
from orchestrator.objects.meta import Obj

log = logging.getLogger(__name__)

COMMAND_DEADLINE = 20.0


class MountFailed(OrchestratorError):
    """A volume of a pod can't be made yet (FailedMount); tried again."""


class Volumes:
    def __init__(
        self, data: Path, lookup: Lookup, *, node: NodeView, dns_address: str, cluster_domain: str, real: bool = True
    ) -> None:
        self._pods, self._memory = data / "pods", data / "memory"
        self.seccomp_profiles = data / "seccomp"
        self._lookup, self._node = lookup, node
        self._dns_address, self._cluster_domain = dns_address, cluster_domain
        self.real = real  # False on a simulated node: nothing touches this machine

    async def start(self) -> None:
        """The tmpfs that secrets live on, so that they never reach a disk."""
        if self.real:
            await asyncio.to_thread(mount_tmpfs, self._memory, "mode=0700")

    def folder(self, uid: str) -> Path:
        return self._pods / uid

    async def prepare(self, pod: Obj, address: str, *, since: float) -> dict[str, Path]:
        """The path of each volume on this host; `since` as `Lookup` has it. Raises: MountFailed."""
        if not self.real:
            return {}
        uid = pod["metadata"]["uid"]
        await asyncio.to_thread(self._write_pod_files, pod, address)
        paths = {}
        for volume in pod["spec"].get("volumes") or ():
            try:
                paths[volume["name"]] = await self._prepare_one(pod, volume, address, since)
            except (ConfigError, OSError, subprocess.SubprocessError) as exc:
                raise MountFailed(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {exc}') from exc
            except ApiError as exc:
                raise MountFailed(f'volume "{volume["name"]}" of pod {uid}: {exc.message}') from exc
        return paths

    async def refresh(self, pod: Obj, address: str, *, since: float) -> None:
        """Writes what changed of ConfigMaps, Secrets, tokens and the pod's own labels."""
        for volume in pod["spec"].get("volumes") or ():
            if is_live(volume):
                try:
                    await self._fill(pod, volume, address, since)
                except (ConfigError, ApiError, OSError) as exc:
                    log.info("volume %s of %s keeps its content: %s", volume["name"], pod["metadata"]["name"], exc)

    async def empty(self, uid: str) -> None:
        """Removes what a pod that is over had mounted."""
        self._lookup.forget(uid)
        if self.real:
            await asyncio.to_thread(self._remove_volumes, uid)

    async def tear_down(self, uid: str) -> None:
        self._lookup.forget(uid)
        if self.real:
            await asyncio.to_thread(self._remove, uid)

    def known(self) -> set[str]:
        """The pods that have folders here."""
        return {path.name for path in self._pods.iterdir()} if self._pods.is_dir() else set()

    def termination_file(self, uid: str, container: str, attempt: int) -> Path:
        path = self.folder(uid) / "termination" / f"{container}-{attempt}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch()
            path.chmod(0o666)
        return path

    def _write_pod_files(self, pod: Obj, address: str) -> None:
        etc = self.folder(pod["metadata"]["uid"]) / "etc"
        etc.mkdir(parents=True, exist_ok=True)
        resolv_conf = render_resolv_conf(
            pod, dns_address=self._dns_address, cluster_domain=self._cluster_domain, host=read_host_resolv_conf()
        )
        files = {
            "hosts": render_hosts(pod, address, self._cluster_domain, read_host_hosts()),
            "resolv.conf": resolv_conf,
            "hostname": f"{hostname_of(pod)}\n",
        }
        for name, text in files.items():
            path = etc / name
            # Written once: these are mounted as files, so a rename would leave containers with the old ones.
            if not path.exists() or path.read_text() != text:
                path.write_text(text)
                path.chmod(0o644)

    async def _prepare_one(self, pod: Obj, volume: Mapping[str, Any], address: str, since: float) -> Path:
        if is_live(volume):
            return await self._fill(pod, volume, address, since)
        folder: Path = self.folder(pod["metadata"]["uid"]) / "volumes" / volume["name"]
        if "hostPath" in volume:
            return await asyncio.to_thread(host_path, volume["hostPath"])
        if "persistentVolumeClaim" in volume:
            return await self._claimed(pod, volume["persistentVolumeClaim"]["claimName"])
        if "emptyDir" in volume or "ephemeral" not in volume and len(volume) == 1:
            source = volume.get("emptyDir") or {}
            await asyncio.to_thread(make_empty, folder, source, group_of(pod))
            return folder
        kinds = ", ".join(key for key in volume if key != "name")
        raise ConfigError(f"volumes of the kind {kinds} are not known here")

    async def _fill(self, pod: Obj, volume: Mapping[str, Any], address: str, since: float) -> Path:
        namespace, uid = pod["metadata"]["namespace"], pod["metadata"]["uid"]
        sources = await self._lookup.sources(namespace, volume_sources(volume), since=since)
        tokens = {key: await self._lookup.token(pod, *key) for key in volume_tokens(volume)}
        payload = render_payload(pod, volume, sources, tokens, self._node, address)
        secret = bool(tokens) or any(kind == "Secret" for kind, _ in sources)
        base = self._memory / uid if secret else self.folder(uid) / "volumes"
        folder: Path = base / volume["name"]
        await asyncio.to_thread(write_atomically, folder, payload, group=group_of(pod))
        return folder

    async def _claimed(self, pod: Obj, claim: str) -> Path:
        volume = await self._lookup.claimed_volume(claim, pod["metadata"]["namespace"])
        if volume is None:
            raise ConfigError(f'persistentvolumeclaim "{claim}" is not bound to a volume')
        spec = volume["spec"]
        if "hostPath" in spec:
            return await asyncio.to_thread(host_path, {"type": "DirectoryOrCreate", **spec["hostPath"]})
        if "local" not in spec:
            raise ConfigError(f"volume {volume['metadata']['name']} is neither a hostPath nor a local one")
        path = await asyncio.to_thread(local_path, Path(spec["local"]["path"]))
        if (group := group_of(pod)) is not None:
            on_mismatch = pod["spec"]["securityContext"].get("fsGroupChangePolicy") == "OnRootMismatch"
            await asyncio.to_thread(give_all_to_group, path, group, only_on_mismatch=on_mismatch)
        return path

    def _remove(self, uid: str) -> None:
        self._remove_volumes(uid)
        shutil.rmtree(self.folder(uid), ignore_errors=True)

    def _remove_volumes(self, uid: str) -> None:
        volumes = self.folder(uid) / "volumes"
        for path in volumes.iterdir() if volumes.is_dir() else ():
            if os.path.ismount(path):
                run_command(["umount", "-l", str(path)])
        for folder in (volumes, self._memory / uid):
            shutil.rmtree(folder, ignore_errors=True)


def group_of(pod: Obj) -> int | None:
    return (pod["spec"].get("securityContext") or {}).get("fsGroup")


def make_empty(folder: Path, source: Mapping[str, Any], group: int | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    in_memory = source.get("medium") == "Memory"
    fresh = not os.path.ismount(folder) if in_memory else not any(folder.iterdir())
    if in_memory:
        size = f",size={bytes_of(source['sizeLimit'])}" if source.get("sizeLimit") else ""
        mount_tmpfs(folder, f"mode=0777{size}")
    if fresh:
        folder.chmod(0o777)
        if group is not None:
            give_to_group(folder, group)


def give_to_group(folder: Path, group: int) -> None:
    """Lets a group write, and makes what is created in it belong to the group."""
    os.chown(folder, -1, group)
    folder.chmod(folder.stat().st_mode & 0o777 | 0o2070)


def give_all_to_group(folder: Path, group: int, *, only_on_mismatch: bool) -> None:
    """Folder and content. Source: kubernetes pkg/volume/volume_linux.go, SetVolumeOwnership."""
    root = folder.stat()
    if only_on_mismatch and root.st_gid == group and root.st_mode & 0o2070 == 0o2070:
        return
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if not path.is_symlink():
                os.chown(path, -1, group)
                path.chmod(path.stat().st_mode & 0o7777 | (0o2070 if path.is_dir() else 0o060))
    give_to_group(folder, group)


def local_path(path: Path) -> Path:
    """The folder of a claim: a fresh one is anybody's to write, for containers that run as a user and ask no group."""
    if not path.exists():
        path.mkdir(mode=0o755, parents=True)
        path.chmod(0o777)
    return host_path({"type": "Directory", "path": str(path)})


def host_path(source: Mapping[str, Any]) -> Path:
    """Raises: ConfigError, when it isn't what its type promises."""
    path, kind = Path(source["path"]), source.get("type") or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    checks = {
        "DirectoryOrCreate": (path.is_dir, "a directory"),
        "Directory": (path.is_dir, "a directory"),
        "FileOrCreate": (path.is_file, "a file"),
        "File": (path.is_file, "a file"),
        "Socket": (path.is_socket, "a socket file"),
        "CharDevice": (path.is_char_device, "a character device"),
        "BlockDevice": (path.is_block_device, "a block device"),
    }
    if kind in checks and not checks[kind][0]():
        raise ConfigError(f"hostPath type check failed: {path} is not {checks[kind][1]}")
    if not kind and not path.exists():
        path.mkdir(mode=0o755, parents=True)  # as the engine does with a bind mount of nothing
    return path


def mount_tmpfs(folder: Path, options: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if not os.path.ismount(folder):
        run_command(["mount", "-t", "tmpfs", "-o", options, "paas-pods", str(folder)])


def run_command(command: list[str]) -> None:
    """Raises: subprocess.SubprocessError, with what the command said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_DEADLINE, check=False)
    if done.returncode:
        raise subprocess.SubprocessError(f"{' '.join(command)}: {done.stderr.strip()}")
