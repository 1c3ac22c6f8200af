"""What the agent needs of a node's container engine: the Protocol, and the plain records that cross it.

`docker.DockerRuntime` runs containers on a Docker Engine, `memory.MemoryRuntime` pretends to. Both pass
`tests/orchestrator/kubelet/test_runtime_contract.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from orchestrator.errors import OrchestratorError


class RuntimeFailure(OrchestratorError):
    """The engine refused or failed; the message is what it said."""


class RuntimeUnavailable(RuntimeFailure):
    """The engine doesn't answer; try again later."""


class ImageMissing(RuntimeFailure):
    """The image isn't on this node."""


class PullFailed(RuntimeFailure):
    """The image could not be fetched."""


class ContainerGone(RuntimeFailure):
    """The container doesn't exist (any more)."""


class CommandNotStarted(RuntimeFailure):
    """The engine couldn't make a process of a command: it isn't in the image, or is no program."""


class PodRef(NamedTuple):
    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Mount:
    source: str
    target: str
    read_only: bool = False
    propagation: str = ""  # "", "rprivate", "rslave" or "rshared"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What the containers of one pod share: a network, an address. `id` is empty for a pod on the host's network."""

    id: str
    address: str
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits as the kernel takes them; 0 means none."""

    cpu_shares: int = 2
    cpu_quota: int = 0  # microseconds of each 100 ms
    memory: int = 0  # bytes
    pids: int = 0


@dataclass(frozen=True, slots=True)
class Security:
    user: str = ""
    groups: tuple[str, ...] = ()
    privileged: bool = False
    read_only_root: bool = False
    no_new_privileges: bool = False
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    seccomp: str = ""  # "" is the engine's default; "unconfined"; a profile as JSON
    proc_unmasked: bool = False
    oom_score_adj: int = 0


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    pod: PodRef
    name: str
    attempt: int
    sandbox: Sandbox
    image: str  # an identity the engine has, never pulled here
    image_name: str = ""  # what the pod asked for
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    working_dir: str = ""
    mounts: tuple[Mount, ...] = ()
    resources: Resources = Resources()
    security: Security = Security()
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    stop_signal: str = ""
    share_processes: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    process_target: str = ""  # id of a container whose processes it sees
    hostname: str = ""
    one_off: bool = False  # the pod isn't restarted when it ends; only a simulation makes a difference of it


@dataclass(frozen=True, slots=True)
class ContainerStatus:
    """One attempt of one container, as the engine has it. Times are seconds since the epoch, 0 when not yet."""

    id: str
    pod: PodRef
    name: str
    attempt: int
    state: Literal["created", "running", "exited"]
    sandbox_id: str = ""
    image: str = ""
    image_id: str = ""
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    created_at: float = 0
    started_at: float = 0
    finished_at: float = 0
    pid: int = 0
    stop_signal: str = "SIGTERM"


@dataclass(frozen=True, slots=True)
class Image:
    id: str
    names: tuple[str, ...] = ()  # tags and digests
    size: int = 0  # bytes
    user: str = ""
    stop_signal: str = ""
    created_at: float = 0  # seconds since 1970; 0 where it wasn't asked for


@dataclass(frozen=True, slots=True)
class RuntimeEvent:
    """A container changed (`container_id`), or everything may have ("" after a reconnection: list again)."""

    kind: Literal["changed", "relist"]
    container_id: str = ""
    pod_uid: str = ""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What the engine says of its machine."""

    cpus: int
    memory: int  # bytes
    disk: int  # bytes of the file system that holds images and containers
    runtime_version: str  # docker://20.10.24
    storage: str = ""  # folder of images and containers
    kernel: str = ""
    operating_system: str = ""
    architecture: str = "amd64"
    machine_id: str = ""
    system_uuid: str = ""
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one container since it started; `None` of a container that isn't running."""

    cpu_nanoseconds: int
    memory_working_set: int
    memory_usage: int


@dataclass(frozen=True, slots=True)
class LogOptions:
    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: float | None = None  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class ExecRequest:
    command: tuple[str, ...]
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    tty: bool = False


class ProcessStream(Protocol):
    """The streams of a process: of an exec, or of a container attached to."""

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(1 stdout or 2 stderr, bytes) until the process has no more to say."""

    async def write(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    async def exit_code(self) -> int:
        """After `output` ended: of an exec its own, of an attached container that one's (0 while it runs)."""

    async def close(self) -> None: ...


class ProbeOutcome(NamedTuple):
    ok: bool | None  # None: the check couldn't be made, which says nothing of the container
    message: str = ""


class Runtime(Protocol):
    name: str  # the scheme of container ids in a pod's status: docker, memory

    async def start(self) -> None:
        """Ready for the other calls. Raises: RuntimeFailure."""

    async def close(self) -> None: ...

    async def facts(self) -> NodeFacts: ...

    async def claim_sandbox(
        self, pod: PodRef, *, host_network: bool = False, sysctls: Sequence[tuple[str, str]] = ()
    ) -> Sandbox:
        """A sandbox for this pod, with these kernel settings: the one it has when it lives, else a new one."""

    async def sandbox_lives(self, sandbox: Sandbox) -> bool: ...

    async def release_sandbox(self, pod: PodRef) -> None:
        """Removes the pod's sandbox; none is fine."""

    async def claimed_sandboxes(self) -> dict[str, Sandbox]:
        """By pod uid."""

    async def containers(self) -> list[ContainerStatus]:
        """All of this instance's, but sandboxes."""

    async def inspect(self, container_id: str) -> ContainerStatus:
        """Raises: ContainerGone."""

    async def create_container(self, spec: ContainerSpec) -> str:
        """Its id; the same one again when this attempt was created before. Raises: RuntimeFailure, ImageMissing."""

    async def start_container(self, container_id: str, *, hostname: str = "") -> None:
        """Raises: RuntimeFailure, when the engine couldn't run its command."""

    async def signal_container(self, container_id: str, signal: str) -> None:
        """A container that isn't running is fine."""

    async def remove_container(self, container_id: str) -> None:
        """A container that isn't there is fine."""

    async def image(self, reference: str) -> Image:
        """Raises: ImageMissing."""

    async def pull(self, reference: str, credentials: Mapping[str, str] | None = None) -> Image:
        """Raises: PullFailed."""

    async def images(self) -> list[Image]: ...

    async def remove_image(self, image_id: str) -> None:
        """Raises: RuntimeFailure, when something uses it."""

    def events(self) -> AsyncIterator[RuntimeEvent]:
        """Endless; a lost connection is made again by itself and ends in a `relist`."""

    def logs(self, container_id: str, options: LogOptions) -> AsyncIterator[tuple[int, bytes]]:
        """(1 stdout or 2 stderr, bytes of whole or partial lines)."""

    async def execute(self, container_id: str, command: tuple[str, ...], deadline: float) -> tuple[int, bytes]:
        """Exit code and output of a command that is killed after `deadline` seconds.

        Raises: TimeoutError, CommandNotStarted.
        """

    async def open_exec(self, container_id: str, request: ExecRequest) -> ProcessStream: ...

    async def attach(self, container_id: str, request: ExecRequest) -> ProcessStream: ...

    async def probe(self, action: Mapping[str, Any], address: str, deadline: float) -> ProbeOutcome:
        """One httpGet, tcpSocket or grpc check of a pod; exec checks go through `execute`."""

    async def dial(self, sandbox: Sandbox, port: int) -> tuple[Any, Any]:
        """(StreamReader, StreamWriter) to a port inside the pod, its loopback included."""

    async def usage(self, container: ContainerStatus) -> Usage | None: ...

    async def storage_use(self, container_id: str) -> int:
        """Bytes of disk: what the container wrote outside of volumes, and its logs; 0 of one that is gone."""
