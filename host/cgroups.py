"""Control groups for the Docker Engine where no init system has mounted them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def plan_mounts(mounts: str, controllers: str) -> list[list[str]]:
    """The mount commands that make control groups usable, from /proc/mounts and /proc/cgroups; often none.

    Hosts with systemd have them. In a bare container or chroot there may be none: the version 1 hierarchies are
    mounted when the kernel has its controllers there, else the unified one.
    """
    if any(len(fields := line.split()) > 2 and fields[2] in ("cgroup", "cgroup2") for line in mounts.splitlines()):
        return []
    enabled = []
    for line in controllers.splitlines():
        fields = line.split()
        if len(fields) == 4 and not line.startswith("#") and fields[3] == "1" and fields[1] != "0":
            enabled.append(fields[0])
    if not enabled:
        return [["mount", "-t", "cgroup2", "none", str(ROOT)]]
    commands = [["mount", "-t", "tmpfs", "-o", "uid=0,gid=0,mode=0755", "cgroup", str(ROOT)]]
    for name in enabled:
        commands.append(["mkdir", "-p", str(ROOT / name)])
        commands.append(["mount", "-n", "-t", "cgroup", "-o", name, "cgroup", str(ROOT / name)])
    # containerd finds a process's groups only where this hierarchy is mounted too; without it, no one hears of an OOM
    commands.append(["mkdir", "-p", str(ROOT / "systemd")])
    commands.append(["mount", "-n", "-t", "cgroup", "-o", "none,name=systemd", "cgroup", str(ROOT / "systemd")])
    return commands


def ensure(note: Path) -> None:
    """Mount what is missing, and leave `note` behind when that was anything."""
    commands = plan_mounts(Path("/proc/mounts").read_text(), Path("/proc/cgroups").read_text())
    if commands:
        note.touch()
    for command in commands:
        subprocess.run(command, check=True, timeout=10)


def restore(note: Path) -> None:
    """Unmount what `ensure` mounted."""
    if note.exists():
        subprocess.run(["umount", "--recursive", str(ROOT)], timeout=30, check=False)
