"""What every runtime promises, held against the in-memory one and a real Docker Engine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from engines import busybox_image, docker_runtime, remove_everything

from orchestrator.kubelet.memory import MemoryRuntime
from orchestrator.kubelet.runtime import (
    ContainerGone,
    ContainerSpec,
    ContainerStatus,
    ExecRequest,
    ImageMissing,
    LogOptions,
    PodRef,
    Runtime,
)

POD = PodRef("default", "web", "0f0e0d0c-0000-4000-8000-000000000001")
STAYS = ("sh", "-c", "echo hello; trap 'exit 0' TERM; while :; do sleep 100 & wait; done")


@pytest.fixture(params=["memory", pytest.param("docker", marks=pytest.mark.engine)])
async def setting(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Runtime, str]]:
    if request.param == "memory":
        memory = MemoryRuntime("10.200.0.0/24")
        await memory.pull("registry.example/busybox:1")
        await memory.start()
        yield memory, "registry.example/busybox:1"
        await memory.close()
        return
    async with busybox_image() as image:
        runtime = docker_runtime(tmp_path)
        await runtime.start()
        try:
            yield runtime, image
        finally:
            await runtime.close()
            await remove_everything(tmp_path)


async def run_container(setting: tuple[Runtime, str], command: tuple[str, ...] = STAYS, **fields: Any) -> str:
    runtime, image = setting
    sandbox = await runtime.claim_sandbox(POD)
    known = await runtime.image(image)
    spec = ContainerSpec(
        pod=POD, name="main", attempt=fields.pop("attempt", 0), sandbox=sandbox, image=known.id, image_name=image,
        command=command, **fields,
    )  # fmt: skip
    container_id = await runtime.create_container(spec)
    assert await runtime.create_container(spec) == container_id, "creating an attempt twice finds the first"
    await runtime.start_container(container_id, hostname="web")
    return container_id


async def ended(runtime: Runtime, container_id: str) -> ContainerStatus:
    async with asyncio.timeout(60):
        while (status := await runtime.inspect(container_id)).state != "exited":  # noqa: ASYNC110 - not by its events, which are tried, too
            await asyncio.sleep(0.02)
    return status


async def test_a_container_lives_and_dies(setting: tuple[Runtime, str]) -> None:
    runtime, image = setting
    container_id = await run_container(setting)
    status = await runtime.inspect(container_id)
    assert (status.state, status.pod, status.name, status.attempt) == ("running", POD, "main", 0)
    assert status.image == image and abs(status.started_at - time.time()) < 60
    assert [each.id for each in await runtime.containers()] == [container_id]
    await runtime.signal_container(container_id, "SIGKILL")
    status = await ended(runtime, container_id)
    assert status.exit_code == 137 and status.finished_at >= status.started_at
    await runtime.signal_container(container_id, "SIGTERM")
    await runtime.remove_container(container_id)
    await runtime.remove_container(container_id)
    with pytest.raises(ContainerGone):
        await runtime.inspect(container_id)


async def test_exit_codes_and_logs_are_kept(setting: tuple[Runtime, str]) -> None:
    runtime, _ = setting
    container_id = await run_container(setting, ("sh", "-c", "echo one; echo two; exit 3"))
    assert (await ended(runtime, container_id)).exit_code == 3

    async def read(options: LogOptions) -> bytes:
        return b"".join([chunk async for _, chunk in runtime.logs(container_id, options)])

    assert await read(LogOptions()) == b"one\ntwo\n"
    assert await read(LogOptions(tail=1)) == b"two\n"
    assert await read(LogOptions(follow=True)) == b"one\ntwo\n"
    stamped = (await read(LogOptions(timestamps=True))).splitlines()
    assert stamped[0].endswith(b"Z one") and stamped[0][4:5] == b"-"
    assert await read(LogOptions(since=time.time() + 60)) == b""


async def test_a_sandbox_belongs_to_its_pod_until_released(setting: tuple[Runtime, str]) -> None:
    runtime, _ = setting
    sandbox = await runtime.claim_sandbox(POD)
    assert sandbox.address.startswith("10.200.") and await runtime.sandbox_lives(sandbox)
    assert await runtime.claim_sandbox(POD) == sandbox
    other = await runtime.claim_sandbox(POD._replace(uid="another"))
    assert other.address != sandbox.address
    assert await runtime.claimed_sandboxes() == {POD.uid: sandbox, "another": other}
    await runtime.release_sandbox(POD)
    await runtime.release_sandbox(POD)
    assert not await runtime.sandbox_lives(sandbox)
    assert await runtime.claimed_sandboxes() == {"another": other}


async def test_the_end_of_a_container_is_told(setting: tuple[Runtime, str]) -> None:
    runtime, _ = setting
    told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def listen() -> None:
        async for event in runtime.events():
            told.put_nowait((event.kind, event.container_id))

    listening = asyncio.create_task(listen())
    assert (await asyncio.wait_for(told.get(), 60))[0] == "relist"
    container_id = await run_container(setting)
    await runtime.signal_container(container_id, "SIGKILL")
    await ended(runtime, container_id)
    async with asyncio.timeout(60):
        while (await told.get()) != ("changed", container_id):
            continue
        while (await runtime.inspect(container_id)).state != "exited":
            await told.get()
    listening.cancel()


async def test_an_end_between_the_look_at_everything_and_the_listening_is_told(setting: tuple[Runtime, str]) -> None:
    runtime, _ = setting
    container_id = await run_container(setting)
    events = runtime.events()
    assert (await anext(events)).kind == "relist"
    await runtime.signal_container(container_id, "SIGKILL")
    await ended(runtime, container_id)
    async with asyncio.timeout(60):
        while (await anext(events)).container_id != container_id:
            continue
    await events.aclose()  # type: ignore[attr-defined]


async def test_commands_run_inside(setting: tuple[Runtime, str]) -> None:
    runtime, _ = setting
    container_id = await run_container(setting, environment={"COLOR": "blue"})
    assert await runtime.execute(container_id, ("sh", "-c", "echo $COLOR"), 10) == (0, b"blue\n")
    code, _ = await runtime.execute(container_id, ("sh", "-c", "exit 7"), 10)
    assert code == 7


async def test_streams_of_a_command(setting: tuple[Runtime, str]) -> None:
    runtime, _ = setting
    container_id = await run_container(setting)
    process = await runtime.open_exec(container_id, ExecRequest(("echo", "hi"), stdin=False))
    assert [item async for item in process.output()] == [(1, b"hi\n")]
    assert await process.exit_code() == 0
    await process.close()
    echoing = await runtime.open_exec(container_id, ExecRequest(("cat",), stdin=True))
    await echoing.write(b"typed\n")
    async for stream, data in echoing.output():
        if data.endswith(b"typed\n"):
            assert stream == 1
            break
    await echoing.close_stdin()
    await echoing.close()


async def test_nobody_waits_for_the_streams_of_a_container_that_has_ended(setting: tuple[Runtime, str]) -> None:
    runtime, _ = setting
    container_id = await run_container(setting, ("sh", "-c", "exit 3"))
    await ended(runtime, container_id)
    with pytest.raises(ContainerGone):
        await runtime.attach(container_id, ExecRequest((), stdin=True))


async def test_missing_things_have_their_own_errors(setting: tuple[Runtime, str]) -> None:
    runtime, _ = setting
    with pytest.raises(ImageMissing):
        await runtime.image("registry.example/none:1")
    with pytest.raises(ContainerGone):
        await runtime.inspect("f" * 64)


async def test_a_running_container_has_usage(setting: tuple[Runtime, str]) -> None:
    runtime, _ = setting
    container_id = await run_container(setting)
    usage = await runtime.usage(await runtime.inspect(container_id))
    assert usage is not None and usage.memory_working_set > 0
    await runtime.signal_container(container_id, "SIGKILL")
    assert await runtime.usage(await ended(runtime, container_id)) is None


async def test_a_node_has_capacity(setting: tuple[Runtime, str]) -> None:
    facts = await setting[0].facts()
    assert facts.cpus >= 1 and facts.memory > 2**28 and facts.disk > 2**28
    assert facts.runtime_version.startswith(f"{setting[0].name}://")
