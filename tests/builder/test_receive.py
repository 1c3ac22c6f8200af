"""The hook's socket: the real hook script at one end, a handler at the other."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from builder.receive import HookServer, socket_path

HOOK = Path(__file__).resolve().parents[2] / "builder" / "hooks" / "pre_receive.py"


@pytest.fixture
async def server(tmp_path):
    running = HookServer(tmp_path / "s")
    await running.start()
    yield running
    await running.stop()


async def hook(server, token, lines=b"a b c\n"):
    """Exit code and output of git's hook."""
    env = {"PAAS_SOCKET": str(server.path), "PAAS_PUSH": token, "GIT_OBJECT_DIRECTORY": "/q", "GIT_EVIL": "x"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(HOOK), env=env,
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, out = await asyncio.wait_for(process.communicate(lines), 60)
    return process.returncode, out


async def test_a_push_is_handed_over_with_its_refs_and_quarantine(server):
    seen = []

    async def handler(lines, git, progress):
        seen.append((lines, dict(git)))
        progress.step("building")
        return True

    with server.announce(handler) as token:
        assert await hook(server, token) == (0, b"-----> building\n")
    assert seen == [(["a b c"], {"GIT_OBJECT_DIRECTORY": "/q"})]


async def test_a_refused_push_ends_the_hook_with_failure(server):
    async def handler(lines, git, progress):
        progress.error("no")
        return False

    with server.announce(handler) as token:
        assert await hook(server, token) == (1, b" !     no\n")


async def test_a_token_works_once_and_a_guess_never(server):
    async def handler(lines, git, progress):
        return True

    with server.announce(handler) as token:
        assert (await hook(server, "guess"))[0] == 1
        assert (await hook(server, token))[0] == 0
        assert (await hook(server, token))[0] == 1
    assert os.stat(server.path).st_mode & 0o777 == 0o600


async def test_a_push_that_ends_early_stops_its_work(server):
    started, stopped = asyncio.Event(), asyncio.Event()

    async def handler(lines, git, progress):
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return True

    with server.announce(handler) as token:
        waiting = asyncio.ensure_future(hook(server, token))
        await asyncio.wait_for(started.wait(), 60)
    await asyncio.wait_for(stopped.wait(), 60)
    code, out = await waiting
    assert code == 1 and b"The builder stopped" in out


def test_a_deep_data_folder_gets_a_socket_that_can_be_bound():
    assert socket_path(Path("/var/lib/paas/builder")) == Path("/var/lib/paas/builder/run/hook.sock")
    deep = socket_path(Path("/x" * 80))
    assert len(str(deep)) < 100 and deep != socket_path(Path("/y" * 80))


async def test_noise_on_the_socket_harms_nobody(server):
    for noise in (
        b"",
        b"\n",
        b"{}\n",
        b"-1\n",
        b"99999999\nx",
        b"3\na\0b",
        b"1\n\0",
        b"9" * 99_999,
        b"\xff" * 100 + b"\n",
    ):
        _, writer = await asyncio.open_unix_connection(str(server.path))
        writer.write(noise)
        writer.close()

    async def handler(lines, git, progress):
        return True

    with server.announce(handler) as token:
        assert (await hook(server, token))[0] == 0
