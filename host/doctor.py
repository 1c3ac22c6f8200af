"""`make doctor`: is this machine well? What only the host can see, then what the controller sees (`paas doctor`).

It works while the platform is stopped or half of it is broken: each look is a finding of its own, also when it fails.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from host import operator, operator_settings
from host.errors import HostError
from host.health import is_ready
from host.programs import plan_programs
from host.settings import CHECKOUT, Platform
from host.supervisor import Supervisor

OK, WARN, FAIL = "ok", "warn", "fail"
CALL_DEADLINE = 5  # seconds for one question to the engine
SCARCE = 0.10  # of a disk's space or inodes free, or …
SCARCE_BYTES = 5 << 30  # … this much space
SOON = 60  # days until a certificate ends; programs renew theirs when they start


@dataclass(frozen=True)
class Finding:
    name: str
    level: str
    text: str
    fix: str = ""


def run(platform: Platform) -> int:
    """Print a finding a line, as `paas doctor` does; exit status 1 when something fails."""
    failed = False
    for each in [*examine(platform), *seen_by_the_controller(platform)]:
        failed = failed or each.level == FAIL
        print(f"{each.level:4}  {each.name}: {each.text}", flush=True)
        if each.fix:
            print(f"      {each.fix}", flush=True)
    return 1 if failed else 0


def examine(platform: Platform) -> Iterator[Finding]:
    for name, check in CHECKS.items():
        try:
            yield from check(platform)
        except Exception as exc:  # a check that breaks is a finding
            yield Finding(name, FAIL, f"can't be looked at: {exc}"[:400], "run it again; else `make up` repairs")


def seen_by_the_controller(platform: Platform) -> Iterator[Finding]:
    """Its own findings, by the operator's sign-in; that it doesn't answer is one as well."""
    try:
        answer = operator.paas(platform, ["api", "GET", "/v2/doctor"], timeout=60)
        yield from (Finding(**each) for each in json.loads(answer)["findings"])
    except (HostError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as exc:
        yield Finding("controller", FAIL, f"can't be asked: {exc}"[:400], "`make up` starts and repairs it")


def look_at_programs(platform: Platform) -> Iterator[Finding]:
    supervisor = Supervisor(platform)
    if supervisor.pid() is None:
        yield Finding("programs", FAIL, "the supervisor doesn't run", "`make up` starts the platform")
        return
    states, well = supervisor.states(), 0
    programs = plan_programs(platform, os.environ)
    for program in programs:
        state = str(states.get(program.name, {}).get("statename", "MISSING"))
        if state == "RUNNING" and (not program.ready or is_ready(program.ready)):
            well += 1
            continue
        text = "runs and isn't ready" if state == "RUNNING" else f"is {state.lower()}"
        fix = f"its last words are in {platform.home}/log/{program.name}.log; `make up` repairs"
        yield Finding(program.name, FAIL, text, fix)
    if well == len(programs):
        yield Finding("programs", OK, f"all {well} run and are ready")


def look_at_engine(platform: Platform) -> Iterator[Finding]:
    import docker

    if not platform.docker_host:
        yield Finding("engine", FAIL, "none was chosen yet", "`make up` finds or installs one")
        return
    try:
        client = docker.DockerClient(base_url=platform.docker_host, timeout=CALL_DEADLINE)
        facts = client.info()
        client.close()
    except (docker.errors.DockerException, OSError) as exc:
        fix = "start it; `make up` does where it is the platform's own"
        yield Finding("engine", FAIL, f"{platform.docker_host} doesn't answer: {exc}"[:400], fix)
        return
    yield from judge_engine(facts)


def judge_engine(facts: dict[str, Any]) -> Iterator[Finding]:
    """`facts` is the engine's answer to `docker info`."""
    text = f"Docker {facts.get('ServerVersion', 'of unknown version')}"
    if facts.get("LiveRestoreEnabled"):
        yield Finding("engine", OK, f"{text}, containers outlive it")
    else:
        fix = 'set {"live-restore": true} in /etc/docker/daemon.json and reload the engine'
        yield Finding("engine", WARN, f"{text}; apps end when it stops or is upgraded", fix)
    for lacking, name in (("MemoryLimit", "memory"), ("CpuCfsQuota", "CPU"), ("PidsLimit", "process")):
        if facts.get(lacking) is False:
            fix = "turn that control group controller on in the kernel"
            yield Finding("engine", WARN, f"the kernel gives it no {name} limits", fix)
    if root := facts.get("DockerRootDir"):
        yield from room("engine's disk", Path(root))


def look_at_disk(platform: Platform) -> Iterator[Finding]:
    yield from room("platform's disk", platform.home)


def room(name: str, path: Path) -> Iterator[Finding]:
    usage, entries = shutil.disk_usage(path), os.statvfs(path)
    text = f"{usage.free / 2**30:.1f} of {usage.total / 2**30:.0f} GiB free in {path}"
    scarce = usage.free < min(SCARCE * usage.total, SCARCE_BYTES)
    fix = "`paas gc` removes images nobody keeps; else enlarge the disk" if scarce else ""
    yield Finding(name, WARN if scarce else OK, text, fix)
    if entries.f_files and entries.f_favail < SCARCE * entries.f_files:
        text = f"{entries.f_favail} of {entries.f_files} files may still be made in {path}"
        yield Finding(name, WARN, text, "remove what has many small files (old images, build caches: `paas gc`)")


def look_at_secrets(platform: Platform) -> Iterator[Finding]:
    places = [platform.home / "secrets", platform.home / "operator"]
    if not platform.kubeconfig:
        places.append(platform.home / "orchestrator" / "pki")
    found = [path for place in places for path in sorted(place.rglob("*"))]
    files = [path for path in found if path.is_file() and path.suffix not in (".crt", ".pub")]
    if missing := [place for place in places if not place.is_dir()]:
        yield Finding("secrets", FAIL, f"{missing[0]} is missing", "restore it from a backup (`make restore`)")
    shown = platform.home.stat().st_mode & 0o077 != 0
    for path in files if shown else ():
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield Finding("secrets", FAIL, f"others may read {path} (mode {mode:o})", f"chmod 600 {path}")
            return
    if not missing:
        yield Finding("secrets", OK, f"{len(files)} files, readable by root alone")


def look_at_certificates(platform: Platform) -> Iterator[Finding]:
    from cryptography import x509

    now, found = datetime.now(UTC), []
    for path in sorted((platform.home / "orchestrator" / "pki").glob("*.crt")):
        ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
        found.append((ends, path))
        if (days := (ends - now).days) < SOON:
            again = "move that folder away first; " if path.stem == "ca" else ""
            fix = f"{again}`make down && make up` makes a new one; apps stop meanwhile"
            text = f"{path} {'ended' if days < 0 else 'ends'} {ends:%Y-%m-%d}"
            yield Finding("certificate", FAIL if days < 0 else WARN, text, fix)
    if found and (min(found)[0] - now).days >= SOON:
        text = f"{len(found)} of the platform's own, the first ends {min(found)[0]:%Y-%m-%d}"
        yield Finding("certificates", OK, text)


def look_at_kernel(platform: Platform) -> Iterator[Finding]:
    forward = Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()
    if forward != "1":
        fix = "sysctl -w net.ipv4.ip_forward=1, and the same in /etc/sysctl.d"
        yield Finding("kernel", FAIL, "it forwards no packets between containers and the world", fix)
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, timeout=10, check=False)
    if rules.returncode != 0:
        text = f"nft can't be used: {rules.stderr.strip()[:200]}"
        yield Finding("kernel", FAIL, text, "install nftables; load the module nf_tables")
    if forward == "1" and rules.returncode == 0:
        yield Finding("kernel", OK, "it forwards packets and takes rules")


def look_at_settings(platform: Platform) -> Iterator[Finding]:
    """What the operator wrote, before `make up` stumbles over it."""
    well = True
    for read in (operator_settings.controller_settings, operator_settings.registry_settings):
        try:
            read(platform.home)
        except HostError as exc:
            well = False
            yield Finding("settings", FAIL, str(exc), "mend that line, then `make up`")
    if well:
        yield Finding("settings", OK, f"the *.env files of {platform.home} can be read")


def look_at_checkout(platform: Platform) -> Iterator[Finding]:
    """Whether what runs is what is checked out."""
    from host.up import with_code_version

    configuration = Supervisor(platform).configuration
    running = configuration.read_text() if configuration.exists() else ""
    programs = [with_code_version(program) for program in plan_programs(platform, os.environ)]
    codes = {each.name: each.environment["PAAS_CODE"] for each in programs if "PAAS_CODE" in each.environment}
    if old := [name for name, code in codes.items() if code not in running]:
        text = f"{CHECKOUT} has newer code than what runs: {', '.join(old)}"
        yield Finding("checkout", WARN, text, "`make up` starts it, one program after the other")
    else:
        yield Finding("checkout", OK, f"what runs is what is in {CHECKOUT}")


CHECKS: dict[str, Callable[[Platform], Iterator[Finding]]] = {
    "programs": look_at_programs,
    "engine": look_at_engine,
    "disk": look_at_disk,
    "secrets": look_at_secrets,
    "certificates": look_at_certificates,
    "kernel": look_at_kernel,
    "settings": look_at_settings,
    "checkout": look_at_checkout,
}
