"""`python -m registry render` writes the Distribution server's files; `serve` writes them and runs the server."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from registry.errors import RegistryError
from registry.store import Store


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m registry", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("render", help="write config.yml and read-only.yml, print config.yml's path")
    commands.add_parser("serve", help="the same, then run the server")
    options = parser.parse_args(argv)
    try:
        return render() if options.command == "render" else serve()
    except (RegistryError, OSError) as exc:
        print(f"registry: {exc}", file=sys.stderr)
        return 1


def render() -> int:
    from registry import server, settings

    loaded = settings.load()
    server.write(loaded, read_only=True)
    print(server.write(loaded))
    return 0


def serve() -> int:
    """Rendering is another process's: what it needs would stay in this one's memory for good."""
    from functools import partial

    from registry import admin, binary, keeper, settings

    done = subprocess.run([sys.executable, "-m", "registry", "render"], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        return done.returncode
    data = settings.data_folder()
    keep = keeper.Keeper(binary.find(), data, kept_in(data))
    return keep.run(partial(admin.listen, data / "admin.sock", keep, *settings.admin_address()))


def kept_in(data: Path) -> Store:
    """Where the images are."""
    from registry import settings, store

    if bucket := settings.object_storage():
        from registry.bucket import Bucket

        return Bucket(bucket)
    return store.Folder(data / "images")


if __name__ == "__main__":
    sys.exit(main())
