"""What a failed connection says to people."""

import errno
import os
import socket
from urllib.error import URLError

import pytest

from controller.errors import cause_of

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def wrapped(outer: Exception, inner: Exception) -> Exception:
    outer.__context__ = inner
    return outer


@pytest.mark.parametrize(
    ("exc", "text"),
    [
        (REFUSED, "connection refused"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/run/x.sock"), "no such file or directory"),
        (wrapped(URLError(REFUSED), REFUSED), "connection refused"),
        (wrapped(OSError("Max retries exceeded with url: /v2/"), REFUSED), "connection refused"),
        (socket.gaierror(-2, "Name or service not known"), "name or service not known"),
        (TimeoutError(), "timed out"),
        (ValueError("no JSON"), "no JSON"),
        (EOFError(), "EOFError"),
    ],
)
def test_the_cause_is_in_the_systems_words(exc, text):
    assert cause_of(exc) == text
