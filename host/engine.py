"""Which Docker Engine an instance uses: the machine's own when it answers, else one of ours, supervised."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from host import say
from host.health import is_ready
from host.programs import own_docker_host
from host.settings import Platform

MACHINE_SOCKET = "/var/run/docker.sock"
CALL_DEADLINE = 60  # seconds for one call to the engine
CHAINS = re.compile(r"\bDOCKER|\bdocker0\b")


def choose(platform: Platform) -> str:
    """DOCKER_HOST for this instance; the machine's engine is used as it is, never configured or restarted."""
    if platform.docker_host == own_docker_host(platform):
        return platform.docker_host
    if is_ready(f"unix:{MACHINE_SOCKET}"):
        other = impostor(f"unix://{MACHINE_SOCKET}")
        if not other:
            return f"unix://{MACHINE_SOCKET}"
        say.detail(f"{MACHINE_SOCKET} is {other}'s, not Docker's: the platform starts an engine of its own")
    return own_docker_host(platform)


def impostor(docker_host: str) -> str:
    """The name of what answers in Docker's place, as Podman's socket does; empty when it is Docker, or busy."""
    import docker

    client = docker.DockerClient(base_url=docker_host, timeout=CALL_DEADLINE)
    try:
        parts = client.version().get("Components") or ()
    except (docker.errors.DockerException, OSError):
        return ""
    finally:
        client.close()
    names = [part.get("Name", "") for part in parts]
    return next((name for name in names if name.startswith("Podman")), "")


def can_exec(platform: Platform, image: str) -> bool:
    """Whether commands can be run in running containers: not when the engine itself runs inside a chroot."""
    import docker

    client = docker.DockerClient(base_url=platform.docker_host, timeout=CALL_DEADLINE)
    labels = {"paas.io/instance": platform.instance}
    try:
        container = client.containers.run(
            image, ["sleep", "60"], detach=True, network_mode="none", working_dir="/app", labels=labels
        )
        try:
            code, output = container.exec_run(["echo", "works"])
            return bool(code == 0 and output.strip() == b"works")
        finally:
            container.remove(force=True)
    except docker.errors.APIError:
        return False
    finally:
        client.close()


def remove_images(platform: Platform) -> None:
    """The images this instance's registry served, from an engine that is not ours to throw away whole."""
    import docker

    client = docker.DockerClient(base_url=platform.docker_host, timeout=CALL_DEADLINE)
    try:
        for image in client.images.list(all=False):
            names = [*image.attrs.get("RepoDigests", ()), *image.tags]
            if are_of(platform, names):
                client.images.remove(image.id, force=True)
    except docker.errors.APIError as exc:
        say.warn(f"Some images stay on the engine: {exc.explanation}")
    finally:
        client.close()


def are_of(platform: Platform, names: list[str]) -> bool:
    """Whether all names of an image are our registry's: as nodes here call it, and as those elsewhere do."""
    ours = (f"{platform.registry_listen}/", f"{platform.registry_host}/")
    return bool(names) and all(name.startswith(ours) for name in names)


def remember_network(platform: Platform) -> None:
    """Note the forwarding policy from before our engine's first start, so that `destroy` can give it back."""
    note = platform.home / "network-before.json"
    if note.exists():
        return
    policy = _output(["iptables", "-S", "FORWARD"]).splitlines()[:1]
    forward = Path("/proc/sys/net/ipv4/ip_forward").read_text().strip()
    note.write_text(json.dumps({"forward_policy": policy, "ip_forward": forward}))


def restore_network(platform: Platform) -> None:
    """Remove what our engine left in the packet filter and on the links, once it has stopped."""
    for table in ("filter", "nat", "raw", "mangle"):
        for command in ("iptables", "ip6tables"):
            saved = _output([f"{command}-save", "-t", table])
            if not CHAINS.search(saved):
                continue
            kept = "\n".join(line for line in saved.splitlines() if not CHAINS.search(line)) + "\n"
            subprocess.run([f"{command}-restore", "-T", table], input=kept, text=True, timeout=10, check=False)
    subprocess.run(["ip", "link", "delete", "docker0"], capture_output=True, timeout=10, check=False)
    note = platform.home / "network-before.json"
    if note.exists():
        before = json.loads(note.read_text())
        if before["forward_policy"] == ["-P FORWARD ACCEPT"]:
            subprocess.run(["iptables", "-P", "FORWARD", "ACCEPT"], timeout=10, check=False)
        Path("/proc/sys/net/ipv4/ip_forward").write_text(before["ip_forward"] + "\n")


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
