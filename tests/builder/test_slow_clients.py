"""Clients that send or read too slowly, or take places without using them: each has an end, and nobody waits for it."""

import asyncio
import time

import asyncssh
import pytest

from builder import pace, ssh
from builder.controller_api import Identity
from builder.errors import PushRefused
from builder.git_service import Exchange, run_service
from builder.packets import packet, refusal, reworded
from builder.settings import Registry, Settings

COMMANDS = packet(b"0" * 40 + b" " + b"1" * 40 + b" refs/heads/master\0 report-status side-band-64k") + b"0000"


def exchange(*command, received=False):
    return Exchange(list(command), {}, lambda: received)


async def nothing(_):
    return None


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(pace, "SILENCE", 0.1)
    monkeypatch.setattr(pace, "GRACE", 0.1)
    monkeypatch.setattr(pace, "STALL", 0.1)


async def test_a_client_that_falls_silent_before_its_pack_came_is_given_up(hasty):
    async def read():
        await asyncio.Event().wait()

    began = time.monotonic()
    with pytest.raises(PushRefused, match="Nothing came for"):
        await run_service(exchange("/bin/cat"), read, nothing, nothing)
    assert time.monotonic() - began < 30


async def test_a_trickle_is_given_up_and_told_so(hasty):
    async def read():
        await asyncio.sleep(0.01)
        return b"x"

    with pytest.raises(PushRefused, match="too slowly"):
        await run_service(exchange("/bin/cat"), read, nothing, nothing)


async def test_during_the_build_and_while_git_speaks_silence_is_fine(hasty, monkeypatch):
    async def read():
        await asyncio.Event().wait()

    assert await run_service(exchange("/bin/sleep", "0.4", received=True), read, nothing, nothing) == 0
    monkeypatch.setattr(pace, "SILENCE", 0.4)
    speaking = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i; /bin/sleep 0.05; done"
    assert await run_service(exchange("/bin/sh", "-c", speaking), read, nothing, nothing) == 0


async def test_a_client_that_reads_nothing_is_given_up(hasty):
    async def write(_):
        await asyncio.Event().wait()

    async def read():
        return b""

    with pytest.raises(ConnectionError, match="read nothing"):
        await run_service(exchange("/bin/echo", "x"), read, write, nothing)


def test_a_refusal_in_the_middle_of_a_push_is_a_report_on_its_refs():
    told = refusal(COMMANDS + b"PACK...", "No room.")
    assert b"\x02 !     No room.\n" in told and b"ng refs/heads/master refused\n" in told and told.endswith(b"0000")
    assert refusal(b"", "No room.") == packet(b"ERR No room.\n")
    plain = refusal(COMMANDS.replace(b"side-band-64k", b"x"), "No room.")
    assert b"\x02" not in plain and b"ng refs/heads/master refused" in plain


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_words_of_gits_are_replaced_however_they_are_cut(size):
    said = packet(b"refs") + b"0000" + packet(b"\x02fatal: pack exceeds it\n") + packet(b"\x01report") + b"0000"

    async def pieces(data):
        for at in range(0, len(data), size):
            yield data[at : at + size]

    out = b"".join([part async for part in reworded(pieces(said), [(b"pack exceeds", "Too much.")])])
    assert out == said.replace(packet(b"\x02fatal: pack exceeds it\n"), packet(b"\x02 !     Too much.\n"))
    noise = b"this is no pkt-line"
    assert b"".join([part async for part in reworded(pieces(noise), [(b"x", "y")])]) == noise


class Everybody:
    """A controller that knows every key."""

    async def identify(self, fingerprint):
        return Identity("alice", frozenset(), {})


@pytest.fixture
async def door(tmp_path):
    """An SSH server whose sessions end at once; its port."""

    async def handle(process):
        owner = process.get_extra_info("connection").get_owner()
        owner.session_began()
        process.exit(0)
        owner.session_ended()

    settings = Settings(tmp_path, "http://127.0.0.1:1", "key", Registry("x"), ssh_listen=(("127.0.0.1", 0),))
    (listener,) = await ssh.listen(settings, Everybody(), handle)
    yield listener.get_port()
    listener.close()
    await listener.wait_closed()


async def is_open(reader, seconds):
    try:
        async with asyncio.timeout(seconds):
            while await reader.read(1000):
                continue
        return False
    except TimeoutError:
        return True


async def logs_in(door, key):
    try:
        async with asyncssh.connect("127.0.0.1", door, client_keys=[key], known_hosts=None) as connection:
            return (await connection.run("ping")).exit_status == 0
    except (OSError, asyncssh.Error):
        return False


async def test_who_doesnt_log_in_is_dropped_and_takes_no_more_than_some_places(door, monkeypatch):
    monkeypatch.setattr(ssh, "LOGINS", 3)
    idle = [await asyncio.open_connection("127.0.0.1", door) for _ in range(4)]
    assert [await is_open(reader, 0.2) for reader, _ in idle] == [True, True, True, False]
    for _, writer in idle:
        writer.close()
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with asyncio.timeout(60):
        while not await logs_in(door, key):  # noqa: ASYNC110 - places are free again, once the door has noticed
            await asyncio.sleep(0.01)


async def test_a_login_without_a_session_is_closed(door, monkeypatch):
    monkeypatch.setattr(ssh, "IDLE", 0.2)
    key = asyncssh.generate_private_key("ssh-ed25519")
    connection = await asyncssh.connect("127.0.0.1", door, client_keys=[key], known_hosts=None)
    assert (await connection.run("ping")).exit_status == 0
    async with asyncio.timeout(60):
        await connection.wait_closed()
