"""The command line as on Windows: a Python with its POSIX parts taken out and a code page for encoding runs whole
commands against a controller's double. mypy with `--platform=win32` and `darwin` (`make lint`) sees the rest.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli import output, system

ROOT = Path(__file__).parents[2]
STARTS = """
import sys
sys.path.insert(0, ROOT)
import getpass, http.client, importlib.util, os, select, signal, socket, ssl, subprocess, tempfile, threading
import urllib.request, webbrowser  # the library chooses by the Python that it is; what is ours is loaded from here on

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

NAMES = "fcntl grp pty pwd readline resource syslog termios tty".split()
for name in NAMES:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
for module, names in (
    (os, "fork forkpty getuid geteuid getgid getpgid setsid killpg fchmod fchown chown mkfifo openpty uname"),
    (signal, "SIGWINCH SIGHUP SIGALRM SIGKILL SIGUSR1 SIGPIPE SIGQUIT alarm pause pthread_sigmask"),
    (select, "poll epoll"),
    (socket, "AF_UNIX"),
):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
sys.platform = "win32"
from cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def windows(logged_in: Path, home: Path):
    """Runs a command there: code page instead of UTF-8, `git.exe` on PATH."""
    tools = home / "tools"
    tools.mkdir()
    (tools / "git.exe").symlink_to("/usr/bin/git")
    (home / "hello" / "git.exe").write_text("#!/bin/sh\necho stolen > stolen\n")
    (home / "hello" / "git.exe").chmod(0o755)

    def run(*words: str, piped: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        kept = ("HOME", "GIT_CONFIG_GLOBAL", "GIT_CEILING_DIRECTORIES", "EDITOR")
        env = {name: os.environ[name] for name in kept if name in os.environ}
        env |= {"PATH": str(tools), "PATHEXT": ".COM;.EXE", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
        command = [sys.executable, "-X", "utf8=0", "-c", f"ROOT = {str(ROOT)!r}\n{STARTS}", *words]
        given = {"input": piped} if piped is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run(command, capture_output=True, timeout=60, env=env, cwd=home / "hello", **given)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    return run


CONFIG = {"uuid": "u", "app": "hello", "owner": "bob", "values": {"GREETING": "grüß dich"}, "secrets": []}


def test_listings_and_texts_are_utf8(windows, platform):
    platform.on("GET /v2/apps/hello/config/", CONFIG)
    done = windows("config", "-a", "hello")
    assert done.returncode == 0 and "grüß dich" in done.stdout.decode(), done
    assert "grüß dich" in json.dumps(json.loads(windows("config", "-a", "hello", "--json").stdout), ensure_ascii=False)


def test_files_and_pipes_are_utf8_with_any_line_ends(windows, platform, home):
    platform.on("GET /v2/apps/hello/config/", CONFIG)
    platform.on("POST /v2/apps/hello/config/", CONFIG)
    (home / "hello" / "notepad.env").write_bytes("\ufeffNAME=Zoë\r\nCITY=Köln\r\n".encode())
    assert windows("config:push", "-p", "notepad.env", "-a", "hello").returncode == 0
    assert windows("config:push", "-a", "hello", piped="NAME=Zoë\r\n".encode()).returncode == 0
    sent = [body["values"] for body in platform.bodies("POST /v2/apps/hello/config/")]
    assert sent == [{"NAME": "Zoë", "CITY": "Köln"}, {"NAME": "Zoë"}]


def test_an_editor_with_backslashes_and_blanks_is_started(windows, platform, home, monkeypatch):
    platform.on("GET /v2/apps/hello/config/", CONFIG)
    platform.on("POST /v2/apps/hello/config/", CONFIG)
    editor = home / "tools" / "my\\notes pad"
    editor.write_text("#!/bin/sh\nprintf 'GREETING=\303\244\\r\\n' > \"$2\"\n", encoding="latin-1")
    editor.chmod(0o755)
    monkeypatch.setenv("EDITOR", f'"{editor}" /multi')
    done = windows("config:edit", "-a", "hello")
    assert done.returncode == 0, done
    assert platform.bodies("POST /v2/apps/hello/config/")[0]["values"] == {"GREETING": "ä"}


def test_git_is_the_one_on_the_path_not_the_folders(windows, platform, home):
    subprocess.run(["git", "init", "-q", str(home / "hello")], check=True)
    remote = "ssh://git@paas.localhost:2222/shop.git"
    subprocess.run(["git", "-C", str(home / "hello"), "remote", "add", "deis", remote], check=True)
    platform.on("GET /v2/apps/shop/config/", CONFIG)
    assert windows("config").returncode == 0
    assert not (home / "hello" / "stolen").exists()


def test_what_fails_is_told_as_elsewhere(windows, platform):
    assert windows("ps:nothing").returncode == 2
    assert windows("config", "-a", "absent").returncode == 4
    platform.on("GET /v2/apps/hello/config/", {"detail": "no"}, 401)
    done = windows("config", "-a", "hello")
    assert done.returncode == 3 and done.stderr.startswith(b"Error: "), done


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (r"C:\Windows\notepad.exe", [r"C:\Windows\notepad.exe"]),
        (r'"C:\Program Files\Code\code.cmd" --wait', [r"C:\Program Files\Code\code.cmd", "--wait"]),
    ],
)
def test_windows_paths_keep_their_backslashes(monkeypatch, line, words):
    monkeypatch.setattr(sys, "platform", "win32")
    assert system.editor_words(line) == words


def test_ctrl_c_is_heard_within_half_a_second(monkeypatch):
    assert system.patience(30.0) == 30.0
    monkeypatch.setattr(sys, "platform", "win32")
    assert system.patience(30.0) == 0.5 and system.patience(0.1) == 0.1


class Console:
    """kernel32, of a console that takes colour codes or not."""

    def __init__(self, takes: bool) -> None:
        self.takes, self.mode = takes, 3

    def GetStdHandle(self, number: int) -> int:
        assert number == -11
        return 7

    def GetConsoleMode(self, handle: int, mode: object) -> int:
        mode._obj.value = self.mode
        return 1

    def SetConsoleMode(self, handle: int, mode: int) -> int:
        self.mode = mode
        return int(self.takes)


@pytest.mark.parametrize("takes", [True, False])
def test_the_windows_console_is_told_to_take_colours(monkeypatch, takes):
    import ctypes

    console = Console(takes)
    monkeypatch.setattr(ctypes, "WinDLL", lambda name, use_last_error: console, raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("WT_SESSION", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert output.is_colourful(sys.stdout) is takes
    assert console.mode == 3 | 4
