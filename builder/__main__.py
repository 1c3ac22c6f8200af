"""`python -m builder` serves; `python -m builder stack` makes the stack image."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from builder.engine import Engine
from builder.errors import BuilderError
from builder.settings import StackDefaults, load, read_registry, stack_defaults


def parser(defaults: StackDefaults) -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m builder", description=__doc__)
    commands = top.add_subparsers(dest="command")
    commands.add_parser("serve", help="receive pushes and build them (the default)")
    stack = commands.add_parser("stack", help="make the stack image; does nothing when it is current")
    stack.add_argument("--docker-host", default=defaults.docker_host)
    stack.add_argument("--tag", default=defaults.image, help="name:tag")
    stack.add_argument("--data", default=defaults.data, help="BUILDER_DATA")
    stack.add_argument("--instance", default=defaults.instance, help="label value")
    stack.add_argument("--network", default="host", help="engine network to fetch packages through")
    stack.add_argument("--languages", default="", help="with these languages as well: ruby,go,php,java")
    stack.add_argument("--send", action="store_true", help="put what was made into the registry, for builds elsewhere")
    stack.add_argument("--quiet", action="store_true", help="steps only")
    cleanup = commands.add_parser(
        "cleanup", help="remove the containers, networks and app images an instance's builds made"
    )
    cleanup.add_argument("--docker-host", default=defaults.docker_host)
    cleanup.add_argument("--instance", default=defaults.instance, help="label value")
    return top


async def make_stack(options: argparse.Namespace, host: Mapping[str, str]) -> None:
    from builder.stack.build import Stack, build_stack
    from builder.stack.toolchains import Toolchains, known
    from builder.stack.users import enlist
    from builder.stack_image import send

    name, _, tag = options.tag.rpartition(":")
    if not name:
        raise BuilderError(f"--tag {options.tag}: give it as name:tag.")
    languages = sorted(filter(None, options.languages.split(",")))
    if unknown := set(languages) - known():
        raise BuilderError(f"--languages {options.languages}: there is no {', '.join(sorted(unknown))}.")
    began = time.monotonic()

    def say(line: str) -> None:
        if not options.quiet or line.startswith("----->"):
            print(f"{time.monotonic() - began:6.1f}s {line}", flush=True)

    stack = Stack(
        options.tag,
        f"{name}-build:{tag}",
        Path(options.data) / "stack",
        options.instance,
        host,
        options.network,
    )
    async with Engine(options.docker_host) as engine:
        await build_stack(engine, stack, say)
        await enlist(engine, stack)
        made = [stack.image, stack.build_image]
        for language in languages:
            images = await Toolchains(engine, stack).ensure([language], say)
            made += [images.run, images.build]
        for image in dict.fromkeys(made) if options.send else ():
            say(f"-----> Sending {image} to the registry")
            await send(engine, read_registry(), image)


async def clean_up(options: argparse.Namespace) -> None:
    from builder.cleanup import remove_everything

    async with Engine(options.docker_host) as engine:
        for line in await remove_everything(engine, options.instance):
            print(f"removed {line}")


def main(argv: list[str] | None = None) -> int:
    defaults = stack_defaults()
    options = parser(defaults).parse_args(argv)
    try:
        if options.command == "stack":
            signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a script's background started
            asyncio.run(make_stack(options, defaults.host))
        elif options.command == "cleanup":
            asyncio.run(clean_up(options))
        else:
            from builder import server

            asyncio.run(server.serve(load()))
    except (BuilderError, ValueError) as exc:
        print(f"builder: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
