"""Where builds run: the one protocol between a push and whatever builds it.

`engine_builds.py` builds in containers of a Docker Engine, `jobs/builds.py` in Jobs of a Kubernetes cluster;
tests/builder/test_runtime_contract.py holds both to it. Caps, registry and push credential are the same for every
build and come with the Settings a runtime is made of.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from builder.detect import Way
from builder.progress import Progress
from builder.workspace import Workspace


@dataclass(frozen=True)
class Job:
    """What is built, beside the tree: that lies in the place's workspace."""

    app: str  # whose cache is used, and the image's repository
    commit: str  # names the image's tag
    request_id: str
    time: int  # the commit's, seconds
    way: Way
    config: Mapping[str, str] = field(repr=False)  # the app's variables; secrets
    cnb_builder: str = ""  # the builder image, when the way is CNB


@dataclass(frozen=True)
class Result:
    """An image that is in the registry, and what the controller is told of it."""

    digest: str
    processes: dict[str, str]
    ports: tuple[int, ...]
    way: Way
    app_json: dict[str, Any] | None = None
    stack: str = "container"  # the image's base, or that it brings its own


class Place(Protocol):
    """Room for one build. The tree is unpacked into `space.app`."""

    @property
    def space(self) -> Workspace: ...


class BuildRuntime(Protocol):
    @property
    def credentials(self) -> Mapping[str, str]:
        """What of the operator's settings a build's output must not show, by the name to show instead."""

    @property
    def ready(self) -> bool:
        """Whether the registry holds what images are built on."""

    async def run(self) -> None:
        """Remove what a killed builder left, then keep ready what builds need, for ever."""

    def place(self) -> AbstractAsyncContextManager[Place]:
        """Room for a build; what runs in it ends within 2 s of the context's end, and nothing of it stays.

        Raises: BuildFailed when there is none.
        """

    async def build(self, place: Any, job: Job, progress: Progress) -> Result:
        """Build the tree in `place`, a place of this runtime's, and put the image into the registry.

        Lines of output go to `progress` in the order they came, as they come. Cancelling it cancels the build.
        Raises: BuilderError, of which BuildFailed has the cause in one line.
        """

    async def expect(self, image: str) -> None:
        """A release of `image` is about to be made: a head start for whoever fetches it."""

    async def close(self) -> None:
        """Nothing of any build stays."""
