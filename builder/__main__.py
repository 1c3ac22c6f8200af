"""`python -m builder` serves; `python -m builder stack` makes the stack image."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path

from builder.engine import Engine
from builder.errors import BuilderError


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m builder", description=__doc__)
    commands = top.add_subparsers(dest="command")
    commands.add_parser("serve", help="receive pushes and build them (the default)")
    stack = commands.add_parser("stack", help="make the stack image; does nothing when it is current")
    stack.add_argument("--docker-host", default=os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    stack.add_argument("--tag", default=os.environ.get("STACK_IMAGE") or "paas/stack:trixie", help="name:tag")
    stack.add_argument("--data", default=os.environ.get("BUILDER_DATA") or "/var/lib/paas/builder", help="BUILDER_DATA")
    stack.add_argument("--instance", default=os.environ.get("BUILDER_INSTANCE") or "paas", help="label value")
    stack.add_argument("--network", default="host", help="engine network to fetch packages through")
    stack.add_argument("--quiet", action="store_true", help="steps only")
    return top


async def make_stack(options: argparse.Namespace) -> None:
    from builder.stack.build import Stack, build_stack

    name, _, tag = options.tag.rpartition(":")
    if not name:
        raise BuilderError(f"--tag {options.tag}: give it as name:tag.")
    began = time.monotonic()

    def say(line: str) -> None:
        if not options.quiet or line.startswith("----->"):
            print(f"{time.monotonic() - began:6.1f}s {line}", flush=True)

    stack = Stack(
        options.tag,
        f"{name}-build:{tag}",
        Path(options.data) / "stack",
        options.instance,
        options.network,
    )
    async with Engine(options.docker_host) as engine:
        await build_stack(engine, stack, say)


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    try:
        if options.command == "stack":
            asyncio.run(make_stack(options))
        else:
            from builder import server, settings

            asyncio.run(server.serve(settings.load()))
    except (BuilderError, ValueError) as exc:
        print(f"builder: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
