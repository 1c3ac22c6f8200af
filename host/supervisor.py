"""supervisord: its configuration from the programs (pure), and its life on the host."""

from __future__ import annotations

import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from host import orphans
from host.errors import HostError
from host.health import wait_until
from host.programs import Program
from host.settings import CHECKOUT, Platform

START_DEADLINE = 20.0  # seconds until the supervisor answers
NOT_RUNNING = 70  # supervisor's fault: it ended by itself meanwhile
UP = ("RUNNING", "STARTING", "BACKOFF")  # states of supervisor's subprocesses
STARTING, STOPPING = ("STARTING",), ("STOPPING",)
DOWN = ("STOPPED", "EXITED", "FATAL")
NEEDED = ("redis", "registry", "orchestrator-server")  # by others while they stop
SETTLE = 3.0  # seconds for programs to start before they are stopped; they count as running after one
STOP_DEADLINE = 90.0  # seconds for all programs to stop; longer than the longest stop_seconds


def render(platform: Platform, programs: Sequence[Program], environment: Mapping[str, str]) -> str:
    """supervisord.conf. A program that ends is started again at once, for ever, with growing pauses while it fails."""
    home = platform.home
    sections = [
        f"""[supervisord]
logfile={home}/log/supervisord.log
logfile_maxbytes=10MB
logfile_backups=2
pidfile={home}/run/supervisord.pid
childlogdir={home}/log
directory={CHECKOUT}
umask=027
minfds={file_limit()}
environment={_pairs({**environment, "PAAS_HOME": str(home)})}

[unix_http_server]
file={home}/run/supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
    ]
    sections += [_section(home, program) for program in programs]
    return "\n".join(sections)


def file_limit() -> int:
    """Open files each program may have: plenty for a proxy, within what this machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)


def _section(home: Path, program: Program) -> str:
    return f"""[program:{program.name}]
command={" ".join(_word(word) for word in program.command)}
environment={_pairs(program.environment)}
priority={program.priority}
autostart=true
autorestart=true
startsecs=1
startretries=1000000
stopwaitsecs={program.stop_seconds}
redirect_stderr=true
stdout_logfile={home}/log/{program.name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


def _word(word: str) -> str:
    return ('"' + word.replace("%", "%%") + '"') if not word or set(word) & set(" ;'") else word.replace("%", "%%")


def _pairs(environment: Mapping[str, str]) -> str:
    """supervisord's KEY='value' list; a value with both kinds of quotes can't be written."""
    pairs = []
    for key, value in environment.items():
        quote = "'" if "'" not in value else '"'
        if quote in value or "\n" in value:
            raise HostError(f"The environment variable {key} mixes quotes or lines; the supervisor can't pass it on.")
        pairs.append(f"{key}={quote}{value.replace('%', '%%')}{quote}")
    return ",".join(pairs)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=STOP_DEADLINE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: object) -> http.client.HTTPConnection:
        return _UnixConnection(self._path)


class Supervisor:
    """The supervisor of one instance."""

    def __init__(self, platform: Platform) -> None:
        self.home = platform.home
        self.configuration = platform.home / "supervisord.conf"
        transport = _UnixTransport(str(platform.home / "run" / "supervisor.sock"))
        self._rpc: Any = xmlrpc.client.ServerProxy("http://supervisor/RPC2", transport=transport).supervisor

    def pid(self) -> int | None:
        """The running supervisor's process id; None when none runs."""
        try:
            return int(str(self._rpc.getPID()))
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return None

    def start(self) -> None:
        """Start it with the written configuration; what a killed one left behind is ended first, the proxy and apps
        run on. Raises: HostError when it doesn't answer in time."""
        for orphan in orphans.end(self.home):
            print(f"ended {orphan.program} (pid {orphan.pid}), whose supervisor was killed", flush=True)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self.configuration)]
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": os.environ.get("HOME", "/root")}
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=START_DEADLINE)
        if done.returncode != 0:
            raise HostError(f"The supervisor did not start: {done.stdout}{done.stderr}".strip())
        deadline = time.monotonic() + START_DEADLINE
        while self.pid() is None:
            if time.monotonic() > deadline:
                raise HostError(f"The supervisor does not answer; see {self.home}/log/supervisord.log.")
            time.sleep(0.05)

    def apply(self) -> None:
        """Take up a changed configuration: only programs whose section changed restart."""
        added, changed, removed = self._rpc.reloadConfig()[0]
        for name in [*removed, *changed]:
            self._rpc.stopProcessGroup(name)
            self._rpc.removeProcessGroup(name)
        for name in [*changed, *added]:
            self._rpc.addProcessGroup(name)
        for name in self._named(DOWN):  # by a `make down` that was killed halfway, or by hand
            self._rpc.startProcess(name, False)

    def restart(self, name: str) -> None:
        self._rpc.stopProcess(name)
        self._rpc.startProcess(name)

    def stop_programs(self, *, but: tuple[str, ...]) -> None:
        """Stop all programs except those named, what others need last; they stay stopped until `apply`, `restart` or
        a new supervisor. Raises: HostError when some don't stop.
        """
        stopped = [name for name in self._named(UP) if name not in (*but, "guardian")]
        self._stop_at_once([name for name in stopped if name not in NEEDED])
        self._stop_at_once([name for name in stopped if name in NEEDED])

    def _stop_at_once(self, names: Sequence[str]) -> None:
        deadline = time.monotonic() + SETTLE  # a signal that comes before a program was started in its process is lost
        while set(names) & set(self._named(STARTING)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for name in names:
            try:
                self._rpc.stopProcess(name, False)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != NOT_RUNNING:
                    raise
        wait_until(
            lambda: not self._named(STOPPING),
            STOP_DEADLINE,
            lambda: f"{', '.join(self._named(STOPPING))} did not stop within {STOP_DEADLINE:.0f} s.",
        )

    def _named(self, states: tuple[str, ...]) -> list[str]:
        return [name for name, info in self.states().items() if info["statename"] in states]

    def states(self) -> dict[str, dict[str, object]]:
        """Name → supervisor's process info (`statename`, `pid`, `description`…)."""
        return {info["name"]: info for info in self._rpc.getAllProcessInfo()}

    def stop(self) -> None:
        """Stop every program, then the supervisor; returns when its process is gone."""
        pid = self.pid()
        if pid is None:
            return
        self._stop_at_once(self._named(UP))  # by itself it would look at one program a second
        self._rpc.shutdown()
        deadline = time.monotonic() + STOP_DEADLINE
        while _alive(pid):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                raise HostError(f"The supervisor did not stop within {STOP_DEADLINE:.0f} s and was killed.")
            time.sleep(0.1)


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"
