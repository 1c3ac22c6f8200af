"""`make up`: from whatever state the machine is in to a running platform with an answering example app.

`run` is the runbook. Each step looks first and does only what is missing, so running it again repairs.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from host import (
    cgroups,
    choices,
    cluster,
    engine,
    example,
    health,
    hints,
    init_system,
    integration,
    operator,
    orphans,
    say,
    secret_files,
    settings,
)
from host.command import module
from host.errors import HostError
from host.programs import (
    STACK_IMAGE,
    Program,
    base_environment,
    builder_environment,
    controller_environment,
    own_docker_host,
    plan_programs,
    registry_environment,
)
from host.settings import CHECKOUT, Platform
from host.supervisor import Supervisor, render

FOLDERS = (
    "run",
    "log",
    "redis",
    "registry",
    "orchestrator",
    "agent",
    "controller",
    "builder",
    "router",
    "operator",
    "logger",
)
STACK_PATIENCE = 10.0  # seconds for an interrupted stack build to clean up
STACK_DEADLINE = 900.0  # seconds to make the stack image, downloads included
CODE_FOLDERS = {  # the proxy and the engine are not ours to restart for a change of Python code
    "orchestrator-server": "orchestrator", "orchestrator-agent": "orchestrator", "controller": "controller",
    "controller-worker": "controller", "builder": "builder", "router-sync": "router",
    "guardian": "host/scripts", "registry": "registry", "logger": "logger",
}  # fmt: skip
CODE_SUFFIXES = (".py", ".sh", ".lua", ".html")
FIRST = ("docker-engine", "redis", "registry")  # what the stack image needs; the rest starts meanwhile


def run(*, with_example: bool = True) -> Platform:
    home = settings.home_from_environment()
    settings.refuse_long_home(home)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with lock(home):
        platform = prepare(home)
        programs = plan_programs(platform, os.environ)
        renew_certificates(platform)
        start(platform, programs)
        password = ""
        try:
            with stack_build(platform, programs) as stack:
                health.wait_all(programs, home / "log")
                integration.ensure(platform)
                password = operator.ensure_admin(platform)
                finish_stack_build(platform, stack)
            if platform.engine_can_exec is None and not platform.kubeconfig:
                platform = try_exec(platform)
            if with_example:
                example.ensure(platform)
        except BaseException:
            hints.print_password(password)
            raise
    hints.print_summary(platform, password, with_example=with_example)
    return platform


@contextmanager
def lock(home: Path) -> Iterator[None]:
    """One set-up at a time on an instance."""
    with open(home / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostError(f"Another set-up of {home} is running; wait for it, then run this again.") from None
        yield


def prepare(home: Path) -> Platform:
    """Folders, secrets, the engine's choice, the programs' own configuration files."""
    platform = settings.load(home)
    if platform is None:
        say.step(f"Making a new platform in {home}")
        platform = settings.create(home, dict(os.environ))
    for name in FOLDERS:
        (home / name).mkdir(mode=0o700, exist_ok=True)
    secret_files.ensure(home / "secrets")
    choices.remember(home, os.environ)
    docker_host = engine.choose(platform)
    if docker_host != platform.docker_host:
        platform = dataclasses.replace(platform, docker_host=docker_host)
    platform.save()
    if docker_host == own_docker_host(platform):
        cgroups.ensure(home / "cgroups-mounted")
        engine.remember_network(platform)
    module(["registry", "render"], registry_environment(platform))
    migrate(platform)
    return cluster.move(platform, os.environ)


def migrate(platform: Platform) -> None:
    module(
        [str(CHECKOUT / "manage.py"), "migrate", "--no-input", "-v", "0"], controller_environment(platform), main=False
    )


def renew_certificates(platform: Platform) -> None:
    """While nothing runs yet, so that every program starts with the certificates it will be known by."""
    if Supervisor(platform).pid() is None and not platform.kubeconfig:
        server = next(each for each in plan_programs(platform, os.environ) if each.name == "orchestrator-server")
        module(["orchestrator", "pki"], server.environment)


def start(platform: Platform, programs: list[Program]) -> None:
    supervisor = Supervisor(platform)
    versioned = [with_code_version(program) for program in programs]
    supervisor.configuration.write_text(render(platform, versioned, base_environment(os.environ)))
    if supervisor.pid() is None:
        refuse_taken_ports(platform)
        say.step("Starting the platform")
        init_system.ensure(platform)
        if init_system.is_used(platform):
            init_system.start()
        if supervisor.pid() is None:
            supervisor.start()
    else:
        say.step("The platform runs; applying what changed")
        supervisor.apply()


def with_code_version(program: Program) -> Program:
    """The program with its code's fingerprint in its environment, so that new code is a change that restarts it."""
    folder = CODE_FOLDERS.get(program.name)
    if folder is None:
        return program
    digest = hashlib.sha256()
    for path in sorted(path for path in (CHECKOUT / folder).rglob("*") if path.suffix in CODE_SUFFIXES):
        digest.update(path.read_bytes())
    return dataclasses.replace(program, environment={**program.environment, "PAAS_CODE": digest.hexdigest()[:16]})


def refuse_taken_ports(platform: Platform) -> None:
    """The ports of an instance that is down may be another program's by now. Raises: HostError.

    What a killed supervisor left behind may hold them: it is ended, or adopted, by what starts next.
    """
    if orphans.find(platform.home):
        return
    for name in settings.PORTS:
        port = getattr(platform, name)
        if not settings.is_free(port):
            raise HostError(
                f"Port {port} of this platform ({name.removesuffix('_port')}) is in use by {settings.listener(port)}; "
                "stop that, then run this again."
            )


@contextmanager
def stack_build(platform: Platform, programs: list[Program]) -> Iterator[subprocess.Popen[bytes]]:
    """Make the image that buildpack apps run on, while the other programs come up; it reports to a log.

    Nothing of it runs on when the set-up fails or is interrupted.
    """
    health.wait_all([program for program in programs if program.name in FIRST], platform.home / "log")
    environment = {**base_environment(os.environ), **builder_environment(platform, os.environ)}
    command = [sys.executable, "-m", "builder", "stack"]
    if environment.get("BUILDER_RUNTIME") == "kubernetes":  # nodes pull it; here the registry is near
        command.append("--send")
        environment["REGISTRY_HOST"] = platform.registry_listen
    with stack_log(platform).open("wb") as output:
        build = subprocess.Popen(
            command, env=environment, cwd=CHECKOUT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield build
    finally:
        if build.poll() is None:
            end_group(build)


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a process and all it started, so that it cleans up after itself; kill what is left of them."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STACK_PATIENCE)


def finish_stack_build(platform: Platform, stack: subprocess.Popen[bytes]) -> None:
    if stack.poll() is None:
        say.step("Making the stack image that apps run on (a Debian system with Python and Node.js; once)")
        say.detail(f"progress: tail -f {stack_log(platform)}")
    try:
        code = stack.wait(timeout=STACK_DEADLINE)
    except subprocess.TimeoutExpired:
        raise HostError(
            f"No stack image within {STACK_DEADLINE / 60:.0f} minutes; see {stack_log(platform)}."
        ) from None
    if code != 0:
        raise HostError(
            f"The stack image could not be made; mend that and run this again. The end of {stack_log(platform)}:\n"
            + health.tail(stack_log(platform))
        )


def try_exec(platform: Platform) -> Platform:
    """Find out once whether the engine can exec; without it a process counts as up when its port is open."""
    platform = dataclasses.replace(platform, engine_can_exec=engine.can_exec(platform, STACK_IMAGE))
    platform.save()
    if not platform.engine_can_exec:
        say.warn("This engine can't run commands in containers (is this a chroot?): `kubectl exec` and checks that")
        say.warn("a new process answers are off; a process counts as up when its port is open.")
        programs = plan_programs(platform, os.environ)
        start(platform, programs)
        health.wait_all(programs, platform.home / "log")
    return platform


def stack_log(platform: Platform) -> Path:
    return platform.home / "log" / "stack.log"
