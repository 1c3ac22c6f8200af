"""Who is at which port of a bridge, by what the kernel tells and by who is left."""

import subprocess
import uuid

import pytest

from builder import bridge_ports
from builder.bridge_ports import HERE, Port, groups_in, owners

ONE, TWO, THREE = Port(1, "veth1", 5), Port(2, "veth2", 6), Port(3, "veth3", HERE)
SHOP, STEP = "a" * 64, "qckvluyf7pfncx9tb23ucamqn"
CALLED = {"e-shop": {SHOP}, "e-step": {STEP}}


def test_a_port_is_whose_processes_are_at_its_other_end():
    groups = {5: {SHOP, "f" * 64}, 6: {STEP}}
    assert owners([ONE, TWO], CALLED, {}, groups) == {ONE: "e-shop", TWO: "e-step"}


def test_the_one_who_is_left_is_at_the_port_that_is_left():
    assert owners([ONE, THREE], CALLED, {}, {5: {STEP}}) == {ONE: "e-step", THREE: "e-shop"}
    assert owners([TWO, THREE], CALLED, {}, {}) == {}, "two are left: either may be at either"
    assert owners([ONE, TWO, THREE], CALLED, {}, {5: {STEP}}) == {ONE: "e-step"}, "a step that isn't told of yet"


def test_who_had_a_port_gets_none_by_being_left():
    assert owners([THREE], {"e-shop": {SHOP}}, {}, {}, ((), {"e-shop"})) == {}
    assert owners([THREE], {"e-shop": {SHOP}}, {}, {}, ({THREE}, ())) == {}, "the port is older than the build"


def test_what_was_found_is_kept_while_both_are_there():
    moved = Port(3, "veth3", 9)
    assert owners([moved], {"e-shop": {SHOP}}, {THREE: "e-shop"}, {}) == {moved: "e-shop"}
    assert owners([moved], {"e-other": {"b" * 64}}, {THREE: "e-shop"}, {9: {"b" * 64}}) == {moved: "e-other"}


def test_an_address_two_may_have_is_nobodys():
    assert owners([ONE], {"a": {SHOP}, "b": {SHOP}}, {}, {5: {SHOP}}) == {}


@pytest.fixture
def bridge():
    """A bridge with one port whose other end is here, and one whose is in a namespace of its own with a process."""
    mark = uuid.uuid4().hex[:6]
    name, near, far = f"bp{mark}", f"n{mark}", f"f{mark}"
    commands = (
        f"netns add {name}",
        f"link add {name} type bridge",
        f"link add {near} type veth peer name {near}p",
        f"link add {far} type veth peer name eth0 netns {name}",
        f"link set {near} master {name}",
        f"link set {far} master {name}",
    )
    try:
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True, capture_output=True)
        process = subprocess.Popen(["ip", "netns", "exec", name, "sleep", "60"])
        yield name, near, far, process.pid
        process.kill()
        process.wait()
    finally:
        for command in (f"link del {near}", f"link del {far}", f"link del {name}", f"netns del {name}"):
            subprocess.run(["ip", *command.split()], capture_output=True)


def test_the_kernel_tells_ports_and_who_is_behind_them(bridge, tmp_path):
    name, near, far, process = bridge
    found = bridge_ports.look(name)
    ports = {port.name: port for port in found.ports}
    assert ports.keys() == {near, far} and {"lo", name, f"{near}p"} <= found.elsewhere
    assert ports[near].namespace == HERE != ports[far].namespace
    deadline = 100
    with bridge_ports.asking() as kernel:
        while bridge_ports.namespace_of(process, kernel) != ports[far].namespace and deadline:
            deadline -= 1  # `ip` takes a moment to get there
    folder = tmp_path / str(process)
    (folder / "ns").mkdir(parents=True)
    (folder / "ns" / "net").symlink_to(f"/proc/{process}/ns/net")
    (folder / "cgroup").write_text(f"9:name=systemd:/docker/{SHOP}\n0::/system.slice/docker-{'b' * 64}.scope\n")
    assert groups_in({ports[far].namespace}, tmp_path) == {ports[far].namespace: {SHOP, "b" * 64}}
    assert groups_in({HERE}, tmp_path) == {} and bridge_ports.look("none").ports == ()


def test_a_process_that_has_ended_is_in_no_namespace():
    ended = subprocess.Popen(["true"])
    ended.wait()
    with bridge_ports.asking() as kernel, pytest.raises(ProcessLookupError):
        bridge_ports.namespace_of(ended.pid, kernel)
