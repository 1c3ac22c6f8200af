"""Who is at which port of a bridge: told by what the kernel knows of its links, which nobody at one of them can change.

A hardware address is whatever a frame says. The other end of a port, though, lies in a network namespace, and the
processes in that are in control groups that the engine named. Before the engine moves that end into its namespace,
nothing tells whose it will be, except that nobody else is left.

Source: rtnetlink(7), IFLA_LINK_NETNSID and RTM_GETNSID.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyroute2 import IPRoute

HERE = -1  # no namespace but this one
NO_NUMBER = 2**32 - 1  # as pyroute2 reads the kernel's -1
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
    with asking() as kernel:
        for link in kernel.get_links():
            space = link.get("link_netnsid")
            yield link["index"], link.get("ifname") or "", link.get("master") or 0, HERE if space is None else space


def namespace_of(process: int, kernel: IPRoute) -> int:
    """The kernel's number, here, for the network namespace of a process; `HERE` when it has none. Raises: OSError."""
    with refusals():
        number = kernel.get_netnsid(pid=process)["nsid"]
    return HERE if number == NO_NUMBER else int(number)


@contextmanager
def asking() -> Iterator[IPRoute]:
    """What asks the kernel. Raises: OSError."""
    from pyroute2 import IPRoute  # 10 MB: only where BuildKit builds

    with refusals(), IPRoute() as kernel:
        yield kernel


@contextmanager
def refusals() -> Iterator[None]:
    """What the kernel refuses, as OSError."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as exc:
        raise OSError(exc.code, os.strerror(exc.code)) from exc


def groups_in(namespaces: Collection[int], proc: Path = Path("/proc")) -> dict[int, set[str]]:
    """By each of these namespaces, names out of the control groups of the processes there. Blocking.

    Those that a container or a build's step made for itself are among them: only known names mean anything.
    """
    wanted = set(namespaces) - {HERE}
    spaces: dict[int, int] = {}  # inode → the kernel's number
    found: dict[int, set[str]] = {}
    if not wanted:
        return found
    with asking() as kernel:
        for entry in proc.iterdir():
            if not entry.name.isdigit():
                continue
            with suppress(OSError):  # it ended meanwhile
                inode = (entry / "ns" / "net").stat().st_ino
                if inode not in spaces:
                    spaces[inode] = namespace_of(int(entry.name), kernel)
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
