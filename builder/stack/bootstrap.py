"""The bare system: a tarball of Debian's minimal packages, made with debootstrap and kept for the next time."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from builder.errors import BuilderError

SUITE = "trixie"
SCRIPTS = Path("/usr/share/debootstrap/scripts")
DEBOOTSTRAP_TIMEOUT = 900  # seconds; 20 on a fast mirror
LEFT_OUT = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/cache/debconf",
    "var/log",
)


class BootstrapFailed(BuilderError):
    """debootstrap could not make the system."""


@dataclass(frozen=True)
class Mirrors:
    main: str = ""  # empty: debootstrap's own default
    security: str = ""


def find_mirrors(texts: list[str]) -> Mirrors:
    """The Debian mirrors that a host's apt sources name; nothing on a host of another distribution."""
    main = security = ""
    for text in texts:
        for line in text.splitlines():
            words = line.split("#", 1)[0].split()
            if not words or words[0].lower() not in ("deb", "uris:"):
                continue
            for url in (word.rstrip("/") for word in words[1:] if re.match(r"https?://", word)):
                if url.endswith("/debian-security"):
                    security = security or url
                elif url.endswith("/debian"):
                    main = main or url
    return Mirrors(main, security)


def host_mirrors(etc: Path = Path("/etc/apt")) -> Mirrors:
    folder = etc / "sources.list.d"
    files = [etc / "sources.list", *sorted(folder.glob("*.list")), *sorted(folder.glob("*.sources"))]
    return find_mirrors([path.read_text(errors="replace") for path in files if path.is_file()])


def render_sources(mirrors: Mirrors, default: str) -> tuple[str, str]:
    """sources.list with updates and security, and the one with the main archive alone."""
    main = mirrors.main or default
    security = mirrors.security or f"{main}-security"
    plain = f"deb {main} {SUITE} main\n"
    return plain + f"deb {main} {SUITE}-updates main\ndeb {security} {SUITE}-security main\n", plain


def default_mirror(root_sources: str) -> str:
    """The archive that debootstrap wrote into the new system's sources.list."""
    found = re.search(r"^deb\s+(\S+)", root_sources, re.MULTILINE)
    if not found:
        raise BootstrapFailed("debootstrap left no apt source in the new system.")
    return found.group(1).rstrip("/")


def debootstrap_command(target: Path, mirrors: Mirrors, scripts: Path = SCRIPTS) -> list[str]:
    command = ["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, str(target)]
    if mirrors.main:
        command.append(mirrors.main)
        if not (scripts / SUITE).exists():  # an older debootstrap: every suite's script is the same one
            command.append(str(scripts / "sid"))
    return command


def bootstrap(tarball: Path, mirrors: Mirrors) -> None:
    """Make `tarball` (uncompressed); nothing is left behind when it fails."""
    target = tarball.with_suffix(".root")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    partial = tarball.with_suffix(".partial")
    try:
        done = subprocess.run(
            debootstrap_command(target, mirrors), capture_output=True, text=True, timeout=DEBOOTSTRAP_TIMEOUT
        )
        if done.returncode:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            raise BootstrapFailed(f"debootstrap failed: {' '.join(last) or 'no output'}.")
        slim(target)
        with tarfile.open(partial, "w") as archive:
            archive.add(target, arcname=".", filter=numeric)
        partial.rename(tarball)
    finally:
        shutil.rmtree(target, ignore_errors=True)
        partial.unlink(missing_ok=True)


def slim(root: Path) -> None:
    """Empty the folders that no app reads."""
    for name in LEFT_OUT:
        for entry in (root / name).glob("*"):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != "locale.alias":
                entry.unlink(missing_ok=True)


def numeric(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Owners by number; no device nodes, which a container gets from its engine."""
    member.uname = member.gname = ""
    return None if member.isdev() else member
