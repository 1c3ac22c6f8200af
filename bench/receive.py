"""Receiving a large repository, by SSH and by HTTP, against plain `git receive-pack` on the same disk.

200 MB that don't compress, 20,000 files, 4,000 commits. The push is of a tag, which is kept and not built, so what is
timed is the receiving: transport, git's checks, the quarantine and the builder's own look at it. Beside it: what the
builder and the git processes it started take of memory at most.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

from bench.builds import children_of
from bench.report import Row, median
from tests.builder import conftest as harness

RUNS = 5
FILES, COMMITS, SIZE = 20_000, 4_000, 8_750  # bytes of each file and of each commit's change
BAR = 2.0  # times plain git
LOOK = 0.02  # seconds between looks at memory
APP, TOKEN = "large", "c3" * 20


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="paas-bench-") as name, running_builder(Path(name)) as builder:
        client = builder.client(Path(name) / "client", apps=(APP,))
        path = client.repository(APP, {"README": "large\n"})
        fill(path)
        size = sum(file.stat().st_size for file in (path / ".git" / "objects").rglob("*") if file.is_file()) / 1e6
        plain = Path(name) / "plain.git"
        client.git("init", "-q", "--bare", str(plain))
        ssh = f"ssh://git@127.0.0.1:{builder.port}/{APP}.git"
        builder.controller.tokens[TOKEN] = "alice"
        http = f"http://alice:{TOKEN}@127.0.0.1:{builder.http_port}/{APP}.git"
        took: dict[str, list[float]] = {"plain": [], "ssh": [], "http": []}
        most: dict[str, float] = {}
        assert builder.process
        for number in range(RUNS):
            for way, url in (("plain", str(plain)), ("ssh", ssh), ("http", http)):
                tag = f"{way}-{number}"
                client.git("tag", tag, "large", cwd=path)
                with watched_memory(builder.process.pid, lambda found, way=way: note(most, way, found)):
                    began = time.perf_counter()
                    client.git("push", "-q", url, tag, cwd=path, timeout=600)
                    took[way].append(time.perf_counter() - began)
                empty(client, builder.data / "repos" / f"{APP}.git" if way != "plain" else plain)
    reference = median(took["plain"])
    rows = []
    for way, text in (("ssh", "SSH"), ("http", "HTTP")):
        pairs = " ".join(f"{ours / theirs:.2f}" for ours, theirs in zip(took[way], took["plain"], strict=True))
        note_ = f"{size:.0f} MB, {FILES:,} files, {COMMITS:,} commits; pairs {pairs}; bar {BAR} ×"
        rows.append(
            Row(f"a large repository by {text}", median(took[way]), "s", "plain git push", reference, RUNS, note_)
        )
        rows.append(Row(f"… memory of builder and its git, at most, by {text}", most[way], "MB", runs=RUNS))
    return rows


def fill(path: Path) -> None:
    """A branch `large` by git's own importer."""
    who = b"T <t@example.test> 1700000000 +0000"
    with subprocess.Popen(["git", "fast-import", "--quiet"], cwd=path, stdin=subprocess.PIPE) as process:
        assert process.stdin
        out = process.stdin
        for number in range(COMMITS):
            out.write(b"commit refs/heads/large\ncommitter %s\ndata 1\n.\n" % who)
            for file in range(number * FILES // COMMITS, (number + 1) * FILES // COMMITS):
                out.write(b"M 100644 inline d%d/f%d\ndata %d\n" % (file % 97, file, SIZE) + os.urandom(SIZE) + b"\n")
            out.write(b"M 100644 inline changed\ndata %d\n" % SIZE + os.urandom(SIZE) + b"\n")
    if process.returncode != 0:
        raise RuntimeError(f"git fast-import exited with {process.returncode}")


def empty(client: harness.Client, repository: Path) -> None:
    """Without its tags and objects, as it was before the push."""
    for tag in client.git("tag", cwd=repository).split():
        client.git("update-ref", "-d", f"refs/tags/{tag}", cwd=repository)
    client.git("prune", "--expire=now", cwd=repository, timeout=300)
    client.git("repack", "-q", "-a", "-d", cwd=repository, timeout=300)


def note(most: dict[str, float], way: str, found: float) -> None:
    most[way] = max(most.get(way, 0.0), found)


@contextmanager
def watched_memory(pid: int, tell: Callable[[float], None]) -> Iterator[None]:
    """Tell of the megabytes that a process and those below it have resident, again and again."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(LOOK):
            tell(sum(resident(one) for one in (pid, *below(pid))) / 1e6)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def below(pid: int) -> list[int]:
    try:
        children = children_of(pid)
    except OSError:
        return []
    return [*children, *(further for child in children for further in below(child))]


def resident(pid: int) -> int:
    """Bytes that are this process' own: pages of files, as git maps packs, belong to the system's cache."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("RssAnon")), 0)


@contextmanager
def running_builder(folder: Path) -> Iterator[harness.RunningBuilder]:
    """A builder that has nothing to build, with the tests' controller double."""
    controller = harness.FakeController()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("H", (harness.Handler,), {"controller": controller}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    controller.url = f"http://127.0.0.1:{server.server_port}"
    (folder / "builder").mkdir()
    credentials = folder / "credentials.json"
    credentials.write_text('{"username": "nobody", "password": "nothing"}')
    builder = harness.make_builder(
        folder / "builder", controller, ("127.0.0.1:1", credentials), BUILD_REPOSITORY_BYTES=str(2**32), BUILD_POOL="0"
    )
    try:
        builder.start()
        yield builder
    finally:
        builder.stop()
        harness.remove_engine_objects(builder.env["BUILDER_INSTANCE"])
        server.shutdown()
