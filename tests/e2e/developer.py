"""A developer at a terminal: a home folder, an SSH key, `paas` and git as real processes; and the outside world's view.

Everything goes through the doors a user has: the command line, `git push` over SSH, HTTP through the router.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from host.settings import CHECKOUT, Platform

Result = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Answer:
    status: int
    body: str
    headers: dict[str, str]


class Developer:
    def __init__(self, platform: Platform, home: Path, username: str, password: str) -> None:
        self.platform, self.home, self.username = platform, home, username
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(CHECKOUT),
            "NO_COLOR": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": username,
            "GIT_AUTHOR_EMAIL": f"{username}@example.test",
            "GIT_COMMITTER_NAME": username,
            "GIT_COMMITTER_EMAIL": f"{username}@example.test",
            "GIT_SSH_COMMAND": f"ssh -i {home}/key -o IdentitiesOnly=yes -o BatchMode=yes "
            f"-o StrictHostKeyChecking=no -o UserKnownHostsFile={home}/known_hosts -o LogLevel=ERROR",
        }
        if not (home / "key").exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", username, "-f", str(home / "key")]
            subprocess.run(command, check=True)
        self.paas("login", platform.url, f"--username={username}", f"--password={password}")

    def run(
        self,
        command: list[str],
        *,
        cwd: Path | None = None,
        ok: bool = True,
        timeout: float = 180,
        stdin: str | None = None,
    ) -> Result:
        done = subprocess.run(
            command, cwd=cwd or self.home, env=self._environment, capture_output=True, text=True, timeout=timeout,
            input=stdin if stdin is not None else "", check=False,
        )  # fmt: skip
        if ok and done.returncode != 0:
            raise AssertionError(f"{command} exited {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def paas(self, *arguments: str, cwd: Path | None = None, ok: bool = True, timeout: float = 180) -> Result:
        return self.run([sys.executable, "-m", "cli.main", *arguments], cwd=cwd, ok=ok, timeout=timeout)

    def json(self, *arguments: str) -> object:
        return json.loads(self.paas(*arguments, "--json").stdout)

    def git(self, folder: Path, *arguments: str, ok: bool = True, timeout: float = 300) -> Result:
        return self.run(["git", *arguments], cwd=folder, ok=ok, timeout=timeout)

    def start_git(self, folder: Path, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["git", *arguments],
            cwd=folder,
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def repository(self, name: str, files: dict[str, str]) -> Path:
        """A git repository with these files committed on master."""
        folder = self.home / name
        folder.mkdir()
        self.git(folder, "init", "-q", "-b", "master")
        self.commit(folder, files)
        return folder

    def example(self, name: str, example: str = "python-web") -> Path:
        folder = self.home / name
        shutil.copytree(CHECKOUT / "examples" / example, folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.git(folder, "init", "-q", "-b", "master")
        self.git(folder, "add", "-A")
        self.git(folder, "commit", "-q", "-m", "first")
        return folder

    def commit(self, folder: Path, files: dict[str, str], message: str = "change") -> None:
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
            if path.startswith("bin/"):
                (folder / path).chmod(0o755)
        self.git(folder, "add", "-A")
        self.git(folder, "commit", "-q", "-m", message)

    def push(self, folder: Path, *, ok: bool = True) -> str:
        """`git push deis master`; what the pusher read."""
        done = self.git(folder, "push", "deis", "HEAD:master", ok=ok)
        assert ok == (done.returncode == 0), done.stdout + done.stderr
        return done.stdout + done.stderr

    def ask(self, app: str, path: str = "/", *, host: str = "", timeout: float = 30) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.platform.http_port, timeout=timeout)
        try:
            connection.request(
                "GET", path, headers={"Host": host or f"{app}.{self.platform.domain}", "Accept": "text/html"}
            )
            response = connection.getresponse()
            return Answer(response.status, response.read().decode(errors="replace"), dict(response.getheaders()))
        finally:
            connection.close()


def until(condition: Callable[[], object], seconds: float, complaint: str = "") -> float:
    """Seconds until `condition` held; fails the test after `seconds`."""
    started = time.monotonic()
    while True:
        try:
            if condition():
                return time.monotonic() - started
        except (OSError, http.client.HTTPException):
            last = sys.exc_info()[1]
            complaint = complaint or str(last)
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not within {seconds} s: {complaint or condition}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Load:
    requests: int
    failed: int
    not_200: int
    text: str


AFTERMATH = 4.5  # seconds the load goes on after a change: longer than replaced processes drain


class Wrk:
    """64 keep-alive connections of wrk against one app, for as long as the block runs."""

    def __init__(
        self, platform: Platform, app: str, path: str = "/", *, connections: int = 64, limit: int = 400
    ) -> None:
        self._command = [
            "wrk", "-t2", f"-c{connections}", f"-d{limit}s", "--timeout", "60s",
            "-H", f"Host: {app}.{platform.domain}", f"http://127.0.0.1:{platform.http_port}{path}",
        ]  # fmt: skip
        self.result: Load | None = None

    def __enter__(self) -> Wrk:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        time.sleep(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(AFTERMATH)
        self._process.send_signal(2)
        output, _ = self._process.communicate(timeout=60)
        self.result = parse_wrk(output)


def parse_wrk(output: str) -> Load:
    requests = int((re.search(r"(\d+) requests in", output) or [0, 0])[1])
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", output)
    not_200 = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    return Load(requests, sum(map(int, errors.groups())) if errors else 0, int(not_200[1]) if not_200 else 0, output)
