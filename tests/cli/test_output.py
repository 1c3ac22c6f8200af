"""What is drawn on a terminal alone."""

from __future__ import annotations

import io
import sys

from cli import output


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


def test_a_secret_is_drawn_for_cameras_on_a_terminal_alone(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    output.picture(["11", "01", "10"])
    drawn = [text.removeprefix("\033[30;107m").removesuffix("\033[0m") for text in screen.getvalue().splitlines()]
    assert drawn == [" " * 10] * 2 + ["    ▀█    ", "    ▀     "] + [" " * 10] * 2
    monkeypatch.setattr(sys, "stdout", plain := io.StringIO())
    output.picture(["11", "01", "10"])
    assert plain.getvalue() == ""
