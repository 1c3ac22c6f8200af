"""Work in threads ends with whoever waits for it."""

import asyncio
import io
import os
import tarfile
import threading
from contextlib import suppress

import pytest

from builder.snapshot import Limits
from builder.sources import ArchiveSource
from builder.stopping import Abandoned, stoppable, stoppable_stream, until_stopped

MIB = 1 << 20


async def test_a_cancellation_waits_until_the_work_has_ended():
    begun, ended = threading.Event(), []

    def work(stop):
        begun.set()
        ended.append(stop.wait(10))
        raise Abandoned

    working = asyncio.create_task(stoppable(work))
    await asyncio.to_thread(begun.wait, 10)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ended == [True]


async def test_what_the_work_returns_or_raises_is_passed_on():
    assert await stoppable(lambda stop: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await stoppable(lambda stop: 1 / 0)


def test_streams_and_entries_end_when_told():
    stop = threading.Event()
    stream, entries = stoppable_stream(io.BytesIO(b"1234"), stop), until_stopped([1, 2], stop)
    assert stream.read(2) == b"12" and next(entries) == 1
    stop.set()
    with pytest.raises(Abandoned):
        stream.read(2)
    with pytest.raises(Abandoned):
        next(entries)


async def test_a_deploy_that_is_called_off_unpacks_no_further(tmp_path):
    pipe, target = tmp_path / "archive", tmp_path / "app"
    target.mkdir()
    os.mkfifo(pipe)
    unpacking = asyncio.create_task(ArchiveSource(pipe, "c0ffee", Limits(1 << 30, 100)).unpack(target, ""))
    content = archive(early=MIB, late=MIB)
    with await asyncio.to_thread(pipe.open, "wb", buffering=0) as file:
        await asyncio.to_thread(write_on, file, content[:MIB])
        unpacking.cancel()
        await asyncio.to_thread(write_on, file, content[MIB:])
    with pytest.raises(asyncio.CancelledError):
        await unpacking
    assert not (target / "late").exists()


def write_on(file, content):
    """The reader may hang up on the way."""
    with suppress(BrokenPipeError):
        while content:
            content = content[file.write(content) :]


def archive(**sizes):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, size in sizes.items():
            entry = tarfile.TarInfo(name)
            entry.size = size
            tar.addfile(entry, io.BytesIO(bytes(size)))
    return made.getvalue()
