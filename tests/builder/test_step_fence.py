"""What a step that BuildKit runs can't reach, and that containers beside it on the engine's bridge notice nothing."""

import asyncio
import io
import ipaddress
import json
import os
import re
import socket
import subprocess
import tarfile
import threading
import uuid
from pathlib import Path

import pytest

from builder import buildkit, fence, step_fence
from builder.engine import Engine
from builder.errors import EngineError
from builder.host_config import HostConfig
from builder.pool import labels
from builder.settings import Registry, Settings
from builder.step_fence import Guest, Step, StepFence
from tests.builder.runtimes import gateway_of

STACK = "paas/stack:trixie"
DOCKER = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
MARK = "0123456789abcdef"
PODS = ipaddress.ip_network("10.225.0.0/16")
POD, METADATA = "10.225.7.2", "169.254.169.254"


def test_who_is_unknown_on_the_bridge_is_dropped_and_who_is_known_is_not_touched():
    guests = [Guest("02:42:ac:11:00:02", "veth1"), Guest("02:42:ac:11:00:03", "veth2")]
    rules = step_fence.render(
        "builds_x_" + MARK, "docker0", ["eth0"], guests, [PODS], [(ipaddress.ip_address("10.0.0.9"), 53)]
    )
    assert "elements = { 02:42:ac:11:00:02, 02:42:ac:11:00:03 };" in rules
    assert rules.count("ether saddr != @known goto step_to_") == 2
    assert '02:42:ac:11:00:03 . "veth2" timeout 60s' in rules and 'elements = { "eth0" };' in rules
    told = rules.partition("chain step_to_networks")[2]
    assert told.index("10.0.0.9") < told.index("ip daddr 10.225.0.0/16 drop") < told.index("169.254.0.0/16 drop")


def test_members_of_the_bridge_are_containers_or_steps():
    listed = {
        "a" * 64: {"EndpointID": "e1", "MacAddress": "02:42:ac:11:00:02"},
        "qckvluyf7pfncx9tb23ucamqn": {"EndpointID": "e2", "MacAddress": "02:42:ac:11:00:03"},
        "ep-" + "b" * 64: {"EndpointID": "e3", "MacAddress": ""},
    }
    found = step_fence.members({"Containers": listed})
    assert [one.is_container for one in found] == [True, False] and step_fence.members({"Containers": None}) == []


def test_a_step_is_somebody_elses_only_by_the_engines_whole_file(tmp_path):
    def told(text):
        (tmp_path / "executed").mkdir(exist_ok=True)
        (tmp_path / "executed" / "config.json").write_text(text)
        return step_fence.step_of("qckv", MARK, tmp_path)

    whole = {"process": {"env": [f"NO_PROXY=build-{MARK}.invalid"]}, "hooks": ["libnetwork-setkey", "qckv"]}
    assert step_fence.step_of("qckv", MARK, tmp_path) == Step()
    assert told(json.dumps(whole)) == Step("executed", False) and told('{"hooks": ["qckv"') == Step()
    assert told(json.dumps({"hooks": ["another"]})) == Step()
    foreign = {"process": {"env": ["A=b"]}, "hooks": ["libnetwork-setkey", "qckv"]}
    assert told(json.dumps(foreign)) == Step("executed", True)


class BrokenEngine:
    """Tells of an empty bridge, and nothing when it is asked to go on telling."""

    async def root(self):
        return Path("/nowhere")

    async def call(self, method, path, **_):
        return {"Id": "x" * 12, "Containers": {}}

    async def progress(self, method, path, **_):
        await asyncio.sleep(0)
        raise EngineError("The Docker Engine went away in the middle of an answer.")
        yield


async def test_without_the_engines_word_the_build_is_stopped(monkeypatch, tmp_path):
    written = []

    async def nft(rules):
        written.append(rules)

    monkeypatch.setattr(fence, "nft", nft)
    settings = Settings(tmp_path, "http://127.0.0.1:1", "key", Registry("127.0.0.1:1"))
    with pytest.raises(EngineError, match="fence could not be kept up: The Docker Engine went away"):
        async with StepFence(BrokenEngine(), settings, HostConfig()).around(MARK):
            await asyncio.Event().wait()
    assert 'elements = { "br-xxxxxxxxxxxx" timeout 60s }' in written[0]


SERVE = """
import socket
with socket.create_server(('0.0.0.0', 8080), backlog=500) as server:
    print('ready', flush=True)
    while True:
        server.accept()[0].close()
"""


@pytest.fixture
def pod():
    """A network namespace that is routed to like a pod and like a cloud's metadata service, with a server; its port."""
    name = f"stepfence-{uuid.uuid4().hex[:6]}"
    link = name[-8:]
    commands = (
        f"netns add {name}",
        f"link add {link} type veth peer name eth0 netns {name}",
        f"addr add 10.225.7.1/24 dev {link}",
        f"link set {link} up",
        f"route add {METADATA} via {POD}",
        f"-n {name} addr add {POD}/24 dev eth0",
        f"-n {name} addr add {METADATA}/32 dev eth0",
        f"-n {name} link set eth0 up",
        f"-n {name} route add default via 10.225.7.1",
    )
    try:
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True, capture_output=True)
        server = subprocess.Popen(["ip", "netns", "exec", name, "python3", "-c", SERVE], stdout=subprocess.PIPE)
        assert server.stdout.readline()
        yield 8080
        server.kill()
        server.wait()
    finally:
        subprocess.run(["ip", "link", "del", link], capture_output=True)
        subprocess.run(["ip", "netns", "del", name], capture_output=True)


@pytest.fixture
def listener():
    """A server on every address of this host; its port."""
    with socket.create_server(("0.0.0.0", 0), backlog=500) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def accept(server):
    try:
        while True:
            server.accept()[0].close()
    except OSError:
        return


ASK = """
import socket, sys, time
patience, deadline = float(sys.argv[1]), time.time() + float(sys.argv[2])
wanted = [one.rsplit(':', 1) for one in sys.argv[3:]]
while True:
    for host, port in wanted:
        try:
            socket.create_connection((host, int(port)), patience).close()
            print('REACHED', host, flush=True)
        except OSError as error:
            print('FAILED', host, type(error).__name__, flush=True)
    if time.time() > deadline:
        break
    time.sleep(0.02)
"""

RETRIED = "8"  # seconds that cover a lost first packet: a container is fenced in until the builder knows its port


FORGE = """
import socket, struct, sys, time
gateway, own = socket.inet_aton(sys.argv[1]), bytes.fromhex(open('/sys/class/net/eth0/address').read().replace(':', ''))
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as wire:
    wire.bind(('eth0', 0))
    wire.settimeout(0.1)
    deadline = time.time() + 2
    while time.time() < deadline:
        for word in sys.argv[2:]:
            address = socket.inet_aton(word)
            mac = b'\\x02\\x42' + address
            if mac == own:
                continue
            question = struct.pack('!HHBBH', 1, 0x800, 6, 4, 1) + mac + address + bytes(6) + gateway
            wire.send(b'\\xff' * 6 + mac + b'\\x08\\x06' + question)
        try:
            while True:
                frame = wire.recv(100)
                if frame[:6] not in (own, b'\\xff' * 6) and frame[20:22] == b'\\0\\2':
                    print('AS', frame[:6].hex(':'), flush=True)
        except TimeoutError:
            pass
print('AS done')
"""


async def chunks(content):
    yield content


async def steps_output(engine, instance, mark, around, targets, forged):
    """What a BuildKit step says that tries to reach `targets`, at last as somebody else."""
    text = f"FROM {STACK}\nCOPY ask.py forge.py /app/\nUSER root\nRUN --mount=type=cache,target=/c : {mark}; "
    text += f"python3 /app/ask.py 1 0 {targets}; python3 /app/forge.py {forged}\n"
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        for name, content in (("Dockerfile", text), ("ask.py", ASK), ("forge.py", FORGE)):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content.encode()))
    params = {"t": f"{instance}:latest", "labels": labels(instance)}
    trace = buildkit.Trace()
    async with around:
        built = buildkit.build(engine, params, chunks(context.getvalue()), {}, trace, mark)
        return [line.strip() async for line in built if re.match(r" *(REACHED|FAILED|AS) ", line)]


async def left(instance):
    return [name for name in await fence.tables() if name.startswith(step_fence.table_name(instance, ""))]


@pytest.mark.engine
async def test_steps_reach_neither_host_nor_pods_nor_metadata_and_others_reach_all(listener, pod, tmp_path):
    instance = f"steps-{uuid.uuid4().hex[:8]}"
    settings = Settings(
        tmp_path, "http://127.0.0.1:1", "key", Registry("127.0.0.1:1"), DOCKER, instance=instance, denied=(PODS,)
    )
    async with Engine(DOCKER) as engine:
        gateway = gateway_of(await engine.call("GET", "/networks/bridge"))
        places = f"{gateway}:{listener} {POD}:{pod} {METADATA}:{pod}"

        async def beside(seconds):
            """A container on the engine's bridge that asks for the same again and again."""
            command = ["python3", "-c", ASK, RETRIED, str(seconds), *places.split()]
            spec = {"Image": STACK, "Cmd": command, "Labels": labels(instance)}
            container = await engine.create("", spec)
            await engine.start(container)
            return container

        async def told_by(container):
            await engine.wait(container)
            logs = await engine.open("GET", f"/containers/{container}/logs", params={"stdout": 1})
            return (await logs.read()).decode(errors="replace")

        try:
            hole = HostConfig(env={"PIP_INDEX_URL": f"http://{gateway}:{listener}/simple"})
            there = await beside(8)
            own = ipaddress.ip_address((await engine.inspect(there))["NetworkSettings"]["IPAddress"])
            forged = " ".join([gateway, *(str(own + number) for number in range(8))])  # and who comes during the build
            mark = step_fence.new_mark()
            fenced = StepFence(engine, settings, HostConfig()).around(mark)
            building = asyncio.create_task(steps_output(engine, instance, mark, fenced, places, forged))
            await asyncio.sleep(0.5)
            late = [await beside(0), await beside(8)]
            told = await building
            assert [line.split()[0] for line in told if not line.startswith("AS")] == ["FAILED"] * 3
            pretended = {line.split()[1] for line in told if line.startswith("AS")}
            settings_of = [(await engine.inspect(one))["NetworkSettings"] for one in (there, late[1])]
            assert len(pretended) > 2, "an address that is nobody's gets answers"
            assert pretended.isdisjoint(one["MacAddress"] for one in settings_of), pretended
            for container in (there, *late):
                said = await told_by(container)
                assert "FAILED" not in said and said.count("REACHED") >= 3, said
            mark = step_fence.new_mark()
            fenced = StepFence(engine, settings, hole).around(mark)
            told = await steps_output(engine, instance, mark, fenced, places, forged)
            reached = [line.split()[0] for line in told]
            assert reached[:3] == ["REACHED", "FAILED", "FAILED"], "the operator's index is open"
            async with asyncio.timeout(60):
                while await left(instance):  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.1)
        finally:
            await step_fence.sweep(instance)
            for container in await engine.containers(labels(instance)):
                await engine.remove(container["Id"])
            await engine.untag(f"{instance}:latest")
