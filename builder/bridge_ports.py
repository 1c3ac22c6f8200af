"""Who is at which port of a bridge: told by what the kernel knows of its links, which nobody at one of them can change.

A hardware address is whatever a frame says. The other end of a port, though, lies in a network namespace, and the
processes in that are in control groups that the engine named. Before the engine moves that end into its namespace,
nothing tells whose it will be, except that nobody else is left.

Source: rtnetlink(7), linux/if_link.h, linux/net_namespace.h.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

GETLINK, NEWLINK, GETNSID, NEWNSID, ERROR, DONE = 18, 16, 90, 88, 2, 3
REQUEST, DUMP = 0x1, 0x300
IFNAME, MASTER, PEER_NAMESPACE = 3, 10, 37  # attributes of a link
NSID, PID = 1, 2  # attributes of a namespace
HERE = -1  # no namespace but this one
HEADER, LINK, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BxHiII"), struct.Struct("=HH")
ANSWER = 1 << 16  # bytes
GROUP = re.compile(r"[0-9a-z]{20,64}")  # in a control group's path, what may be the name of who is in it


@dataclass(frozen=True)
class Port:
    """One of a bridge's links; `namespace` is the kernel's number for where its other end is, `HERE` before it is
    moved."""

    index: int
    name: str
    namespace: int = field(compare=False)


@dataclass(frozen=True)
class Links:
    """What links there are: the ports of one bridge, and the names of all others."""

    ports: tuple[Port, ...]
    elsewhere: frozenset[str]


def look(bridge: str) -> Links:
    """Raises: OSError."""
    found = list(links())
    masters = {index for index, name, _, _ in found if name == bridge}
    ports = tuple(Port(index, name, space) for index, name, master, space in found if master in masters)
    return Links(ports, frozenset(name for _, name, *_ in found) - {port.name for port in ports})


def links() -> Iterator[tuple[int, str, int, int]]:
    """(index, name, index of its bridge or 0, namespace of its other end) of every link. Raises: OSError."""
    for message in ask(GETLINK, DUMP, LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        _, _, index, _, _ = LINK.unpack_from(message)
        told = attributes(message[LINK.size :])
        name = told.get(IFNAME, b"").rstrip(b"\0").decode(errors="replace")
        yield index, name, number(told.get(MASTER), 0), number(told.get(PEER_NAMESPACE), HERE)


def namespace_of(process: int) -> int:
    """The kernel's number, here, for the network namespace of a process; `HERE` when it has none. Raises: OSError."""
    wanted = struct.pack("=Bxxx", socket.AF_UNSPEC) + ATTRIBUTE.pack(8, PID) + struct.pack("=I", process)
    for message in ask(GETNSID, 0, wanted):
        return number(attributes(message[4:]).get(NSID), HERE)
    return HERE


def ask(kind: int, flags: int, body: bytes) -> list[bytes]:
    """The kernel's answers. Raises: OSError."""
    answers: list[bytes] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.bind((0, 0))
        kernel.send(HEADER.pack(HEADER.size + len(body), kind, REQUEST | flags, 1, 0) + body)
        while True:
            data = kernel.recv(ANSWER)
            while data:
                size, answered, *_ = HEADER.unpack_from(data)
                if answered == ERROR and (failed := -struct.unpack_from("=i", data, HEADER.size)[0]):
                    raise OSError(failed, os.strerror(failed))
                if answered in (DONE, ERROR):
                    return answers
                answers.append(data[HEADER.size : size])
                data = data[size + 3 & ~3 :]
            if not flags & DUMP:
                return answers


def attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= ATTRIBUTE.size:
        size, kind = ATTRIBUTE.unpack_from(data)
        found[kind & 0x3FFF] = data[ATTRIBUTE.size : size]
        data = data[max(size, ATTRIBUTE.size) + 3 & ~3 :]
    return found


def number(value: bytes | None, otherwise: int) -> int:
    return struct.unpack("=i", value)[0] if value else otherwise


def groups_in(namespaces: Collection[int], proc: Path = Path("/proc")) -> dict[int, set[str]]:
    """By each of these namespaces, names out of the control groups of the processes there. Blocking.

    Those that a container or a build's step made for itself are among them: only known names mean anything.
    """
    wanted = set(namespaces) - {HERE}
    spaces: dict[int, int] = {}  # inode → the kernel's number
    found: dict[int, set[str]] = {}
    for entry in proc.iterdir() if wanted else ():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):  # it ended meanwhile
            inode = (entry / "ns" / "net").stat().st_ino
            if inode not in spaces:
                spaces[inode] = namespace_of(int(entry.name))
            if spaces[inode] in wanted:
                found.setdefault(spaces[inode], set()).update(GROUP.findall((entry / "cgroup").read_text()))
    return found


def owners(
    ports: Collection[Port],
    members: Mapping[str, Collection[str]],
    known: Mapping[Port, str],
    groups: Mapping[int, Collection[str]],
    old: tuple[Collection[Port], Collection[str]] = ((), ()),
) -> dict[Port, str]:
    """Who of `members` is at which port; a port nobody is known to be at is left out. Pure.

    `members`: what each may be called in control groups. `known`: what was found before. `old`: ports that are
    nobody's who came lately, and members who had a port before.
    """
    found = {port: name for port, name in known.items() if port in ports and name in members}
    for port in ports:
        if port not in found:
            here = set(groups.get(port.namespace, ()))
            names = [name for name, called in members.items() if not here.isdisjoint(called)]
            if len(names) == 1:
                found[port] = names[0]
    left = [port for port in ports if port not in found and port not in old[0]]
    absent = [name for name in members if name not in found.values() and name not in old[1]]
    if len(left) == 1 and len(absent) == 1:  # a member's port is there before the engine tells of it
        found[left[0]] = absent[0]
    return found
