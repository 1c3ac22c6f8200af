"""The files every pod gets: /etc/hosts, /etc/resolv.conf, /etc/hostname. Pure but for the last two functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.kubelet.environment import ConfigError
from orchestrator.kubelet.pod import runs_on_host_network
from orchestrator.objects.meta import Obj

SYSTEMD_RESOLVED = Path("/run/systemd/resolve/resolv.conf")
HOST_RESOLV_CONF = Path("/etc/resolv.conf")
HOST_HOSTS = Path("/etc/hosts")
LONGEST_HOSTNAME = 64  # bytes, the kernel's limit


def hostname_of(pod: Obj) -> str:
    """At most 63 characters, as the kernel and DNS take it. Source: kubernetes GeneratePodHostNameAndDomain."""
    name = str(pod["spec"].get("hostname") or pod["metadata"]["name"])
    return name[:63].rstrip("-.")


def full_name_of(pod: Obj, cluster_domain: str) -> str:
    subdomain = pod["spec"].get("subdomain")
    if not subdomain:
        return ""
    return f"{hostname_of(pod)}.{subdomain}.{pod['metadata']['namespace']}.svc.{cluster_domain}"


def kernel_hostname_of(pod: Obj, cluster_domain: str) -> str:
    """What `hostname` prints in the pod's containers; empty where it is the host's own.

    Raises: ConfigError, when the full name that the pod asks for is longer than the kernel takes.
    """
    if runs_on_host_network(pod):
        return ""
    full = full_name_of(pod, cluster_domain) if pod["spec"].get("setHostnameAsFQDN") else ""
    if len(full) > LONGEST_HOSTNAME:
        raise ConfigError(
            f"the full name {full} is longer than the {LONGEST_HOSTNAME} characters of a host name; "
            "set a shorter hostname or subdomain, or leave setHostnameAsFQDN out"
        )
    return full or hostname_of(pod)


def render_hosts(pod: Obj, address: str, cluster_domain: str, host: str) -> str:
    """`host` is the host's own file: pods on its network see that, with their aliases below."""
    lines = _host_lines(host) if runs_on_host_network(pod) else _pod_lines(pod, address, cluster_domain)
    aliases = pod["spec"].get("hostAliases") or ()
    if aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += [f"{alias['ip']}\t" + "\t".join(alias.get("hostnames") or ()) for alias in aliases]
    return "\n".join(lines) + "\n"


def _host_lines(host: str) -> list[str]:
    return ["# Kubernetes-managed hosts file (host network).", *host.splitlines()]


def _pod_lines(pod: Obj, address: str, cluster_domain: str) -> list[str]:
    names = [name for name in (full_name_of(pod, cluster_domain), hostname_of(pod)) if name]
    return [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
        f"{address}\t" + "\t".join(names),
    ]


def render_resolv_conf(pod: Obj, *, dns_address: str, cluster_domain: str, host: str) -> str:
    """`host` is the host's own resolv.conf. Source: kubernetes pkg/kubelet/network/dns/dns.go."""
    policy = pod["spec"].get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and runs_on_host_network(pod):
        policy = "Default"
    servers, searches, options = parse_resolv_conf(host)
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet"):
        namespace = pod["metadata"]["namespace"]
        own = [f"{namespace}.svc.{cluster_domain}", f"svc.{cluster_domain}", cluster_domain]
        servers, searches, options = [dns_address], own + searches, ["ndots:5"]
    elif policy == "None":
        servers, searches, options = [], [], []
    extra = pod["spec"].get("dnsConfig") or {}
    servers = unique([*servers, *(extra.get("nameservers") or ())])[:3]
    searches = unique([*searches, *(extra.get("searches") or ())])
    named = {option.partition(":")[0]: option for option in options}
    for option in extra.get("options") or ():
        value = option.get("value")
        named[option["name"]] = option["name"] if value in (None, "") else f"{option['name']}:{value}"
    lines = [f"nameserver {server}" for server in servers]
    if searches:
        lines.append(f"search {' '.join(searches)}")
    if named:
        lines.append(f"options {' '.join(named.values())}")
    return "\n".join(lines) + "\n"


def parse_resolv_conf(text: str) -> tuple[list[str], list[str], list[str]]:
    servers: list[str] = []
    searches: list[str] = []
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#", 1)[0].split()
        if words[:1] == ["nameserver"] and len(words) > 1:
            servers.append(words[1])
        elif words[:1] in (["search"], ["domain"]):
            searches = [word for word in words[1:] if word != "."]
        elif words[:1] == ["options"]:
            options += words[1:]
    return servers, searches, options


def unique(items: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(items))


def read_host_hosts() -> str:
    try:
        return HOST_HOSTS.read_text()
    except OSError:
        return ""


def read_host_resolv_conf() -> str:
    """The host's, or systemd-resolved's own list when the host's points at a loopback that pods don't share."""
    try:
        text = HOST_RESOLV_CONF.read_text()
    except OSError:
        return ""
    servers, _, _ = parse_resolv_conf(text)
    if servers and all(server.startswith("127.") for server in servers) and SYSTEMD_RESOLVED.exists():
        return SYSTEMD_RESOLVED.read_text()
    return text
