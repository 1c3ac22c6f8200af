"""What this instance of the platform is: its folder, ports, names and address ranges.

Decided once, at the first `make up`, from the environment (`PAAS_HTTP_PORT=80 make up`), and kept in
`$PAAS_HOME/platform.json`; later runs read it back, so that URLs and remotes stay true.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import socket
import subprocess
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from host.errors import HostError

DEFAULT_HOME = "/var/lib/paas"
CHECKOUT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Platform:
    """One instance; every port is TCP."""

    home: Path
    domain: str = "paas.localhost"
    http_port: int = 8080
    https_port: int = 8443
    ssh_port: int = 2222
    controller_port: int = 8000
    registry_port: int = 5000
    api_port: int = 6443
    agent_port: int = 10250
    builder_http_port: int = 8010
    router_metrics_port: int = 8011
    public_address: str = "localhost"  # localhost: loopback only; "*": every address of the machine
    pod_cidr: str = "10.244.0.0/16"
    service_cidr: str = "10.96.0.0/16"
    docker_host: str = ""  # empty until the engine was found or made
    engine_can_exec: bool | None = None  # found out once; inside a chroot it can't
    kubeconfig: str = ""  # path: apps run on that cluster; empty: on the platform's own orchestrator
    build_memory: int = 1 << 30  # bytes
    build_cpus: float = 2.0
    build_timeout: int = 900  # seconds

    @property
    def instance(self) -> str:
        """Short, stable and unlike other instances': a label value and a part of link and chain names."""
        return (
            "paas" if str(self.home) == DEFAULT_HOME else "p" + hashlib.sha256(str(self.home).encode()).hexdigest()[:6]
        )

    @property
    def url(self) -> str:
        return f"http://{self.domain}{_suffix(self.http_port, 80)}"

    @property
    def app_url_template(self) -> str:
        return f"http://{{app}}.{self.domain}{_suffix(self.http_port, 80)}"

    @property
    def git_ssh_url(self) -> str:
        return f"ssh://git@{self.domain}{_suffix(self.ssh_port, 22)}"

    @property
    def registry_listen(self) -> str:
        return f"127.0.0.1:{self.registry_port}"

    @property
    def registry_host(self) -> str:
        """The registry as it stands in images' names: nodes elsewhere pull through the router."""
        if self.kubeconfig:
            return f"registry.{self.domain}{_suffix(self.http_port, 80)}"
        return self.registry_listen

    @property
    def node_name(self) -> str:
        return socket.gethostname().split(".")[0].lower() or "node"

    def listen(self, port: int) -> str:
        """The addresses a public port listens on, comma-separated, IPv4 first."""
        return f"127.0.0.1:{port},[::1]:{port}" if self.public_address == "localhost" else f"0.0.0.0:{port},[::]:{port}"

    def save(self) -> None:
        values = {key: value for key, value in asdict(self).items() if key != "home"}
        path = self.home / "platform.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(values, indent=2) + "\n")
        os.replace(partial, path)


PORTS = tuple(field.name for field in fields(Platform) if field.name.endswith("_port"))
CHOICES = {
    "domain": "PAAS_DOMAIN",
    "public_address": "PAAS_LISTEN",
    "pod_cidr": "PAAS_POD_CIDR",
    "service_cidr": "PAAS_SERVICE_CIDR",
    "kubeconfig": "PAAS_KUBECONFIG",
    **{name: f"PAAS_{name.upper()}" for name in PORTS},
}


LONGEST_HOME = 64  # bytes: the engine's sockets lie 43 deeper, and a socket's name may have 107


def refuse_long_home(home: Path) -> None:
    """Raises: HostError."""
    if len(os.fsencode(home)) > LONGEST_HOME:
        raise HostError(
            f"PAAS_HOME={home} is too long a name, {len(os.fsencode(home))} bytes: sockets are made below it, and the "
            f"system allows no more than {LONGEST_HOME} here. Choose a shorter one."
        )


def home_from_environment() -> Path:
    return Path(os.environ.get("PAAS_HOME") or DEFAULT_HOME).absolute()


def load(home: Path) -> Platform | None:
    """The instance that lives in `home`; None when there is none."""
    try:
        values = json.loads((home / "platform.json").read_text())
    except FileNotFoundError:
        return None
    except ValueError as exc:
        raise HostError(f"{home}/platform.json is damaged ({exc}); restore it from a backup.") from exc
    known = {field.name for field in fields(Platform)}
    return Platform(home=home, **{key: value for key, value in values.items() if key in known})


def create(home: Path, environment: dict[str, str]) -> Platform:
    """A new instance: the environment's choices, and the next free port where a default one is taken."""
    chosen: dict[str, object] = {}
    for name, variable in CHOICES.items():
        if value := environment.get(variable):
            chosen[name] = _port(variable, value) if name in PORTS else value
            if name == "kubeconfig":
                chosen[name] = kubeconfig(variable, value)
    taken: set[int] = set()
    for name in PORTS:
        if name in chosen:
            if not is_free(int(str(chosen[name]))):
                raise HostError(f"{CHOICES[name]}={chosen[name]}: that port is taken on this machine; choose another.")
            continue
        chosen[name] = next_free_port(int(getattr(Platform, name)), taken)
        taken.add(int(str(chosen[name])))
    return Platform(home=home, **chosen)  # type: ignore[arg-type]


def next_free_port(start: int, taken: set[int]) -> int:
    for port in range(start, start + 200):
        if port not in taken and is_free(port):
            return port
    raise HostError(f"No free TCP port between {start} and {start + 199}; free one or name it by environment variable.")


def is_free(port: int) -> bool:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((address, port))
        except OSError as exc:
            if exc.errno != 99 and exc.errno != 97:  # no such address or family here: nothing can be listening on it
                return False
    return True


def listener(port: int) -> str:
    """The program that listens on a port, in words."""
    command = ["ss", "-Hltnp", f"sport = :{port}"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    program = re.search(r'users:\(\("([^"]+)",pid=(\d+)', found)
    return f"{program[1]} (process {program[2]})" if program else "another program"


def _port(variable: str, value: str) -> int:
    if not value.isdigit() or not 1 <= int(value) <= 65535:
        raise HostError(f"{variable}={value}: a TCP port is a number from 1 to 65535.")
    return int(value)


def kubeconfig(variable: str, value: str) -> str:
    """The path that `variable` names, absolute. Raises: HostError."""
    path = Path(value).absolute()
    if not path.is_file():
        raise HostError(
            f"{variable}={value}: there is no such file; name the kubeconfig of the cluster to run apps on."
        )
    return str(path)


def _suffix(port: int, default: int) -> str:
    return "" if port == default else f":{port}"
