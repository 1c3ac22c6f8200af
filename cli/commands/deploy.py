"""Deploying a folder, an archive or a ref without a push."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cli import archive, git, output
from cli.errors import CliError, UsageError
from cli.session import Session
from cli.table import APP, JSON, Arg, Option, command

CHUNK = 1 << 16


@command(
    "deploy:create",
    "Build and release a folder, a tar file, or a branch, tag or commit of this repository",
    "paas deploy . -a hello",
    args=(Arg("source", "a folder or a tar file; default: this folder", required=False),),
    options=(
        Option("--ref", "a branch, tag or commit of the folder's git repository instead of its files", value="REF"),
        APP,
        JSON,
    ),
    details="What .gitignore names is not sent. The build, its output and its place in the queue are those of "
    "`git push`; Ctrl-C stops it.",
    bare=True,
)
def deploy(session: Session, source: str | None, ref: str | None) -> int:
    path = Path(source or ".")
    if not path.exists():
        raise UsageError(f"There is no {path} here.")
    query: dict[str, str] = {}
    if ref is not None:
        if not path.is_dir() or not git.is_repository(path):
            raise UsageError("--ref names a commit of a git repository; this folder is none.")
        file, query["commit"] = archive.of_ref(path, ref)
        query["ref"] = ref
    else:
        file = archive.of_folder(path) if path.is_dir() else archive.of_file(path)
    with file:
        return send(session, file, query)


def send(session: Session, file: IO[bytes], query: dict[str, str]) -> int:
    size = os.fstat(file.fileno()).st_size
    where = f"/builder/apps/{session.app}/deploy"
    end: dict[str, object] = {}
    for item in session.api.upload(where, chunks(file), size, **query):
        if "output" in item and not session.json:
            output.text(str(item["output"]))
        elif "state" in item:
            end = item
    if not end:
        raise CliError("The platform stopped in the middle of the deploy; `paas builds:info` tells what became of it.")
    session.shown_as_json(end)
    return 0 if end["state"] in ("succeeded", "skipped") else 1


def chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK):
        yield chunk
