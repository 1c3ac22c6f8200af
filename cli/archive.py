"""A folder, or a commit of it, as a tar file to send."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from cli import git, system
from cli.errors import CliError
from cli.ignore import kept_files

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".txz")
GIT_SECONDS = 300.0


def of_folder(folder: Path) -> IO[bytes]:
    """The folder's files as they lie there, without what .gitignore leaves out. Raises: CliError when none is left."""
    names = tracked_or_new(folder) if git.is_repository(folder) else kept_files(folder)
    if not names:
        raise CliError(f"There is nothing to send in {folder}: it is empty, or .gitignore leaves everything out.")
    file = tempfile.TemporaryFile()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive:
        for name in names:
            try:
                archive.add(folder / name, name, recursive=False, filter=anonymous)
            except FileNotFoundError:
                continue  # deleted, and git still knows it
    file.seek(0)
    return file


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Who owns the files here is nobody's business there; sockets and the like stay here."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry if entry.isfile() or entry.issym() or entry.islnk() else None


def tracked_or_new(folder: Path) -> list[str]:
    """What git would commit from `folder`, submodules that are checked out included."""
    out = run_git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    names = []
    for name in sorted(set(filter(None, out.decode(errors="surrogateescape").split("\0")))):
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            names += [f"{name.rstrip('/')}/{inner}" for inner in tracked_or_new(path) if git.is_repository(path)]
        else:
            names.append(name)
    return names


def of_ref(folder: Path, ref: str) -> tuple[IO[bytes], str]:
    """(the files of a branch, tag or commit of the folder's repository, its commit). Raises: CliError."""
    if ref.startswith("-"):
        raise CliError(f"{ref} is no branch, tag or commit.")
    commit = run_git(folder, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", check=False).decode().strip()
    if not commit:
        raise CliError(f"This repository has no {ref}; `git fetch --all --tags` may bring it.")
    file = tempfile.TemporaryFile()
    top = run_git(folder, "rev-parse", "--show-toplevel").decode().strip()
    words = [system.program("git"), "archive", "--format=tar.gz", commit]
    done = subprocess.run(words, cwd=top, stdout=file, stderr=subprocess.PIPE, timeout=GIT_SECONDS, check=False)
    if done.returncode:
        raise CliError(f"git could not read {ref}: {done.stderr.decode(errors='replace').strip()}")
    file.seek(0)
    return file, commit


def of_file(path: Path) -> IO[bytes]:
    """An archive that is one already. Raises: CliError."""
    if not path.name.endswith(ARCHIVES):
        raise CliError(f"{path} is neither a folder nor a tar file ({', '.join(ARCHIVES)}).")
    return path.open("rb")


def run_git(folder: Path, *words: str, check: bool = True) -> bytes:
    try:
        done = subprocess.run(
            [system.program("git"), *words], cwd=folder, capture_output=True, timeout=GIT_SECONDS, check=False
        )
    except FileNotFoundError:
        raise CliError("git is not installed here, and this folder is a git repository; install it.") from None
    if check and done.returncode:
        raise CliError(f"git {words[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout if done.returncode == 0 else b""
