"""A server and its agent as processes of their own, and an unmodified kubectl to drive them with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
START_TIMEOUT = 60.0  # seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kubectl_path() -> str | None:
    return os.environ.get("KUBECTL") or shutil.which("kubectl")


class Cluster:
    """The processes and the files of one server and one agent."""

    def __init__(self, folder: Path, **variables: str) -> None:
        """`variables` are further settings of both programs."""
        self.folder, self.port, self.agent_port = folder, free_port(), free_port()
        self.variables = variables
        self.data = folder / "orchestrator"
        self.kubeconfig = self.data / "admin.kubeconfig"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def _spawn(self, program: str, **variables: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "NODE_NAME": "node-a", **self.variables, **variables}
        with (self.folder / f"{program}.log").open("ab") as output:
            self._processes[program] = subprocess.Popen(
                [sys.executable, "-m", "orchestrator", program], env=environment, stdout=output, stderr=output,
                umask=0o027,  # as the supervisor has it
            )  # fmt: skip

    def start(self) -> None:
        self.start_server()
        self._spawn(
            "agent", KUBECONFIG=str(self.data / "agent.kubeconfig"), AGENT_DATA=str(self.folder / "agent"),
            AGENT_LISTEN=f"127.0.0.1:{self.agent_port}",
        )  # fmt: skip

    def start_server(self) -> None:
        self._spawn("server", ORCHESTRATOR_DATA=str(self.data), ORCHESTRATOR_LISTEN=f"127.0.0.1:{self.port}")
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self._processes["server"].poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{(self.folder / 'server.log').read_text()}")

    def kill(self, program: str) -> None:
        self._processes[program].send_signal(signal.SIGKILL)
        self._processes[program].wait()

    def stop(self) -> None:
        for process in reversed(self._processes.values()):
            process.terminate()
        for process in reversed(self._processes.values()):
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


class Kubectl:
    """Runs an unmodified kubectl; each call has a deadline."""

    def __init__(self, path: str, kubeconfig: Path, home: Path) -> None:
        self.path, self.kubeconfig, self.home = path, kubeconfig, home
        self.editor = "true"
        self.variables: dict[str, str] = {}

    def command(self, *arguments: str) -> list[str]:
        return [self.path, f"--kubeconfig={self.kubeconfig}", *arguments]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "HOME": str(self.home), "KUBE_EDITOR": self.editor, **self.variables}

    def run(self, *arguments: str, stdin: str = "", deadline: float = 90) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), input=stdin, capture_output=True, text=True, timeout=deadline,
            env=self.environment(), check=False,
        )  # fmt: skip

    def __call__(self, *arguments: str, stdin: str = "", deadline: float = 30) -> str:
        """Standard output; fails the test when kubectl does."""
        done = self.run(*arguments, stdin=stdin, deadline=deadline)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def refused(self, *arguments: str, stdin: str = "") -> str:
        """Standard error; fails the test when kubectl succeeds."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)} succeeded: {done.stdout}"
        return done.stderr


def everything_served(kubectl: Kubectl) -> Iterator[dict[str, Any]]:
    """Every stored object of every kind that discovery names, in every version it is served in."""
    groups = json.loads(kubectl("get", "--raw", "/apis"))["groups"]
    versions = [version["groupVersion"] for group in groups for version in group["versions"]]
    for path in ("/api/v1", *(f"/apis/{version}" for version in versions)):
        for resource in json.loads(kubectl("get", "--raw", path))["resources"]:
            if "list" in resource["verbs"] and "/" not in resource["name"]:
                yield from json.loads(kubectl("get", "--raw", f"{path}/{resource['name']}"))["items"]
