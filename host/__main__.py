"""`python -m host COMMAND`: what the Makefile calls. PAAS_HOME names the instance."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from host import choices, say, settings
from host.errors import HostError


class Terminated(KeyboardInterrupt):
    """TERM or HUP came: the set-up ends as on Ctrl-C, and so do the commands that it started."""


def terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(128 + number)


def main(arguments: list[str] | None = None) -> int:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, terminate)
    parser = argparse.ArgumentParser(prog="python -m host", description="Set up and run the platform on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="set up, start, deploy the example")
    up.add_argument("--no-example", action="store_true", help="leave the example app out")
    manage_parser = commands.add_parser("manage", help="a maintenance command of the controller")
    manage_parser.add_argument("words", nargs=argparse.REMAINDER)
    for name, text in (("backup", "the whole platform in one file"), ("restore", "a platform from its backup")):
        commands.add_parser(name, help=text).add_argument("file", type=Path)
    for name, text in COMMANDS.items():
        commands.add_parser(name, help=text)
    options = parser.parse_args(arguments)
    if os.geteuid() != 0:
        say.warn(f"`{options.command}` needs root: run it with sudo.")
        return 1
    try:
        return _run(options)
    except HostError as exc:
        say.warn(str(exc))
        return 1
    except KeyboardInterrupt as exc:
        say.warn(f"Interrupted. What was done stays: `make {options.command}` goes on from here.")
        return exc.args[0] if isinstance(exc, Terminated) else 130


COMMANDS = {
    "down": "stop everything; data stays",
    "destroy": "remove everything the platform made",
    "status": "the programs and whether they are ready",
    "password": "give the administrator a new password",
    "doctor": "look at everything the platform needs of this machine, and say what to do",
    "start": "start the programs as they were set up: at boot, or after the supervisor was killed",
}


def _run(options: argparse.Namespace) -> int:
    choices.recall(settings.home_from_environment(), os.environ)
    if options.command == "up":
        from host import up

        up.run(with_example=not options.no_example)
        return 0
    if options.command in ("down", "destroy"):
        from host import down

        down.stop() if options.command == "down" else down.destroy()
        return 0
    if options.command == "restore":
        from host import cluster, restore, up

        restore.restore(settings.home_from_environment(), options.file.absolute())
        restored = up.run(with_example=False)
        if restored.kubeconfig:  # its objects may be older, newer or gone, and name the registry as it was
            cluster.resync(restored)
        return 0
    platform = settings.load(settings.home_from_environment())
    if platform is None:
        raise HostError("There is no platform here yet: run `make up`.")
    if options.command == "backup":
        from host import backup

        backup.back_up(platform, options.file.absolute())
        return 0
    if options.command == "manage":
        return manage(platform, options.words)
    return {"status": status, "password": password, "doctor": examine, "start": start}[options.command](platform)


def status(platform: settings.Platform) -> int:
    """Print a line a program; exit status 0 when all are ready."""
    from host.health import is_ready
    from host.programs import plan_programs
    from host.supervisor import Supervisor

    supervisor = Supervisor(platform)
    if supervisor.pid() is None:
        print(f"Stopped. `make up` starts the platform in {platform.home}.")
        return 1
    states, well = supervisor.states(), True
    for program in plan_programs(platform, os.environ):
        info = states.get(program.name, {"statename": "MISSING", "description": ""})
        ready = info["statename"] == "RUNNING" and (not program.ready or is_ready(program.ready))
        well = well and ready
        print(f"{program.name:20} {'ready' if ready else str(info['statename']).lower():10} {info['description']}")
    return 0 if well else 1


def password(platform: settings.Platform) -> int:
    from host import operator

    print(f"{operator.ADMIN}'s new password: {operator.set_password(platform)}")
    return 0


def examine(platform: settings.Platform) -> int:
    from host import doctor

    return doctor.run(platform)


def manage(platform: settings.Platform, words: list[str]) -> int:
    """Django's command line of the controller, as the running one is set up."""
    import subprocess

    from host.programs import base_environment, controller_environment

    environment = {**base_environment(os.environ), **controller_environment(platform)}
    return subprocess.call([sys.executable, str(settings.CHECKOUT / "manage.py"), *words], env=environment)


def start(platform: settings.Platform) -> int:
    """Start the supervisor when none runs: at boot, and after it was killed."""
    from host.supervisor import Supervisor

    supervisor = Supervisor(platform)
    if supervisor.pid() is None:
        supervisor.start()
    return 0


if __name__ == "__main__":
    sys.exit(main())
