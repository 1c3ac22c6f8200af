import asyncio
import contextlib

import pytest

from orchestrator.network.apiproxy import serve_api


@contextlib.asynccontextmanager
async def forwarding(port, target):
    task = asyncio.create_task(serve_api(("127.0.0.1", port), target))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def connect(port):
    """As soon as the forwarder listens."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                return await asyncio.open_connection("127.0.0.1", port)
            await asyncio.sleep(0.01)


async def echo(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
    writer.write(b"end")
    writer.write_eof()
    writer.close()


async def test_bytes_and_the_end_of_them_pass_both_ways(unused_tcp_port_factory):
    port = unused_tcp_port_factory()
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        async with forwarding(port, server.sockets[0].getsockname()), asyncio.timeout(60):
            reader, writer = await connect(port)
            writer.write(b"x" * 300_000)
            assert await reader.readexactly(300_000) == b"x" * 300_000
            writer.write_eof()
            assert await reader.read() == b"end"
            writer.close()


async def test_a_server_that_is_down_ends_the_connection_at_once(unused_tcp_port_factory):
    port, nobody = unused_tcp_port_factory(), unused_tcp_port_factory()
    async with forwarding(port, ("127.0.0.1", nobody)), asyncio.timeout(60):
        reader, _ = await connect(port)
        assert await reader.read() == b""


async def test_a_client_that_resets_does_not_disturb_the_next(unused_tcp_port_factory):
    port = unused_tcp_port_factory()
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        async with forwarding(port, server.sockets[0].getsockname()), asyncio.timeout(60):
            _, writer = await connect(port)
            writer.write(b"half")
            writer.transport.abort()
            reader, writer = await connect(port)
            writer.write(b"whole")
            assert await reader.readexactly(5) == b"whole"
            writer.close()


async def test_a_taken_port_is_an_error_that_says_so(unused_tcp_port_factory):
    port = unused_tcp_port_factory()
    async with await asyncio.start_server(echo, "127.0.0.1", port):
        with pytest.raises(OSError):
            await serve_api(("127.0.0.1", port), ("127.0.0.1", 1))
