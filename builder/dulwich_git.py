"""What git does here, without a git binary: `python -m builder.dulwich_git SERVICE REPOSITORY`.

A process of its own for each push, because dulwich unpacks in Python and would hold up the event loop. It has
no quarantine: objects of a refused push stay until the repository is collected.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from dulwich.archive import tar_stream
from dulwich.errors import GitProtocolError, HangupException
from dulwich.objects import Commit, Tag, Tree
from dulwich.protocol import SIDE_BAND_CHANNEL_PROGRESS, ReceivableProtocol
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend, ReceivePackHandler, UploadPackHandler

from builder.hooks.pre_receive import relay
from builder.refs import DEPLOYED


class Receiver(ReceivePackHandler):
    """Asks the builder once, when the pack is stored and before the first ref moves."""

    _pushed: list[tuple[bytes, bytes, bytes]] = []
    _verdict: int | None = None

    def _on_pre_receive(self, client_refs: Iterable[tuple[bytes, bytes, bytes]]) -> None:
        self._pushed = list(client_refs)

    def _on_update(self, ref_name: bytes, old_sha: bytes, new_sha: bytes) -> bytes | None:
        if self._verdict is None:
            lines = [b" ".join(update).decode(errors="replace") for update in self._pushed]
            self._verdict = relay(lines, self._tell)
        if self._verdict:
            return b"pre-receive hook declined"
        if ref_name.startswith(b"refs/heads/") and ref_name.decode(errors="replace") not in DEPLOYED:
            name = ref_name.removeprefix(b"refs/heads/")
            return b"only master and main are deployed: git push deis " + name + b":master"
        return None

    def _tell(self, data: bytes) -> None:
        if self.has_capability(b"side-band-64k"):
            self.proto.write_sideband(SIDE_BAND_CHANNEL_PROGRESS, data)


def serve(service: str, repository: str, flags: Sequence[str]) -> int:
    """`flags` are those of git's services over HTTP, where a request is one half of the talk, and for a push
    `--room=BYTES` that may come, with `--refusal=SENTENCE` for one that is larger."""
    out = sys.stdout.buffer
    limits = dict(flag[2:].split("=", 1) for flag in flags if flag.startswith(("--room=", "--refusal=")))
    came = 0

    def read(size: int) -> bytes:
        nonlocal came
        data = os.read(0, size)
        came += len(data)
        if limits and came > int(limits["room"]):
            raise OSError(limits["refusal"])
        return data

    def write(data: bytes) -> None:
        out.write(data)
        out.flush()

    protocol = ReceivableProtocol(read, write)
    handler = {"receive-pack": Receiver, "upload-pack": UploadPackHandler}[service]
    repositories: dict[str, BackendRepo] = {"/": Repo(repository)}
    backend = DictBackend(repositories)
    stateless, advertise = len(flags) > len(limits), "--http-backend-info-refs" in flags
    try:
        handler(backend, ["/"], protocol, stateless_rpc=stateless, advertise_refs=advertise).handle()
    except HangupException:
        return 1
    except (GitProtocolError, AssertionError, ValueError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    finally:
        if service == "receive-pack" and not advertise:
            for left in Path(repository, "objects").rglob("tmp_pack_*"):  # of a pack that broke off; the app is held
                left.unlink(missing_ok=True)
    return 0


def archive(repository: str, commit: str) -> int:
    """Write the commit's tree as a tar stream to standard output."""
    repo = Repo(repository)
    item = repo[commit.encode()]
    while isinstance(item, Tag):
        item = repo[item.object[1]]
    tree = repo[item.tree] if isinstance(item, Commit) else item
    assert isinstance(tree, Tree)
    mtime = item.commit_time if isinstance(item, Commit) else 0
    for chunk in tar_stream(repo.object_store, tree, mtime):
        sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return 0


def same(repository: str, old: str, new: str, paths: list[str]) -> int:
    """0 when `paths` are the same in both commits, else 1."""
    repo = Repo(repository)

    def entry(commit: str, path: str) -> tuple[int, bytes] | None:
        try:
            at = repo[commit.encode()]
            tree = repo[at.tree] if isinstance(at, Commit) else at
            assert isinstance(tree, Tree)
            return tree.lookup_path(repo.object_store.__getitem__, path.encode())
        except KeyError:
            return None

    return 0 if all(entry(old, path) == entry(new, path) for path in paths) else 1


if __name__ == "__main__":
    logging.disable()
    if sys.argv[1] == "same":
        sys.exit(same(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]))
    if sys.argv[1] == "archive":
        sys.exit(archive(sys.argv[2], sys.argv[3]))
    sys.exit(serve(sys.argv[1], sys.argv[2], sys.argv[3:]))
