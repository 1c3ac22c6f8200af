"""`make test`: lint, an instance of its own, every test against it, and proof that nothing of it is left.

Stages run in order; a failed one is told at the end, the others still run. `ONLY=unit make test` runs one stage.
`ONLY=languages` runs what takes minutes of downloads and is left out otherwise.

A few tests that failed are tried once more by themselves: a machine that stood still for a second isn't the platform's
fault. Who passes only then is named at the end, because it may have been.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

from host import down, say, settings, up
from host.errors import HostError
from host.settings import CHECKOUT

RANGES = {"PAAS_POD_CIDR": "10.210.0.0/16", "PAAS_SERVICE_CIDR": "10.211.0.0/16"}
PORTS = {  # away from the defaults, so that a platform in use goes on beside the tests
    "PAAS_HTTP_PORT": 18080, "PAAS_HTTPS_PORT": 18443, "PAAS_SSH_PORT": 12222, "PAAS_CONTROLLER_PORT": 18000,
    "PAAS_REGISTRY_PORT": 15000, "PAAS_API_PORT": 16443, "PAAS_AGENT_PORT": 20250, "PAAS_BUILDER_HTTP_PORT": 18010,
    "PAAS_ROUTER_METRICS_PORT": 18011,
}  # fmt: skip
HALF = ["tests/builder", "tests/orchestrator", "tests/properties"]  # of the unit stage's time
OTHERS = ["tests", *(f"--ignore={folder}" for folder in ("tests/e2e", "tests/conformance", *HALF))]
UNIT_LIMIT = 2000  # seconds; a quiet machine of two cores takes about 600
FEW = 5  # tests that may be tried again
BY_REQUEST = ("languages",)


unsteady: list[str] = []  # tests that passed only when they were tried again


def main() -> int:
    chosen = [name for name in os.environ.get("ONLY", "").split(",") if name]
    failed, started = [], time.monotonic()
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="paas-test-") as folder:
        os.environ["PAAS_HOME"] = os.environ["PAAS_TEST_HOME"] = str(Path(folder) / "home")
        for name, stage in STAGES.items():
            if name not in (*chosen, "platform", "nothing left") if chosen else name in BY_REQUEST:
                continue
            say.step(f"{name}")
            began = time.monotonic()
            try:
                stage()
            except (HostError, subprocess.SubprocessError, AssertionError) as exc:
                say.warn(f"{name}: {exc}")
                failed.append(name)
            say.detail(f"{name} took {time.monotonic() - began:.0f} s")
    if unsteady:
        say.warn(f"failed at first, passed when tried alone; look into them: {', '.join(unsteady)}")
    minutes = (time.monotonic() - started) / 60
    say.step(f"{len(failed)} of {len(STAGES)} stages failed after {minutes:.1f} min: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def lint() -> None:
    elsewhere = [["mypy", f"--platform={name}", "cli"] for name in ("win32", "darwin")]
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["lint-imports"], ["mypy"], *elsewhere):
        _run([str(Path(sys.executable).parent / command[0]), *command[1:]], limit=300)


def platform() -> None:
    """An instance with free ports, over its own engine when the machine has none running."""
    for name, port in PORTS.items():
        os.environ.setdefault(name, str(settings.next_free_port(port, set())))
    os.environ.update(RANGES)
    made = up.run(with_example=False)
    os.environ["DOCKER_HOST"] = made.docker_host


def unit() -> None:
    """Two runs side by side, on a core each; what the second prints is shown when both have ended."""
    with tempfile.TemporaryFile("w+") as output, ThreadPoolExecutor(1) as pool:
        beside = pool.submit(_pytest, *HALF, limit=UNIT_LIMIT, output=output)
        try:
            _pytest(*OTHERS, "-m", "not languages", limit=UNIT_LIMIT)
        finally:
            failure = beside.exception()
            output.seek(0)
            print(output.read(), flush=True)
    if failure is not None:
        raise failure


def languages() -> None:
    _pytest("tests/builder", "-m", "languages", limit=900)


def conformance() -> None:
    _pytest("tests/conformance", limit=900)  # about 110 s


def end_to_end() -> None:
    _pytest("tests/e2e", limit=1500)  # about 350 s


def nothing_left() -> None:
    """`make destroy` leaves no process, mount, link or packet filter rule of the instance."""
    instance = settings.load(settings.home_from_environment())
    if instance is None:
        raise HostError("the test instance was never made")
    down.destroy()
    traces = {
        "process": _output(["ps", "-eo", "pid,args"]),
        "mount": Path("/proc/mounts").read_text(),
        "packet filter": _output(["iptables-save"]) + _output(["nft", "list", "ruleset"]),
        "link": _output(["ip", "-brief", "link"]),
    }
    for kind, text in traces.items():
        left = [line for line in text.splitlines() if str(instance.home) in line or instance.instance in line]
        assert not left, f"a {kind} is left: {left[:3]}"


STAGES: dict[str, Callable[[], None]] = {
    "lint": lint,
    "platform": platform,
    "unit": unit,
    "languages": languages,
    "conformance": conformance,
    "end to end": end_to_end,
    "nothing left": nothing_left,
}


def _pytest(*arguments: str, limit: int, output: TextIO | None = None) -> None:
    with tempfile.TemporaryDirectory(prefix="paas-test-cache-") as folder:
        command = [sys.executable, "-m", "pytest", "-q", "-o", f"cache_dir={folder}", *arguments]
        try:
            _run(command, limit=limit, output=output)
        except HostError:
            failed = failed_in(Path(folder))
            if not 0 < len(failed) <= FEW:
                raise
            _run([*command, "--last-failed", "--last-failed-no-failures=none"], limit=limit, output=output)
            unsteady.extend(failed)


def failed_in(cache: Path) -> list[str]:
    """The tests that pytest, by its own record, will take for the last failed."""
    record = cache / "v" / "cache" / "lastfailed"
    return sorted(json.loads(record.read_text())) if record.exists() else []


def _run(command: list[str], *, limit: int, output: TextIO | None = None) -> None:
    done = subprocess.run(command, cwd=CHECKOUT, timeout=limit, check=False, stdout=output, stderr=output)
    if done.returncode != 0:
        raise HostError(f"`{' '.join(command[1:])}` exited with {done.returncode}")


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout


if __name__ == "__main__":
    sys.exit(main())
