"""The SSH server's own touches on a connection."""

import asyncio
import socket
from types import SimpleNamespace

import asyncssh

from builder import ssh
from builder.ssh import acknowledge_at_once


def test_what_the_client_sends_is_acknowledged_before_it_is_looked_at():
    seen = []
    link = SimpleNamespace(setsockopt=lambda *option: seen.append(option))
    connection = SimpleNamespace(get_extra_info={"socket": link}.get, data_received=lambda *data: seen.append(data))
    acknowledge_at_once(connection)
    for data in (b"one", b"two"):
        connection.data_received(data)
    wish = (socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    assert seen == [wish, (b"one", None), wish, (b"two", None)]


async def test_a_client_that_sends_faster_than_git_reads_is_held_back():
    """What has left the client and wasn't read stays within a few windows, however much there is to send."""
    total, read, ahead = 16 * ssh.WINDOW, 0, 0

    async def slowly(process):
        nonlocal read
        while chunk := await ssh.read_window(process):
            for _ in range(0, len(chunk), 1 << 16):  # git takes what its pipe holds, one after the other
                await asyncio.sleep(0.001)
            read += len(chunk)
        process.exit(0)

    class Open(asyncssh.SSHServer):
        def begin_auth(self, username):
            return False

    key = asyncssh.generate_private_key("ssh-ed25519")
    async with asyncssh.listen(
        "127.0.0.1", 0, server_factory=Open, server_host_keys=[key], process_factory=slowly, encoding=None,
        window=ssh.WINDOW,
    ) as server:  # fmt: skip
        connecting = asyncssh.connect("127.0.0.1", server.get_port(), username="git", known_hosts=None, config=None)
        async with connecting as connection, connection.create_process("x", encoding=None) as process:
            for sent in range(0, total, 1 << 15):
                process.stdin.write(bytes(1 << 15))
                await process.stdin.drain()
                ahead = max(ahead, sent - read)
            process.stdin.write_eof()
            await process.wait(timeout=30)
    assert read == total
    assert ahead < 4 * ssh.WINDOW
