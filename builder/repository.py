"""Bare repositories, one an app, and the child processes that read and write them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder import pace
from builder.disk import DiskFull, disk_usage, refuse_when_full
from builder.disk import Room as DiskRoom
from builder.errors import PushRefused
from builder.progress import human

CODE = Path(__file__).resolve().parent
CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
# Old repositories carry these harmless flaws; everything else fsck finds refuses the push.
LENIENT = ("zeroPaddedFilemode", "badTimezone", "missingSpaceBeforeDate")
YOUNG = 600  # seconds; an app made since the list was read keeps its repository
KEPT_BESIDE = ("cache", "cnb", "layers", "logs", "modules")  # folders with one an app
STALE_OBJECTS = ("incoming-*", "tmp_*", "pack/tmp_*")


@dataclass(frozen=True)
class Room:
    """What a push may bring."""

    bytes: int
    refusal: str  # of one that brings more


@dataclass(frozen=True)
class Repositories:
    root: Path  # …/repos
    hooks: Path  # folder with git's hooks, written by `write_hooks`
    git: str | None
    max_bytes: int  # of one push
    quota: int = 4 << 30  # bytes of a repository with all its history

    def path(self, app: str) -> Path:
        return self.root / f"{app}.git"

    def ensure(self, app: str) -> Path:
        """The app's repository, made when it isn't there yet."""
        path = self.path(app)
        if not (path / "HEAD").exists():
            for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
                (path / folder).mkdir(parents=True, exist_ok=True)
            (path / "config").write_text(CONFIG)
            (path / "HEAD").write_text("ref: refs/heads/master\n")
        return path

    def ensure_of(self, app: str, uuid: str) -> Path:
        """Like `ensure`; what another app left under this name is dropped first."""
        self.drop_if_other(app, uuid)
        mark = self.path(app) / "paas-app"
        path = self.ensure(app)
        if uuid and not mark.exists():
            mark.write_text(uuid)
        return path

    def drop_if_other(self, app: str, uuid: str) -> None:
        """Drop what an app left that was destroyed, and made again under its name."""
        mark = self.path(app) / "paas-app"
        if uuid and mark.exists() and mark.read_text() != uuid:
            self.drop(app)

    def drop(self, app: str) -> None:
        """Remove everything kept for the app."""
        for folder in self.folders(app):
            shutil.rmtree(folder, ignore_errors=True)

    def folders(self, app: str) -> list[Path]:
        return [self.path(app), *(self.root.parent / name / app for name in KEPT_BESIDE)]

    def drop_others(self, apps: Collection[str], now: float) -> list[str]:
        """Drop what belongs to none of `apps`, the platform's list a moment ago; the names that went."""
        gone = self.others(apps, now)
        for app in gone:
            self.drop(app)
        return gone

    def others(self, apps: Collection[str], now: float) -> list[str]:
        settled = [path for path in self.root.glob("*.git") if now - path.stat().st_mtime > YOUNG]
        return [path.stem for path in settled if path.stem not in apps]

    def point_head(self, app: str, ref: str) -> None:
        """Let a clone check out the branch that was deployed, while its HEAD names nothing."""
        path = self.path(app)
        current = (path / "HEAD").read_text().removeprefix("ref:").strip()
        if current != ref and not (path / current).exists() and (path / ref).exists():
            (path / "HEAD").write_text(f"ref: {ref}\n")

    def head_ref(self, app: str) -> str:
        """The branch that a clone checks out."""
        ref = (self.path(app) / "HEAD").read_text().removeprefix("ref:").strip()
        return ref if ref.startswith("refs/heads/") else "refs/heads/master"

    def sweep(self) -> int:
        """Remove what an interrupted push left behind: quarantines, locks, unfinished packs. Their number."""
        removed = 0
        for repo in self.root.glob("*.git"):
            leftovers = [item for pattern in STALE_OBJECTS for item in (repo / "objects").glob(pattern)]
            leftovers += [*repo.glob("*.lock"), *(repo / "refs").rglob("*.lock")]
            for item in leftovers:
                shutil.rmtree(item, ignore_errors=True) if item.is_dir() else item.unlink(missing_ok=True)
                removed += 1
        return removed

    def room_left(self, app: str) -> Room:
        """Blocking. Raises: PushRefused when the repository is as large as it may be, or the disk is nearly full."""
        disk = self.refuse_when_full()
        used = disk_usage(self.path(app), self.quota)
        limit = f"{human(self.quota)} with all its history (BUILD_REPOSITORY_BYTES)"
        afresh = f"To drop the history kept here and push afresh: paas git:reset -a {app}"
        if used >= self.quota:
            raise PushRefused(f"The repository of {app} has reached its quota, {limit}. {afresh}")
        left = self.quota - used
        if disk.left < min(left, self.max_bytes):
            return Room(disk.left, str(DiskFull(disk, "the push is too large for it, and nothing of it was kept")))
        if left > self.max_bytes:
            return Room(
                self.max_bytes,
                f"The push brings more than {human(self.max_bytes)}, and one push may bring no more "
                "(BUILD_SOURCE_BYTES). Leave large files out of the repository.",
            )
        return Room(
            left,
            f"The push brings more than the {human(left)} that are left: the repository of {app} has {human(used)} "
            f"here and may have {limit}. Leave large files out of it. {afresh}",
        )

    def drop_quarantine(self, app: str) -> None:
        """Remove what a push that was killed left; only while none receives."""
        for left in (self.path(app) / "objects").glob("tmp_objdir-*"):
            shutil.rmtree(left, ignore_errors=True)

    def refuse_when_full(self) -> DiskRoom:
        """The room on the disk. Raises: DiskFull."""
        return refuse_when_full(self.root, "the push isn't received")

    def reset(self, app: str) -> None:
        """Drop the repository with its history; caches, logs and what runs stay."""
        shutil.rmtree(self.path(app), ignore_errors=True)

    def service_command(self, service: str, app: str, flags: Sequence[str] = (), room: Room | None = None) -> list[str]:
        """argv of `receive-pack` or `upload-pack` on the app's repository; `flags` are git's own, for HTTP.

        `room`: for what may come, by default that of one push.
        """
        path = str(self.path(app))
        if not self.git:
            limit = [f"--room={room.bytes}", f"--refusal={room.refusal}"] if room else []
            return [sys.executable, "-m", "builder.dulwich_git", service, path, *flags, *limit]
        options = {
            "core.hooksPath": str(self.hooks),
            "receive.fsckObjects": "true",
            "receive.maxInputSize": str(room.bytes if room else self.max_bytes),
            "receive.autogc": "false",
            "receive.unpackLimit": "100",
            "transfer.hideRefs": "refs/notes",
            "uploadpack.hideRefs": "refs/paas",
            "receive.hideRefs": "refs/paas",
        }
        options |= {f"receive.fsck.{name}": "warn" for name in LENIENT}
        settings = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        timeout = [f"--timeout={pace.SILENCE:.0f}"] if service == "upload-pack" else []
        return [self.git, *settings, service, *timeout, *flags, path]

    def tidy_command(self, app: str) -> list[str]:
        """argv that packs the repository when it has grown untidy; nothing without git."""
        return [self.git, f"--git-dir={self.path(app)}", "gc", "--auto", "--quiet"] if self.git else []

    def archive_command(self, app: str, commit: str) -> list[str]:
        """argv that writes the commit's tree as a tar stream."""
        if not self.git:
            return [sys.executable, "-m", "builder.dulwich_git", "archive", str(self.path(app)), commit]
        return [self.git, f"--git-dir={self.path(app)}", "archive", "--format=tar", commit]

    def changed_command(self, app: str, old: str, new: str, paths: Sequence[str]) -> list[str]:
        """argv that ends with 0 when `paths` are the same in both commits."""
        if not self.git:
            return [sys.executable, "-m", "builder.dulwich_git", "same", str(self.path(app)), old, new, *paths]
        literal = [f":(top,literal){path}" for path in paths]
        return [self.git, f"--git-dir={self.path(app)}", "diff", "--quiet", old, new, "--", *literal]


def git_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """What git's processes see: nothing of the host's or the account's git settings."""
    base = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "PYTHONPATH": str(CODE.parent),
    }
    return {**base, **extra}


def write_hooks(folder: Path) -> None:
    """git's hooks, executable wherever this package was installed from."""
    folder.mkdir(parents=True, exist_ok=True)
    script = CODE / "hooks" / "pre_receive.py"
    start = f'#!/bin/sh\nexec "{sys.executable}" -I -S "{script}"\n'
    for name, text in {"pre-receive": start, "update": (CODE / "hooks" / "update").read_text()}.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
