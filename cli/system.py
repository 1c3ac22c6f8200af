"""What differs between Linux, macOS and Windows: text files, programs, colour."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

INTERRUPTIBLE = 0.5  # seconds: on Windows, Ctrl-C isn't noticed while a socket is waited for


def read_text(path: Path) -> str:
    """A file of the user's: UTF-8 wherever it was written, with or without the mark that Windows' editors put first.

    Raises: OSError, UnicodeDecodeError.
    """
    return path.read_text(encoding="utf-8-sig")


def write_private(path: Path, text: str) -> None:
    """A file that only its owner can read from its first byte on (on Windows, as its folder has it)."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
        if sys.platform != "win32":
            os.fchmod(descriptor, 0o600)  # it may have been there
        stream.write(text)


def program(name: str) -> str:
    """What to start for `name`. Windows would look in the present folder first, which may be anybody's repository."""
    if sys.platform != "win32":
        return name
    endings = [ending.lower() for ending in os.environ.get("PATHEXT", ".COM;.EXE").split(";") if ending]
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for ending in endings:
            file = os.path.join(folder.strip('"'), f"{name}{ending}")
            if os.path.isabs(file) and os.path.isfile(file):
                return file
    raise FileNotFoundError(name)


def editor_words(line: str) -> list[str]:
    """A command line of EDITOR as words; on Windows backslashes are parts of paths."""
    import shlex

    if sys.platform != "win32":
        return shlex.split(line)
    return [word.strip('"') for word in shlex.split(line, posix=False)]


def patience(seconds: float) -> float:
    """How long to wait for a socket in one go."""
    return min(seconds, INTERRUPTIBLE) if sys.platform == "win32" else seconds


def speak_utf8() -> None:
    """On Windows, pipes and files are UTF-8 as everywhere, not the code page; consoles are Unicode anyway."""
    if sys.platform != "win32":
        return
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and not stream.isatty():
            stream.reconfigure(encoding="utf-8")


def shows_colour() -> bool:
    """Whether the terminal understands colour codes; Windows' console does once it is told to, since Windows 10."""
    if sys.platform != "win32":
        return True
    if "WT_SESSION" in os.environ:
        return True
    import ctypes

    try:
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        mode = ctypes.c_ulong()
        handle = kernel.GetStdHandle(-11)  # STD_OUTPUT_HANDLE
        virtual_terminal = 0x0004
        if not kernel.GetConsoleMode(handle, ctypes.byref(mode)):
            return False
        return bool(kernel.SetConsoleMode(handle, mode.value | virtual_terminal))
    except (AttributeError, OSError):
        return False
