"""One request, apart from how it travelled: who asks for which verb on which object, and with which options."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Key

FieldValidation = Literal["Ignore", "Warn", "Strict"]


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict, hash=False)

    @property
    def node_name(self) -> str:
        """The node this user is the agent of, "" for everyone else."""
        prefix = "system:node:"
        return self.name[len(prefix) :] if self.name.startswith(prefix) and "system:nodes" in self.groups else ""


LOOPBACK = User("system:apiserver", ("system:masters", "system:authenticated"))
ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


@dataclass(slots=True)
class Call:
    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    user: User = LOOPBACK
    dry_run: bool = False
    field_manager: str = "unknown"
    field_validation: FieldValidation = "Ignore"
    force: bool = False
    view: Resource | None = None
    """The version the client speaks, where objects are stored in another one (which is then `resource`)."""
    tracked_subresource: str = ""
    """Under which subresource managedFields books the write, where that is not `subresource`."""
    warnings: list[str] = field(default_factory=list)
    internal: bool = False
    """The server's own doing, or part of a write that was reviewed already: no webhook is asked about it."""

    @property
    def key(self) -> Key:
        return Key(self.namespace, self.name)
