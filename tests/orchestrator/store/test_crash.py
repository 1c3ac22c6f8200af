"""kill -9 under write load: nothing acknowledged is lost, the file opens, revisions never go back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from orchestrator.store.sqlite import SqliteLog
from orchestrator.store.store import Store

ROUNDS = int(os.environ.get("STORE_CRASH_ROUNDS", "12"))
_WRITER = """
import asyncio, sys
from pathlib import Path
from orchestrator.objects.meta import Key
from orchestrator.store.sqlite import SqliteLog
from orchestrator.store.store import Store

async def work(store, worker):
    key = Key("n", f"w{worker}")
    for n in range(1_000_000):
        obj = {"metadata": {"name": key.name, "namespace": "n"}, "n": n, "pad": "x" * 500}
        write = store.update if store.latest("things", key) else store.create
        record = await write("things", key, obj)
        sys.stdout.write(f"{key.name} {n} {record.revision}\\n")
        sys.stdout.flush()

async def main():
    store = Store(SqliteLog(Path(sys.argv[1])))
    store.open()
    async with asyncio.TaskGroup() as group:
        for worker in range(4):
            group.create_task(work(store, worker))
        while True:
            await asyncio.sleep(0.01)
            await store.compact(store.revision - 20)

asyncio.run(main())
"""


def crash_after(path: Path, lines: int) -> dict[str, tuple[int, int]]:
    """Run a writer, kill it once `lines` writes were acknowledged; the last acknowledged write of each key."""
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    seen = [writer.stdout.readline() for _ in range(lines)]
    writer.send_signal(signal.SIGKILL)
    seen += writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    acknowledged = {}
    for line in seen:
        if line.endswith("\n"):
            name, number, revision = line.split()
            acknowledged[name] = (int(number), int(revision))
    return acknowledged


async def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path):
    path, newest = tmp_path / "store.db", 0
    chooser = random.Random(7)
    for _ in range(ROUNDS):
        acknowledged = crash_after(path, chooser.randint(1, 400))
        store = Store(SqliteLog(path))
        store.open()
        stored = {record.key.name: (record.obj["n"], record.revision) for record in store.list("things")}
        for name, (number, revision) in acknowledged.items():
            assert stored[name][1] >= revision and stored[name][0] >= number
        assert store.revision >= max(newest, *(revision for _, revision in acknowledged.values()))
        newest = store.revision
        await store.close()
