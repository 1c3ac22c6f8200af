"""Streams of a process on an engine, where the engine isn't as quick as the client."""

import asyncio

from orchestrator.kubelet import docker_streams
from orchestrator.kubelet.docker_streams import DockerStream
from orchestrator.kubelet.engine import EngineError


class LateEngine:
    """Knows of a terminal only at the third question."""

    def __init__(self, refusals=2):
        self.asked, self.refusals = [], refusals

    async def call(self, method, path, **options):
        self.asked.append((method, path, options))
        if len(self.asked) <= self.refusals:
            raise EngineError(409, "the process isn't running")


def stream_on(engine):
    return DockerStream(engine, "/exec/e1", asyncio.StreamReader(), None, framed=False)


async def test_the_first_size_reaches_a_terminal_that_starts_late(monkeypatch):
    monkeypatch.setattr(docker_streams, "RESIZE_PAUSES", [0] * 5)
    engine = LateEngine()
    await stream_on(engine).resize(123, 41)
    assert engine.asked == [("POST", "/exec/e1/resize", {"params": {"w": 123, "h": 41}})] * 3


async def test_a_terminal_that_is_gone_is_given_up(monkeypatch):
    monkeypatch.setattr(docker_streams, "RESIZE_PAUSES", [0] * 5)
    engine = LateEngine(refusals=9)
    await stream_on(engine).resize(123, 41)
    assert len(engine.asked) == 5
    await stream_on(engine).resize(0, 41)
    assert len(engine.asked) == 5
