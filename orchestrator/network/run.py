"""This node's share of the cluster's network: Service addresses, policies, names, and the way to the API server."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from orchestrator.client import ApiClient
from orchestrator.errors import OrchestratorError
from orchestrator.http_client import Kubeconfig
from orchestrator.machinery.informer import Informer, Informers
from orchestrator.network.addresses import gateway_of
from orchestrator.network.apiproxy import serve_api
from orchestrator.network.dns import NameServer, serve_dns
from orchestrator.network.forwarder import Forwarder, HostServers
from orchestrator.network.host_ports import HostPorts, plan_host_ports
from orchestrator.network.names import Zone
from orchestrator.network.nft import Firewall, FirewallError, Ranges
from orchestrator.network.pods import bridge_name
from orchestrator.network.policy import plan_policies, read_pods, slim_pod
from orchestrator.network.services import SERVICE_NAME, Rules, plan_rules, render_api_slice
from orchestrator.objects.kinds import ENDPOINTSLICES, NAMESPACES, NETWORKPOLICIES, PODS, SERVICES
from orchestrator.objects.meta import Obj, key_of, labels_of

log = logging.getLogger(__name__)

COALESCE = 0.005  # seconds; a Service and its endpoints change together
RETRY = 2.0  # seconds after a failure
CHECK = 30.0  # seconds between looks at whether our rules are still there
BRIDGE_FILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


class Settings(Protocol):
    """What of the agent's settings the network needs."""

    @property
    def kubeconfig(self) -> Path: ...

    @property
    def instance(self) -> str: ...

    @property
    def node_name(self) -> str: ...

    @property
    def pod_cidr(self) -> str: ...

    @property
    def service_cidr(self) -> str: ...

    @property
    def cluster_domain(self) -> str: ...


async def run_network(client: ApiClient, settings: Settings, node_cidr: str, host_ports: HostPorts) -> None:
    """Until cancelled. What fails is logged and tried again: pods run on without it."""
    await NodeNetwork(client, settings, node_cidr, host_ports).run()


class NodeNetwork:
    def __init__(self, client: ApiClient, settings: Settings, node_cidr: str, host_ports: HostPorts) -> None:
        self._settings, self._host_ports = settings, host_ports
        self._gateway = gateway_of(node_cidr)
        self._bridge = bridge_name(settings.instance)
        self._api = loopback_api(settings.kubeconfig)
        self._informers = Informers(client)
        self._services = self._informers.of(SERVICES)
        self._slices = self._informers.of(ENDPOINTSLICES)
        self._policies = self._informers.of(NETWORKPOLICIES)
        self._namespaces = self._informers.of(NAMESPACES)
        self._pods: Informer | None = None  # followed from the first policy on
        self._zone = Zone(settings.cluster_domain, (settings.service_cidr, settings.pod_cidr))
        ranges = Ranges(settings.pod_cidr, settings.service_cidr, node_cidr, self._bridge)
        self._firewall = Firewall(settings.instance, ranges, bridged_replies=see_bridged_packets())
        self._zone.complete = False
        self._changed = asyncio.Event()
        self._applied = asyncio.Event()

    async def run(self) -> None:
        self._services.add_handler(self._service_changed)
        self._slices.add_handler(self._slice_changed)
        self._policies.add_handler(self._policy_changed)
        self._namespaces.add_handler(self._namespace_changed)
        self._host_ports.on_change = self._changed.set
        self._informers.start()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(keep("service addresses", self._follow_changes), name="services")
                group.create_task(keep("check of rules", self._check), name="check rules")
                group.create_task(keep("cluster DNS", self._serve_names), name="dns")
                if self._api:
                    group.create_task(keep("way to the API server", self._serve_api), name="api")
        finally:
            await self._informers.stop()

    def _service_changed(self, old: Obj | None, new: Obj | None) -> None:
        self._zone.change_service(old, new)
        self._changed.set()

    def _slice_changed(self, old: Obj | None, new: Obj | None) -> None:
        self._zone.change_slice(old, new)
        self._changed.set()

    def _policy_changed(self, old: Obj | None, new: Obj | None) -> None:
        if self._pods is None:
            self._pods = self._informers.of(PODS, transform=slim_pod)
            self._pods.add_handler(self._pod_changed)
        self._changed.set()

    def _pod_changed(self, old: Obj | None, new: Obj | None) -> None:
        if old is None or new is None or any(_differs(old, new, part) for part in ("spec", "status", "labels")):
            self._changed.set()

    def _namespace_changed(self, old: Obj | None, new: Obj | None) -> None:
        self._zone.change_namespace(old, new)
        if old is None or new is None or labels_of(old) != labels_of(new):
            self._changed.set()

    async def _follow_changes(self) -> None:
        await self._informers.synced()  # half a cluster would take Services away
        self._zone.complete = True
        self._changed.set()
        while True:
            await self._changed.wait()
            await asyncio.sleep(COALESCE)
            self._changed.clear()
            await self._firewall.apply(await self._plan())
            self._applied.set()

    async def _plan(self) -> Rules:
        rules = plan_rules(self._services, self._all_slices(), node_name=self._settings.node_name)
        plan_host_ports(rules, self._host_ports)
        if len(self._policies) and self._pods is not None:
            await self._pods.synced.wait()
            plan_policies(rules, list(self._policies), read_pods(self._pods), self._namespaces)
        return rules

    def _all_slices(self) -> list[Obj]:
        slices = list(self._slices)
        if self._api and not any(_is_of_api(piece) for piece in slices):
            slices.append(render_api_slice(self._gateway, self._api[1]))
        return slices

    async def _check(self) -> None:
        """Puts back what something else on the host removed."""
        await self._applied.wait()  # the rules that guard the loopback come before the bridge takes its addresses
        while True:
            try:
                await asyncio.to_thread(prepare_bridge, self._bridge, self._settings.service_cidr, self._gateway)
                await self._firewall.check()
            except (FirewallError, OSError, NetlinkError) as exc:
                log.warning("the route to services cannot be set: %s; trying again", exc)
            self._changed.set()
            await asyncio.sleep(CHECK)

    async def _serve_names(self) -> None:
        forwarder = Forwarder(HostServers(own={self._gateway}))
        log.info("cluster DNS answers on %s:53", self._gateway)
        await serve_dns(NameServer(self._zone, forwarder), self._gateway)

    async def _serve_api(self) -> None:
        assert self._api is not None
        try:
            await serve_api((self._gateway, self._api[1]), self._api)
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
            # The server listens on every address: it is there already.
            await asyncio.sleep(CHECK)


def _differs(old: Obj, new: Obj, part: str) -> bool:
    return labels_of(old) != labels_of(new) if part == "labels" else old.get(part) != new.get(part)


def _is_of_api(piece: Obj) -> bool:
    return key_of(piece).namespace == "default" and labels_of(piece).get(SERVICE_NAME) == "kubernetes"


async def keep(what: str, serve: Callable[[], Awaitable[None]]) -> None:
    """Runs `serve` again whenever it fails."""
    told = ""
    while True:
        try:
            await serve()
        except (OSError, OrchestratorError) as exc:
            if str(exc) != told:
                log.error("%s: %s; trying again every %.0f s", what, exc, RETRY)
            told = str(exc)
        except Exception:  # the pods' network must not take the agent with it
            log.exception("%s failed; trying again", what)
        await asyncio.sleep(RETRY)


def loopback_api(kubeconfig: Path) -> tuple[str, int] | None:
    """Where the API server listens, if only this host reaches it there."""
    server = urlsplit(Kubeconfig.load(kubeconfig).server)
    host, port = server.hostname or "", server.port or 443
    if host == "localhost":
        return "127.0.0.1", port
    try:
        return (host, port) if ipaddress.ip_address(host).is_loopback else None
    except ValueError:
        return None


def see_bridged_packets() -> bool:
    """Whether replies between pods of one bridge pass the kernel's address translation; turns it on where it can."""
    if not BRIDGE_FILTER.exists():
        try:
            subprocess.run(["modprobe", "br_netfilter"], capture_output=True, timeout=10, check=False)
        except (OSError, subprocess.SubprocessError):
            return False
    try:
        BRIDGE_FILTER.write_text("1")
    except OSError:
        return False
    return True


def prepare_bridge(bridge: str, service_cidr: str, gateway: str) -> None:
    """Service addresses lead to the bridge: a host without a default route reaches them too, from the gateway's
    address, which pods can answer. Nothing is there to send to: every packet was rewritten or refused before.
    And the bridge takes loopback addresses, so that node ports answer on the host's own.
    """
    with IPRoute() as route:
        found = route.link_lookup(ifname=bridge)
        if found:
            route.route("replace", dst=service_cidr, oif=found[0], prefsrc=gateway)
            Path(f"/proc/sys/net/ipv4/conf/{bridge}/route_localnet").write_text("1")
