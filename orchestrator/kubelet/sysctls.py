"""Kernel settings of a pod: which ones it may ask for, and writing them into its sandbox's namespaces.

Source: kubernetes pkg/kubelet/sysctl, component-helpers/node/util/sysctl.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestrator.kubelet.runtime import RuntimeFailure
from orchestrator.objects.meta import Obj

Setting = tuple[str, str]
"""Name with dots, value."""

CLONE_NEWIPC, CLONE_NEWNET = 0x08000000, 0x40000000
NAMESPACES = {"net": CLONE_NEWNET, "ipc": CLONE_NEWIPC}
SAFE = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
}
"""Those that change nothing outside of the pod."""
_libc = ctypes.CDLL(None, use_errno=True)


def sysctls_of(pod: Obj) -> tuple[Setting, ...]:
    asked = (pod["spec"].get("securityContext") or {}).get("sysctls") or ()
    return tuple((entry["name"].replace("/", "."), str(entry["value"])) for entry in asked)


def forbidden_sysctl(pod: Obj) -> str:
    """Why the pod's settings can't be had on this node; empty when they can."""
    spec = pod["spec"]
    for name, _ in sysctls_of(pod):
        if name not in SAFE:
            return f'forbidden sysctl: "{name}" not allowlisted'
        if spec.get("hostNetwork") and name.startswith("net."):
            return f'forbidden sysctl: "{name}" not allowed with host net enabled'
        if spec.get("hostIPC") and name.startswith("kernel."):
            return f'forbidden sysctl: "{name}" not allowed with host ipc enabled'
    return ""


def write_sysctls(pid: int, settings: Sequence[Setting]) -> None:
    """Sets them for the network and IPC namespaces of `pid`. Blocks shortly: run it on a thread.

    Raises: RuntimeFailure, naming the setting that the kernel refused.
    """
    with _inside(pid):
        for name, value in settings:
            try:
                Path("/proc/sys", name.replace(".", "/")).write_text(value)
            except OSError as exc:
                raise RuntimeFailure(f"the kernel refused the sysctl {name}={value}: {exc.strerror}") from exc


@contextmanager
def _inside(pid: int) -> Iterator[None]:
    """This thread in the namespaces of `pid`, and out again at the end."""
    with ExitStack() as files:
        own, theirs = (
            {kind: files.enter_context(open(f"/proc/{who}/ns/{kind}", "rb")).fileno() for kind in NAMESPACES}
            for who in ("thread-self", pid)
        )
        try:
            for kind, flag in NAMESPACES.items():
                _enter(theirs[kind], flag)
            yield
        finally:
            for kind, flag in NAMESPACES.items():
                _enter(own[kind], flag)


def _enter(handle: int, flag: int) -> None:
    if _libc.setns(handle, flag) != 0:
        raise RuntimeFailure(f"can't enter a sandbox's namespace: {os.strerror(ctypes.get_errno())}")
