"""A build that needs no container: when nothing that decides it has changed, it is the app's tree and what the last
one added.

A buildpack of ours that installed nothing and ran nothing of the app leaves a list in /workspace/out/inputs: the
files whose content decided. What else may have decided is taken from its scripts' own text: the presence of any name
in the tree's first two levels that is a word there. Besides, the app's whole config, the stack image and the scripts
themselves. If all of it is as it was, the next build adds the same again, and says the same; the cached layers it
links to must be there. Kept in memory: after a restart each app's next build is a whole one.

What a build's container left is a stranger's: it is read without following links, and added to the next tree only
where nothing is.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import stat
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from builder import built
from builder.built import Built
from builder.layers import layer_folder, layer_name, walk, walk_shallow
from builder.progress import Progress
from builder.runtime import Job
from builder.workspace import Workspace

DEPTH = 2  # levels of the tree in which scripts look for files by name
INPUTS_MAX = 100
ENTRIES_MAX = 30_000  # of a tree; looking at more takes longer than it saves
ADDED_MAX, OUTPUT_MAX = 1 << 14, 1 << 13  # bytes kept of what a build added, and of what it said
APPS_MAX = 1000
HOOKS = ("pre_compile", "pre-compile", "post_compile", "post-compile")

Stats = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Sight:
    """A tree before its build: every entry, and the mark of the names that scripts look for."""

    stats: Stats
    names: str


@dataclass(frozen=True)
class Added:
    """A folder, file or link that a build put into the tree."""

    name: str
    mode: int
    content: bytes = b""  # of a file; of a link where it leads


@dataclass
class Said:
    """The lines a build printed, as many as a shortcut keeps."""

    lines: list[bytes] = field(default_factory=list)
    size: int = 0

    def keep(self, line: bytes) -> None:
        self.size += len(line)
        if self.size <= OUTPUT_MAX:
            self.lines.append(line)


@dataclass(frozen=True)
class Outcome:
    """What a build told besides its files."""

    name: str
    release: str
    said: Said


@dataclass(frozen=True)
class Shortcut:
    inputs: tuple[str, ...]
    mark: str
    added: tuple[Added, ...]
    outcome: Outcome


class Shortcuts:
    def __init__(self, buildpacks: Path) -> None:
        """`buildpacks`: the folder of the scripts that builds run."""
        scripts = [path for path in sorted(buildpacks.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
        text = "\n".join(path.read_text(errors="replace") for path in scripts)
        self._scripts = hashlib.sha256(text.encode()).hexdigest()
        words = re.findall(r"[\w.+-]+", text)
        self._asked = frozenset(words) | {word.strip(".") for word in words}
        self._known: OrderedDict[str, Shortcut] = OrderedDict()

    def knows(self, app: str) -> bool:
        return app in self._known

    def look(self, tree: Path) -> Sight | None:
        """`tree` before its build; None when there can be no shortcut to it. Blocking."""
        if (names := self._names(tree)) is None:
            return None
        stats = entries(tree)
        return Sight(stats, names) if len(stats) <= ENTRIES_MAX else None

    def learn(
        self, app: str, tree: Path, before: Sight | None, listed: str, facts: Mapping[str, str], outcome: Outcome
    ) -> None:
        """Remember a build that has ended, if another one can do without a container. Blocking.

        `listed`: what it left in out/inputs. `facts`: what decided besides files.
        """
        self._known.pop(app, None)
        inputs = tuple(line for line in listed.splitlines() if line)
        if before is None or not 0 < len(inputs) <= INPUTS_MAX or outcome.said.size > OUTPUT_MAX:
            return
        added = additions(tree, before.stats)
        mark = self._mark(tree, before.names, inputs, facts)
        if added is None or mark is None:
            return
        self._known[app] = Shortcut(inputs, mark, added, outcome)
        while len(self._known) > APPS_MAX:
            self._known.popitem(last=False)

    def take(self, app: str, tree: Path, cache: Path, facts: Mapping[str, str]) -> Outcome | None:
        """Make `tree` what a build would make of it; None, and nothing done, where that takes a build. Blocking."""
        known = self._known.get(app)
        if known is None or (names := self._names(tree)) is None:
            return None
        if self._mark(tree, names, known.inputs, facts) != known.mark:
            return None
        targets = [os.fsdecode(item.content) for item in known.added if stat.S_ISLNK(item.mode)]
        if not all(layer_folder(cache, target) for target in targets):
            return None
        if not all(is_free(tree, item.name) for item in known.added):
            return None
        for target in targets:
            os.utime(cache / "layers" / layer_name(target).partition("/")[0])  # buildpacks keep those used last
        for item in known.added:
            add(tree, item)
        self._known.move_to_end(app)
        return known.outcome

    def _names(self, tree: Path) -> str | None:
        """The names that the scripts look for, or None when a link hides what they would see, or the app has a hook."""
        found = []
        for name, info in walk_shallow(tree, DEPTH):
            folder, _, base = name.rpartition("/")
            if folder == "bin" and base in HOOKS:
                return None
            asked = base in self._asked
            if stat.S_ISLNK(info.st_mode) and (asked or not folder):
                return None
            if asked:
                found.append(f"{stat.S_IFMT(info.st_mode)} {name}")
        return "\0".join(found)

    def _mark(self, tree: Path, names: str, inputs: Sequence[str], facts: Mapping[str, str]) -> str | None:
        """A hash of all that decides a build, or None when an input can't be read as the plain file it should be."""
        digest = hashlib.sha256(json.dumps([self._scripts, names, sorted(facts.items())]).encode())
        for name in inputs:
            content = plain_content(tree, name)
            if content is None:
                return None
            digest.update(f"{len(name)} {name} {content}".encode(errors="surrogateescape"))
        return digest.hexdigest()


async def repeat(
    known: Shortcuts, cache: Path, space: Workspace, job: Job, stack: str, progress: Progress
) -> Built | None:
    """What a build would make of the tree in `space`, without one; None where it takes one."""
    outcome = await asyncio.to_thread(known.take, job.app, space.app, cache, facts(job, stack))
    if outcome is None:
        return None
    for line in outcome.said.lines:
        progress.raw(line)
    return built.discover(space, job.time, outcome.name, outcome.release, progress)


def facts(job: Job, stack: str) -> dict[str, str]:
    """What decides a build besides the app's files; `stack` is the id of the image it will run on."""
    return {**{f"config {key}": value for key, value in job.config.items()}, "stack": stack}


def is_custom(app: Path, config: Mapping[str, str]) -> bool:
    """Whether the app brings a buildpack of its own."""
    return bool(config.get("BUILDPACK_URL")) or (app / ".buildpacks").is_file()


def entries(tree: Path) -> Stats:
    """What tells whether an entry was touched; of folders, whose times change with what is in them, the mode."""
    return {
        name: (info.st_mode,)
        if stat.S_ISDIR(info.st_mode)
        else (info.st_mode, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
        for name, info in walk(tree)
    }


def additions(tree: Path, before: Stats) -> tuple[Added, ...] | None:
    """What is in `tree` that wasn't before; None when anything else changed, or it is more than a shortcut keeps."""
    after = entries(tree)
    if any(after.get(name) != known for name, known in before.items()):
        return None
    added, size = [], 0
    for name in after:
        if name in before:
            continue
        mode, content = after[name][0], b""
        if stat.S_ISLNK(mode):
            content = os.fsencode(os.readlink(tree / name))
        elif stat.S_ISREG(mode):
            if after[name][2] > ADDED_MAX:
                return None
            content = (tree / name).read_bytes()
        elif not stat.S_ISDIR(mode):
            return None
        added.append(Added(name, mode, content))
        size += len(name) + len(content)
        if size > ADDED_MAX:
            return None
    return tuple(added)


def plain_content(tree: Path, name: str) -> str | None:
    """A hash of the content of a file, "-" where there is none; None when links or anything else are in the way."""
    if not is_inside(name):
        return None
    parts = name.split("/")
    for depth in range(1, len(parts) + 1):
        path = tree.joinpath(*parts[:depth])
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            return "-"
        except OSError:
            return None
        if not (stat.S_ISREG(mode) if depth == len(parts) else stat.S_ISDIR(mode)):
            return None
    return hashlib.sha256((tree / name).read_bytes()).hexdigest()


def is_inside(name: str) -> bool:
    return not any(part in ("", ".", "..") for part in name.split("/"))


def is_free(tree: Path, name: str) -> bool:
    """Whether nothing is at `name`, and nothing but folders on the way there."""
    parts = name.split("/")
    for depth in range(1, len(parts) + 1):
        try:
            mode = tree.joinpath(*parts[:depth]).lstat().st_mode
        except FileNotFoundError:
            return True
        if not stat.S_ISDIR(mode):
            return False
    return False


def add(tree: Path, item: Added) -> None:
    path = tree / item.name
    if stat.S_ISLNK(item.mode):
        path.symlink_to(os.fsdecode(item.content))
        return
    if stat.S_ISDIR(item.mode):
        path.mkdir()
    else:
        with path.open("xb") as file:
            file.write(item.content)
    path.chmod(stat.S_IMODE(item.mode))
