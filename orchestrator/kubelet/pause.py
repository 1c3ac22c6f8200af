"""The image of sandboxes: the host's static busybox, imported without a registry."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path

from orchestrator.kubelet.engine import Engine, EngineError, quoted
from orchestrator.kubelet.runtime import RuntimeFailure

PAUSE_IMAGE = "paas/pause:1"
BUSYBOX = Path("/bin/busybox")  # Debian's busybox-static
# As process 1 of a shared process namespace it must also reap what others leave behind; a shell's `wait` does.
PAUSE_COMMAND = ("/bin/busybox", "sh", "-c", "trap 'exit 0' TERM; while :; do busybox sleep 86400 & wait; done")


async def ensure_pause_image(engine: Engine) -> str:
    """The image's id. Raises: RuntimeFailure, when it isn't there and can't be made."""
    try:
        return str((await engine.call("GET", f"/images/{quoted(PAUSE_IMAGE)}/json"))["Id"])
    except EngineError as exc:
        if exc.status != 404:
            raise
    await import_busybox(engine, PAUSE_IMAGE)
    return str((await engine.call("GET", f"/images/{quoted(PAUSE_IMAGE)}/json"))["Id"])


async def import_busybox(engine: Engine, reference: str) -> None:
    """Imports an image of nothing but busybox and its applets."""
    if not is_static_program(BUSYBOX):
        raise RuntimeFailure(f"{BUSYBOX} is missing or not static; install the busybox-static package")
    repository, _, tag = reference.rpartition(":")
    chunks = engine.stream(
        "POST",
        "/images/create",
        params={"fromSrc": "-", "repo": repository, "tag": tag},
        data=await asyncio.to_thread(busybox_archive, BUSYBOX),
        headers={"Content-Type": "application/x-tar"},
    )
    answer = b"".join([chunk async for chunk in chunks])
    if b'"error"' in answer:
        raise RuntimeFailure(f"the engine refused the image {reference}: {answer.decode(errors='replace')}")


def is_static_program(path: Path) -> bool:
    """False when it isn't there or names an interpreter (a dynamic linker)."""
    try:
        return b"ld-linux" not in path.read_bytes()[:4096]
    except OSError:
        return False


def busybox_archive(path: Path) -> bytes:
    """A root file system as a tar: busybox, the links to what the agent and its tests run, /tmp and /etc."""
    program, buffer = path.read_bytes(), io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for folder, mode in (("bin", 0o755), ("tmp", 0o1777), ("etc", 0o755), ("dev", 0o755), ("proc", 0o755)):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        entry = tarfile.TarInfo("bin/busybox")
        entry.size, entry.mode = len(program), 0o755
        archive.addfile(entry, io.BytesIO(program))
        for applet in ("sh", "sleep", "cat", "echo", "ls", "env", "id", "nc", "httpd", "wget", "hostname", "tar", "ps"):
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, "busybox", 0o777
            archive.addfile(link)
        users = b"root:x:0:0:root:/:/bin/sh\n"
        entry = tarfile.TarInfo("etc/passwd")
        entry.size, entry.mode = len(users), 0o644
        archive.addfile(entry, io.BytesIO(users))
    return buffer.getvalue()
