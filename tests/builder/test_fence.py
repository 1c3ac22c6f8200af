"""What a build can't reach."""

import ipaddress
import os
import socket
import subprocess
import threading
import uuid

import pytest

from builder import fence
from builder.engine import Engine
from builder.errors import EngineError
from builder.host_config import HostConfig
from builder.pool import labels, network_name
from tests.builder.runtimes import gateway_of

STACK = "paas/stack:trixie"
DOCKER = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
PODS = ipaddress.ip_network("10.244.0.0/16")


def test_the_rules_drop_pods_link_local_and_the_host_and_spare_what_is_named():
    holes = [(ipaddress.ip_address("10.244.0.9"), 3128)]
    rules = fence.render("paas-1", "br-1", [PODS], holes)
    assert 'iifname "br-1" ip daddr 10.244.0.0/16 drop' in rules
    assert 'iifname "br-1" ip daddr 169.254.0.0/16 drop' in rules
    for chain in ("to_host", "to_networks"):
        told = rules.partition(f"chain {chain}")[2].partition("    }")[0]
        assert told.index("10.244.0.9 meta l4proto { tcp, udp } th dport 3128 accept") < told.index("drop")


def test_name_servers_and_package_indexes_are_the_holes():
    assert fence.name_servers("# x\nnameserver 169.254.169.253\nsearch a\nnameserver fe80::1%eth0\n") == [
        (ipaddress.ip_address("169.254.169.253"), 53),
        (ipaddress.ip_address("fe80::1"), 53),
    ]
    config = HostConfig(
        env={"HTTPS_PROXY": "http://proxy.example:3128", "X": "http://[broken"},
        files={"pip.conf": "[global]\nindex-url = https://user:secret@pip.example/simple\n"},
    )
    assert fence.named_places(config) == {("proxy.example", 3128), ("pip.example", 443)}


@pytest.fixture
def listener():
    """A server on every address of this host; its port."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        threading.Thread(target=accept, args=(server,), daemon=True).start()
        yield server.getsockname()[1]


def accept(server):
    try:
        while True:
            server.accept()[0].close()
    except OSError:
        return


@pytest.mark.engine
async def test_containers_of_the_network_do_not_reach_the_host(listener):
    instance = f"fence-{uuid.uuid4().hex[:8]}"
    async with Engine(DOCKER) as engine:
        link = await engine.ensure_network(network_name(instance), labels(instance), 1400)
        network = await engine.call("GET", f"/networks/{network_name(instance)}")
        gateway = gateway_of(network)

        async def reaches(port):
            command = ["python3", "-c", f"import socket; socket.create_connection(('{gateway}', {port}), 1)"]
            host = {"NetworkMode": network_name(instance)}
            container = await engine.create(
                "", {"Image": STACK, "Cmd": command, "HostConfig": host, "Labels": labels(instance)}
            )
            try:
                await engine.start(container)
                return await engine.wait(container) == 0
            finally:
                await engine.remove(container)

        try:
            assert await reaches(listener), "the server answers while there is no fence"
            await fence.put_up(instance, link, [PODS], HostConfig())
            assert not await reaches(listener)
            hole = HostConfig(env={"PIP_INDEX_URL": f"http://{gateway}:{listener}/simple"})
            await fence.put_up(instance, link, [PODS], hole)
            assert await reaches(listener), "an index that the operator keeps here stays reachable"
        finally:
            await fence.take_down(instance)
            await engine.remove_network(network_name(instance))
    assert fence.table_name(instance) not in tables()


def tables():
    return subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, timeout=10).stdout


async def test_rules_that_the_kernel_refuses_are_told_in_words():
    with pytest.raises(EngineError, match="can't be fenced off"):
        await fence.nft("table inet {")
