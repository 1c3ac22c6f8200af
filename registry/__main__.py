"""`python -m registry render` writes the Distribution server's files; `serve` writes them and becomes the server."""

from __future__ import annotations

import argparse
import sys

from registry import server, settings
from registry.errors import RegistryError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m registry", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("render", help="write config.yml and htpasswd, print config.yml's path")
    commands.add_parser("serve", help="the same, then run the server in this process")
    options = parser.parse_args(argv)
    try:
        loaded = settings.load()
        if options.command == "render":
            print(server.write(loaded))
        else:
            server.serve(loaded)
    except (RegistryError, OSError) as exc:
        print(f"registry: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
