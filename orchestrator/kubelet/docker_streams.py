"""The streams of a process over a hijacked connection to the engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from orchestrator.kubelet.engine import Engine, EngineError, chunks_of, demultiplexed
from orchestrator.kubelet.process_signals import kill_process
from orchestrator.kubelet.runtime import CommandNotStarted

EXIT_CODE_DEADLINE = 5.0  # seconds between the end of the output and the engine knowing the exit code
RESIZE_PAUSES = [number / 100 for number in range(1, 11)]  # seconds between tries to tell a terminal its size
CANNOT_START = 126  # the least exit code that engines make up for a command they couldn't start


class DockerStream:
    """`path` is `/exec/ID` or `/containers/ID`: where to resize and to ask for the exit code."""

    def __init__(
        self, engine: Engine, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, framed: bool
    ) -> None:
        self._engine, self._path = engine, path
        self._reader, self._writer, self._framed = reader, writer, framed

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        if self._framed:
            async for item in demultiplexed(chunks_of(self._reader)):
                yield item
        else:
            async for chunk in chunks_of(self._reader):
                yield 1, chunk

    async def write(self, data: bytes) -> None:
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError:
            return  # the process closed its input; its output says the rest

    async def close_stdin(self) -> None:
        try:
            if self._writer.can_write_eof():
                self._writer.write_eof()
        except (OSError, RuntimeError):
            return  # already closed by the other side

    async def resize(self, width: int, height: int) -> None:
        """Tried again, as by the engine's CLI: a client tells the first size perhaps before the process has started."""
        if width <= 0 or height <= 0:
            return
        for pause in RESIZE_PAUSES:
            try:
                await self._engine.call("POST", f"{self._path}/resize", params={"w": width, "h": height})
            except EngineError:
                await asyncio.sleep(pause)
            else:
                return  # without it after the last pause, the process has ended; there is no terminal left

    async def exit_code(self) -> int:
        return int((await self._ended()).get("ExitCode") or 0)

    async def exit_code_of_exec(self, output: bytes) -> int:
        """Of an exec that wrote `output`. Raises: CommandNotStarted, saying what the engine wrote there itself."""
        state = await self._ended()
        code = int(state.get("ExitCode") or 0)
        if code >= CANNOT_START and not state.get("Pid"):
            raise CommandNotStarted(output.decode(errors="replace").strip())
        return code

    async def _ended(self) -> dict[str, Any]:
        """What the engine knows of the process once it has ended."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + EXIT_CODE_DEADLINE
        while True:
            row = await self._engine.call("GET", f"{self._path}/json")
            state: dict[str, Any] = row.get("State") or row
            if not state.get("Running") or loop.time() > give_up:
                return state
            await asyncio.sleep(0.01)

    async def kill(self) -> None:
        """Ends the process of an exec, which the engine has no call for."""
        row = await self._engine.call("GET", f"{self._path}/json")
        if row.get("Running") and row.get("Pid"):
            kill_process(int(row["Pid"]))

    async def close(self) -> None:
        self._writer.close()
