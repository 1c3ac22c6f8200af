"""A pool of prepared sandboxes: pause containers that hold a network namespace with an address.

Making one costs as much as starting an app's container, and an app's container that joins one starts in half the
time; so a few are kept ready. Which pod has which is in a checkpoint per pod; the address is a label of the sandbox.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from orchestrator.kubelet import labels
from orchestrator.kubelet.engine import Engine, EngineError
from orchestrator.kubelet.pause import PAUSE_COMMAND, ensure_pause_image
from orchestrator.kubelet.runtime import PodRef, RuntimeFailure, Sandbox
from orchestrator.kubelet.start_slots import StartSlots
from orchestrator.kubelet.sysctls import Setting, write_sysctls
from orchestrator.network.addresses import PodNetworkError
from orchestrator.network.pods import PodNetwork, entered

log = logging.getLogger(__name__)

QUIET, LOOK_AGAIN = 0.5, 0.05  # seconds without a start before the pool is filled, between looks
RETRY_DELAY = 1.0  # seconds after a failed attempt to fill the pool
DIAL_DEADLINE = 5.0
CLOSE_DEADLINE = 5.0  # seconds for sandboxes that are being made when the agent stops


class SandboxPool:
    def __init__(
        self, engine: Engine, network: PodNetwork, *, instance: str, checkpoints: Path, size: int, host_address: str
    ) -> None:
        self._engine, self._network, self._instance = engine, network, instance
        self._checkpoints, self._size, self._host_address = checkpoints, size, host_address
        self._image = ""
        self._ready: list[Sandbox] = []
        self._claimed: dict[str, Sandbox] = {}
        self._waiting: list[asyncio.Future[Sandbox]] = []
        self._being_made = 0
        self._wanted = asyncio.Event()
        self._filler: asyncio.Task[None] | None = None
        self._makers: set[asyncio.Task[None]] = set()
        self._slots = StartSlots(1)

    async def start(self, slots: StartSlots) -> None:
        """Adopts what is there, then keeps the pool full. `slots` bounds the engine's concurrent starts."""
        self._slots = slots
        self._checkpoints.mkdir(parents=True, exist_ok=True)
        await self._network.set_up()
        self._image = await ensure_pause_image(self._engine)
        await self._adopt()
        self._filler = asyncio.create_task(self._fill(), name="sandbox-pool")
        self._wanted.set()

    async def close(self) -> None:
        if self._filler is not None:
            self._filler.cancel()
        if self._makers:  # one cut short would leave a container that nobody knows
            await asyncio.wait(self._makers, timeout=CLOSE_DEADLINE)
        for task in self._makers:
            task.cancel()
        await asyncio.gather(*self._makers, return_exceptions=True)
        self._network.close()

    def claimed(self) -> dict[str, Sandbox]:
        return dict(self._claimed)

    async def claim(self, pod: PodRef, *, host_network: bool, sysctls: Sequence[Setting] = ()) -> Sandbox:
        """The pod's sandbox; its claim is on disk before this returns."""
        held = self._claimed.get(pod.uid)
        if held is not None and not held.host_network and not await self.lives(held.id):
            await self.release(pod)
            held = None
        sandbox = held or await self._claim(pod, host_network)
        if sysctls and not host_network:
            pid = (await self._engine.call("GET", f"/containers/{sandbox.id}/json"))["State"]["Pid"]
            await asyncio.to_thread(write_sysctls, int(pid), sysctls)
        return sandbox

    async def _claim(self, pod: PodRef, host_network: bool) -> Sandbox:
        with self._slots.preparing():  # a start follows: no time to fill the pool
            sandbox = Sandbox("", self._host_address, True) if host_network else await self._take()
        self._claimed[pod.uid] = sandbox
        record = {"id": sandbox.id, "address": sandbox.address, "hostNetwork": host_network, "pod": list(pod)}
        write_checkpoint(self._checkpoints / f"{pod.uid}.json", record)
        return sandbox

    async def release(self, pod: PodRef) -> None:
        sandbox = self._claimed.get(pod.uid)
        if sandbox is None:
            return
        if sandbox.id:
            await self._remove(sandbox)
        self._claimed.pop(pod.uid, None)
        (self._checkpoints / f"{pod.uid}.json").unlink(missing_ok=True)

    async def lives(self, sandbox_id: str) -> bool:
        try:
            row = await self._engine.call("GET", f"/containers/{sandbox_id}/json")
        except EngineError as exc:
            if exc.status == 404:
                return False
            raise
        return bool(row["State"]["Running"])

    async def dial(self, sandbox: Sandbox, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the pod's own loopback, from inside its network."""
        inside = socket.socket(socket.AF_INET) if sandbox.host_network else await self._socket_inside(sandbox)
        try:
            inside.setblocking(False)
            loop = asyncio.get_running_loop()
            await asyncio.wait_for(loop.sock_connect(inside, ("127.0.0.1", port)), DIAL_DEADLINE)
            return await asyncio.open_connection(sock=inside)
        except (OSError, TimeoutError) as exc:
            inside.close()
            raise RuntimeFailure(f"nothing accepts connections on port {port} of the pod: {exc}") from exc

    async def _socket_inside(self, sandbox: Sandbox) -> socket.socket:
        row = await self._engine.call("GET", f"/containers/{sandbox.id}/json")
        return await asyncio.to_thread(socket_in_namespace, int(row["State"]["Pid"]))

    async def _adopt(self) -> None:
        """Sorts the sandboxes found into claimed, ready and dead."""
        wanted = {"label": [f"{labels.INSTANCE}={self._instance}", labels.ADDRESS]}
        rows = await self._engine.call("GET", "/containers/json", params={"all": True, "filters": wanted})
        living = {row["Id"]: row["Labels"][labels.ADDRESS] for row in rows if row["State"] == "running"}
        for path in self._checkpoints.glob("*.json"):
            record = read_checkpoint(path)
            if record and (record["hostNetwork"] or record["id"] in living):
                self._claimed[path.stem] = Sandbox(record["id"], record["address"], record["hostNetwork"])
            else:
                path.unlink(missing_ok=True)
        taken = {sandbox.id for sandbox in self._claimed.values()}
        for row in rows:
            address = row["Labels"][labels.ADDRESS]
            self._network.addresses.reserve(address)
            if row["Id"] in taken:
                continue
            # Without its mark it may have lost its agent between its start and its address.
            if row["Id"] in living and self._mark(row["Id"]).exists():
                self._ready.append(Sandbox(row["Id"], address))
            else:
                await self._remove(Sandbox(row["Id"], address))
        known = {row["Id"] for row in rows}
        for mark in self._checkpoints.glob("*.attached"):
            if mark.stem not in known:
                mark.unlink(missing_ok=True)

    async def _take(self) -> Sandbox:
        while self._ready:
            sandbox = self._ready.pop()
            self._wanted.set()
            try:
                if await self.lives(sandbox.id):
                    return sandbox
            except BaseException:
                self._ready.append(sandbox)  # the engine could not say, or nobody waits for it any more
                raise
            await self._remove(sandbox)
        waiter: asyncio.Future[Sandbox] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._wanted.set()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._ready.append(waiter.result())  # it came together with the cancellation
            raise

    async def _fill(self) -> None:
        """Makes sandboxes for who waits at once, and for the pool when no pod has started for a moment: making one
        takes the engine as much as starting a container.
        """
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while len(self._waiting) > self._being_made:
                self._make_one()
            await self._trim()
            if len(self._ready) + self._being_made < self._size and self._being_made < 2:
                if (rested := self._slots.rests(loop.time())) < QUIET:
                    await asyncio.sleep(min(QUIET - rested, LOOK_AGAIN))
                    self._wanted.set()
                else:
                    self._make_one()

    async def _trim(self) -> None:
        """Removes what was made for pods that went before they got it."""
        while len(self._ready) > self._size and not self._waiting:
            sandbox = self._ready.pop()
            try:
                await self._remove(sandbox)
            except RuntimeFailure as exc:
                self._ready.append(sandbox)
                log.info("a sandbox too many stays for now: %s", exc)
                return

    def _make_one(self) -> None:
        self._being_made += 1
        task = asyncio.create_task(self._make(), name="make-sandbox")
        self._makers.add(task)
        task.add_done_callback(self._makers.discard)

    async def _make(self) -> None:
        try:
            sandbox = await self._create()
        except (RuntimeFailure, PodNetworkError) as exc:
            log.warning("can't make a sandbox, trying again: %s", exc)
            await asyncio.sleep(RETRY_DELAY)
        else:
            while self._waiting:
                waiter = self._waiting.pop(0)
                if not waiter.done():
                    waiter.set_result(sandbox)
                    return
            self._ready.insert(0, sandbox)
        finally:
            self._being_made -= 1
            self._wanted.set()

    async def _create(self) -> Sandbox:
        address = self._network.addresses.take()
        container_id = ""
        try:
            made = await self._engine.call(
                "POST",
                "/containers/create",
                params={"name": f"{self._instance}_sandbox_{address}"},
                body=render_sandbox(self._image, address, self._instance),
            )
            container_id = made["Id"]
            async with self._slots.second():
                await self._engine.call("POST", f"/containers/{container_id}/start")
            row = await self._engine.call("GET", f"/containers/{container_id}/json")
            await self._network.attach(int(row["State"]["Pid"]), address)
            self._mark(container_id).touch()
        except BaseException:
            if container_id:
                await asyncio.shield(self._remove(Sandbox(container_id, address)))
            else:
                self._network.addresses.give_back(address)
            raise
        return Sandbox(container_id, address)

    async def _remove(self, sandbox: Sandbox) -> None:
        try:
            await self._engine.call("DELETE", f"/containers/{sandbox.id}", params={"force": True, "v": True})
        except EngineError as exc:
            if exc.status not in (404, 409):
                raise
        self._mark(sandbox.id).unlink(missing_ok=True)
        self._network.addresses.give_back(sandbox.address)

    def _mark(self, sandbox_id: str) -> Path:
        """Says that a sandbox has its address."""
        return self._checkpoints / f"{sandbox_id}.attached"


def render_sandbox(image: str, address: str, instance: str) -> dict[str, Any]:
    return {
        "Image": image,
        "Cmd": list(PAUSE_COMMAND),
        "Labels": labels.of_sandbox(address, instance),
        "HostConfig": {
            "NetworkMode": "none",
            "IpcMode": "shareable",
            "LogConfig": {"Type": "none"},
            "RestartPolicy": {"Name": "no"},
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "ReadonlyRootfs": True,
        },
    }


def socket_in_namespace(pid: int) -> socket.socket:
    """A TCP socket that belongs to the network of `pid`. Runs on a thread of its own."""
    with open(f"/proc/{pid}/ns/net", "rb") as namespace, entered(namespace.fileno()):
        return socket.socket(socket.AF_INET)


def write_checkpoint(path: Path, record: dict[str, Any]) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_bytes(orjson.dumps(record))
    draft.replace(path)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """None of a file that a crash left half-written."""
    try:
        record = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"id", "address", "hostNetwork"} <= record.keys() else None
