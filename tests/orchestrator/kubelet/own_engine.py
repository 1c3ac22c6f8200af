"""A Docker Engine of a test's own, which may be killed: its containers without a network, over its own folders."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from pathlib import Path

from orchestrator.kubelet.cleanup import unmount_below
from orchestrator.kubelet.process_signals import kill_process

START_DEADLINE = 90.0
FLAGS = (
    "--iptables=false", "--ip-forward=false", "--ip-masq=false", "--live-restore",
    "--exec-opt=native.cgroupdriver=cgroupfs", "--cgroup-parent=/paas-test-engine",
)  # fmt: skip


def engine_program() -> str | None:
    return shutil.which("dockerd")


class OwnEngine:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/s"
        self.bridge = f"pt{secrets.token_hex(5)}"  # an engine told to have none removes the machine's docker0
        self._process: subprocess.Popen[bytes] | None = None
        subprocess.run(["ip", "link", "add", self.bridge, "type", "bridge"], check=True, timeout=10)
        subprocess.run(["ip", "addr", "add", "192.0.2.97/29", "dev", self.bridge], check=True, timeout=10)

    def start(self, *, live_restore: bool = True) -> None:
        """Without `live_restore` it ends the containers that an earlier one left."""
        for dead in ("pid", "exec/containerd/containerd.pid"):  # of a killed one; it would take them for living
            (self.folder / dead).unlink(missing_ok=True)
        flags = [flag for flag in FLAGS if live_restore or flag != "--live-restore"]
        places = [f"--data-root={self.folder}/data", f"--exec-root={self.folder}/exec", f"--pidfile={self.folder}/pid"]
        with (self.folder / "log").open("ab") as log:
            command = ["dockerd", *places, f"--host={self.host}", f"--bridge={self.bridge}", *flags]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        give_up = time.monotonic() + START_DEADLINE
        while subprocess.run(["docker", "-H", self.host, "version"], capture_output=True, timeout=20).returncode:
            assert time.monotonic() < give_up, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def remove(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(40)
        for pid in self._left():
            kill_process(pid)
        unmount_below(self.folder)
        subprocess.run(["ip", "link", "delete", self.bridge], check=False, timeout=10)

    def _left(self) -> list[int]:
        """Processes that a killed engine left behind: their command line names our folder."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if f"{self.folder}/".encode() in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found
