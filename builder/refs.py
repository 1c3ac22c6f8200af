"""What a push asks for, ref by ref: build, keep, or refuse with the line to type instead. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from builder.errors import PushRefused

DEPLOYED = ("refs/heads/master", "refs/heads/main")
ZERO = re.compile(r"0{40}(0{24})?")
SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
APP_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class RefUpdate:
    old: str
    new: str
    ref: str

    @property
    def is_delete(self) -> bool:
        return bool(ZERO.fullmatch(self.new))


@dataclass(frozen=True)
class PushPlan:
    """`build` is the commit to deploy, if any; `notes` are told to the pusher either way."""

    build: RefUpdate | None
    notes: tuple[str, ...] = ()


def parse_update(line: str) -> RefUpdate:
    """One line of a pre-receive hook's input. Raises: PushRefused when it is not one."""
    parts = line.rstrip("\n").split(" ", 2)
    if len(parts) != 3 or not SHA.fullmatch(parts[0]) or not SHA.fullmatch(parts[1]):
        raise PushRefused("The push names a ref this server can't read.")
    return RefUpdate(*parts)


def plan_push(updates: Sequence[RefUpdate]) -> PushPlan:
    """The one commit to build.

    Other branches that come along are refused one by one by the update hook; tags are kept.
    Raises: PushRefused when nothing of the push may happen.
    """
    deploys = [update for update in updates if update.ref in DEPLOYED]
    deleted = next((update for update in deploys if update.is_delete), None)
    if deleted:
        raise PushRefused(f"{short(deleted.ref)} can't be deleted: it is what runs. `paas destroy` removes the app.")
    if len({update.new for update in deploys}) > 1:
        raise PushRefused("master and main point to different commits; push the one to deploy: git push deis master")
    branches = [update for update in updates if update.ref.startswith("refs/heads/") and update.ref not in DEPLOYED]
    if deploys:
        return PushPlan(deploys[0])
    if branches and not branches[0].is_delete:
        name = short(branches[0].ref)
        raise PushRefused(f"Only master and main are deployed. To deploy this branch: git push deis {name}:master")
    tags = [update for update in updates if update.ref.startswith("refs/tags/") and not update.is_delete]
    notes = ("Tags are kept, and nothing is built; to deploy one: git push deis TAG^{commit}:master",) if tags else ()
    return PushPlan(None, notes)


def short(ref: str) -> str:
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


def parse_repository(path: str) -> str:
    """The app a git client means by `'/app.git'`, `app.git` or `/app`. Raises: PushRefused for any other path."""
    name = path.strip().removeprefix("/").removesuffix("/").removesuffix(".git")
    if not APP_NAME.fullmatch(name):
        raise PushRefused(f"{path[:80]!r} is not an app: the remote reads ssh://git@HOST:PORT/APP.git")
    return name
