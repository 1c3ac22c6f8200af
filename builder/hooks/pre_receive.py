"""git's pre-receive hook: hands the push to the builder and relays what it says, line by line.

Runs by itself, started with -I -S: each push waits for it to start. So it imports nothing that Python hasn't got
loaded or compiled in: `socket`, `json` and `struct` would double the wait.
"""

import _socket
import os
import sys

TYPE_CHECKING = False  # the name by itself, as type checkers read it: importing typing would take longer
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Environment = Mapping[str, str]
    Write = Callable[[bytes], object]

SIZE = 4  # bytes of a frame's size, after one for its kind
GONE = b" !     The builder stopped in the middle of this push; nothing was changed. Push again.\n"


def render_request(token: str, updates: list[str], env: "Environment") -> bytes:
    """Its size on a line, then the token, git's variables, an empty field and the updates, NUL between them."""
    git = [f"{key}={value}" for key, value in env.items() if key.startswith("GIT_")]
    request = "\0".join([token, *git, "", *updates]).encode(errors="surrogateescape")
    return b"%d\n" % len(request) + request


def relay(updates: list[str], write: "Write", env: "Environment" = os.environ) -> int:
    """Ask the builder that started this push; its exit code. `write` gets the pusher's lines."""
    builder = _socket.socket(_socket.AF_UNIX)
    try:
        builder.connect(env["PAAS_SOCKET"])
        builder.sendall(render_request(env["PAAS_PUSH"], updates, env))
        while header := receive(builder, 1 + SIZE):
            payload = receive(builder, int.from_bytes(header[1:], "big"))
            if header[:1] == b"x":
                return payload[0]
            write(payload)
    except (OSError, EOFError):
        pass
    finally:
        builder.close()
    write(GONE)
    return 1


def receive(builder: "_socket.socket", size: int) -> bytes:
    """`size` bytes, or none at the end. Raises: EOFError when it comes too early."""
    data = b""
    while len(data) < size:
        more = builder.recv(size - len(data))
        if not more and data:
            raise EOFError
        if not more:
            return b""
        data += more
    return data


def write_stderr(data: bytes) -> None:
    while data:
        data = data[os.write(2, data) :]


if __name__ == "__main__":
    sys.exit(relay(sys.stdin.read().splitlines(), write_stderr))
