"""git's pre-receive hook: hands the push to the builder and relays what it says, line by line.

Runs by itself (standard library only, started with -I -S): each push waits for it to start.
"""

import json
import os
import socket
import struct
import sys

HEADER = struct.Struct(">cI")
GONE = b" !     The builder stopped in the middle of this push; nothing was changed. Push again.\n"


def relay(updates, write, env=os.environ):
    """Ask the builder that started this push; its exit code. `write` gets the pusher's lines."""
    path, token = env["PAAS_SOCKET"], env["PAAS_PUSH"]
    request = {"push": token, "updates": updates, "git": {k: v for k, v in env.items() if k.startswith("GIT_")}}
    with socket.socket(socket.AF_UNIX) as builder:
        try:
            builder.connect(path)
            builder.sendall(json.dumps(request).encode() + b"\n")
            answer = builder.makefile("rb")
            while header := answer.read(HEADER.size):
                kind, size = HEADER.unpack(header)
                payload = answer.read(size)
                if kind == b"x":
                    return payload[0]
                write(payload)
        except (OSError, struct.error):
            pass
    write(GONE)
    return 1


def write_stderr(data):
    while data:
        data = data[os.write(2, data) :]


if __name__ == "__main__":
    sys.exit(relay(sys.stdin.read().splitlines(), write_stderr))
