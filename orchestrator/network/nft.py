"""This instance's nftables table: what never changes in it, and the transaction from one set of rules to the next."""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from orchestrator.errors import OrchestratorError
from orchestrator.network.services import Rules

DEADLINE = 20.0  # seconds for one transaction; 10,000 Services take 1


class FirewallError(OrchestratorError):
    """nftables refused, or could not be run."""


class Ranges(NamedTuple):
    pods: str
    services: str
    node: str
    """The part of `pods` on this node."""
    bridge: str


TABLE = """\
add table ip {table}
delete table ip {table}
table ip {table} {{
    map services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
    map node-ports {{ type inet_proto . inet_service : verdict; }}
    set refused {{ type ipv4_addr . inet_proto . inet_service; }}
    set refused-node-ports {{ type inet_proto . inet_service; }}
    map isolated-in {{ type ipv4_addr : verdict; }}
    map isolated-out {{ type ipv4_addr : verdict; }}
    set hairpin {{ type ipv4_addr . ipv4_addr; }}
    chain dispatch {{
        ip daddr . meta l4proto . th dport vmap @services
        fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @node-ports
    }}
    chain prerouting {{
        type nat hook prerouting priority -110; policy accept;
        jump dispatch
    }}
    chain output {{
        type nat hook output priority -110; policy accept;
        jump dispatch
        ip daddr 127.0.0.0/8 meta l4proto . th dport vmap @node-ports
    }}
    chain guard-loopback {{
        type filter hook prerouting priority -300; policy accept;
        ip daddr 127.0.0.0/8 iifname "{bridge}" drop
    }}
    chain postrouting {{
        type nat hook postrouting priority 90; policy accept;
        ct status dnat ip saddr 127.0.0.0/8 masquerade
        ct status dnat ip saddr . ip daddr @hairpin masquerade
        ct status dnat ip saddr != {pods} ip daddr {pods} ip daddr != {node} masquerade
        {masquerade_bridge}
    }}
    chain refuse {{
        ip daddr . meta l4proto . th dport @refused goto say-no
        fib daddr type local meta l4proto . th dport @refused-node-ports goto say-no
        ip daddr {services} goto say-no
    }}
    chain say-no {{
        meta l4proto tcp reject with tcp reset
        reject
    }}
    chain refuse-input {{
        type filter hook input priority -10; policy accept;
        ct state new jump refuse
    }}
    chain refuse-forward {{
        type filter hook forward priority -10; policy accept;
        ip daddr 169.254.0.0/16 iifname "{bridge}" goto say-no
        ct state new jump refuse
    }}
    chain policies {{
        type filter hook forward priority -5; policy accept;
        ct state established,related accept
        ip saddr . ip daddr @hairpin accept
        ip saddr vmap @isolated-out
        ip daddr vmap @isolated-in
    }}
    chain refuse-output {{
        type filter hook output priority -10; policy accept;
        ct state new jump refuse
    }}
}}
"""


def table_name(instance: str) -> str:
    plain = instance if instance.replace("-", "").isalnum() else hashlib.sha1(instance.encode()).hexdigest()[:12]
    return f"services-{plain}"


def render_table(table: str, ranges: Ranges, *, bridged_replies: bool) -> str:
    """Replaces the whole table with an empty one.

    `bridged_replies`: whether the kernel sees what pods of one bridge send to each other; if not, a reply to a
    rewritten connection must be brought back here by masquerading it. Node ports answer on the host's loopback too,
    for which the bridge takes loopback addresses (`run.prepare_bridge`); `guard-loopback` keeps pods from using that.
    Nor may they reach link-local addresses: never to be routed, and where clouds keep a machine's credentials.
    """
    masquerade_bridge = (
        "" if bridged_replies else f"ct status dnat ip saddr {ranges.node} ip daddr {ranges.node} masquerade"
    )
    return TABLE.format(table=table, masquerade_bridge=masquerade_bridge, **ranges._asdict())


def render_change(table: str, old: Rules, new: Rules) -> str:
    """The commands from `old` to `new`; empty when there is no difference. Applied as one transaction."""
    lines: list[str] = []
    for name in new.affinity.keys() - old.affinity.keys():
        timeout = new.affinity[name]
        lines.append(
            f"add set ip {table} {name} {{ type ipv4_addr; flags dynamic,timeout; timeout {timeout}s; size 65536; }}"
        )
    changed = {name for name, rules in new.chains.items() if old.chains.get(name) != rules}
    lines += [f"add chain ip {table} {name}" for name in sorted(changed - old.chains.keys())]
    lines += [f"flush chain ip {table} {name}" for name in sorted(changed & old.chains.keys())]
    for name in sorted(changed):
        lines += [f"add rule ip {table} {name} {rule}" for rule in new.chains[name]]
    lines += _change_map(table, "services", "goto", old.services, new.services)
    lines += _change_map(table, "node-ports", "goto", old.node_ports, new.node_ports)
    lines += _change_map(table, "isolated-in", "jump", old.isolated_in, new.isolated_in)
    lines += _change_map(table, "isolated-out", "jump", old.isolated_out, new.isolated_out)
    lines += _change_set(table, "refused", old.refused, new.refused)
    lines += _change_set(table, "refused-node-ports", old.refused_node_ports, new.refused_node_ports)
    lines += _change_set(table, "hairpin", old.hairpin, new.hairpin)
    gone = sorted(old.chains.keys() - new.chains.keys())
    # Emptied first: they may lead to one another.
    lines += [f"flush chain ip {table} {name}" for name in gone]
    lines += [f"delete chain ip {table} {name}" for name in gone]
    lines += [f"delete set ip {table} {name}" for name in sorted(old.affinity.keys() - new.affinity.keys())]
    return "\n".join(lines) + "\n" if lines else ""


def _change_map(table: str, name: str, verb: str, old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    gone = [key for key in sorted(old) if new.get(key) != old[key]]
    come = [f"{key} : {verb} {new[key]}" for key in sorted(new) if old.get(key) != new[key]]
    return _elements("delete", table, name, gone) + _elements("add", table, name, come)


def _change_set(table: str, name: str, old: set[str], new: set[str]) -> list[str]:
    return _elements("delete", table, name, sorted(old - new)) + _elements("add", table, name, sorted(new - old))


def _elements(verb: str, table: str, name: str, elements: Iterable[str]) -> list[str]:
    listed = ", ".join(elements)
    return [f"{verb} element ip {table} {name} {{ {listed} }}"] if listed else []


async def run_nft(script: str) -> None:
    """Applies all of `script` or nothing. Raises: FirewallError."""
    await run_tool(["nft", "-f", "-"], script)


async def run_tool(command: list[str], text: str = "") -> str:
    """What the command printed. Raises: FirewallError."""
    return await asyncio.to_thread(_run, command, text)


def _run(command: list[str], text: str) -> str:
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=DEADLINE, check=False)
    except subprocess.TimeoutExpired as exc:
        raise FirewallError(f"{' '.join(command)} took longer than {DEADLINE:.0f} s; trying again") from exc
    except OSError as exc:
        raise FirewallError(f"{command[0]} cannot be run ({exc}); install the package that has it") from exc
    if done.returncode:
        raise FirewallError(f"{' '.join(command)} failed: {done.stderr.strip()[:500]}")
    return done.stdout


class Firewall:
    """The table in the kernel; knows what it put there."""

    def __init__(self, instance: str, ranges: Ranges, *, bridged_replies: bool) -> None:
        self.table = table_name(instance)
        self._ranges, self._bridged = ranges, bridged_replies
        self._held: Rules | None = None

    async def apply(self, rules: Rules) -> None:
        """Raises: FirewallError; the next call then starts from an empty table."""
        held, self._held = self._held, None
        if held is None:
            script = render_table(self.table, self._ranges, bridged_replies=self._bridged)
            await run_nft(script + render_change(self.table, Rules(), rules))
        elif script := render_change(self.table, held, rules):
            await run_nft(script)
        self._held = rules
        await self._forget_udp(held or Rules(), rules)

    async def _forget_udp(self, old: Rules, new: Rules) -> None:
        """UDP has no end of a connection: the kernel would go on sending a client's packets where they went."""
        for sent_to, targets in old.udp.items():
            for target in targets - new.udp.get(sent_to, frozenset()):
                await _drop_connections([*sent_to.split(), "--dst-nat", target])
        for sent_to, targets in new.udp.items():
            if targets and not old.udp.get(sent_to):
                await _drop_connections(sent_to.split())

    async def check(self) -> None:
        """Has the table made anew at the next `apply` if something else on the host removed it."""
        try:
            await run_tool(["nft", "list", "chain", "ip", self.table, "dispatch"])
        except FirewallError:
            self._held = None


async def _drop_connections(match: list[str]) -> None:
    try:
        await run_tool(["conntrack", "-D", "-p", "udp", *match])
    except FirewallError as exc:
        if "0 flow entries" not in str(exc):
            raise


def remove_firewall(instance: str) -> list[str]:
    """What was removed; nothing when there was no table. For a program that ends: it waits."""
    table = table_name(instance)
    try:
        listed = subprocess.run(["nft", "list", "tables", "ip"], capture_output=True, text=True, timeout=DEADLINE)
        if f"table ip {table}" not in listed.stdout.splitlines():
            return []
        subprocess.run(["nft", "delete", "table", "ip", table], capture_output=True, timeout=DEADLINE, check=True)
    except FileNotFoundError:
        return []
    except (OSError, subprocess.SubprocessError) as exc:
        raise FirewallError(f"the nftables table {table} cannot be removed: {exc}") from exc
    return [f"nftables table {table}"]
