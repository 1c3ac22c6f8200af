"""`make bench [ONLY=push,router]`: every measurement, one table.

Each module of this folder with a `measure() -> list[Row]` is a subject; one that fails is told and the rest go on.
`ONLY=orchestrator` takes every `orchestrator_…`.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import traceback

import bench
from bench.report import Row, render


def subjects() -> list[str]:
    chosen = [name for name in os.environ.get("ONLY", "").split(",") if name]
    names = [
        module.name for module in pkgutil.iter_modules(bench.__path__) if module.name not in ("report", "__main__")
    ]
    return [name for name in names if not chosen or any(name == one or name.startswith(f"{one}_") for one in chosen)]


def main() -> int:
    rows: list[Row] = []
    failed = []
    for name in subjects():
        module = importlib.import_module(f"bench.{name}")
        if not hasattr(module, "measure"):
            continue
        print(f"-----> {name}", file=sys.stderr, flush=True)
        try:
            rows += module.measure()
        except Exception:
            traceback.print_exc()
            failed.append(name)
    print(render(rows))
    if failed:
        print(f"not measured: {', '.join(failed)} (see above)")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
