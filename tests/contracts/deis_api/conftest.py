"""The fixtures of the controller's tests, for the wire contract; with SCRATCH_HOME those of a live scratch platform."""

import os

import pytest

from tests.controller.harness import (  # noqa: F401
    admin,
    anonymous,
    blue,
    bob,
    builder,
    cluster,
    database,
    live,
    push,
    quick_flush,
    sign_in,
)


@pytest.fixture
def in_process():
    """Asked for by tests that look into the controller's process."""


@pytest.fixture
def wire_port(live_server):
    """Where the controller listens, for tests that write requests byte for byte."""
    return int(live_server.url.rpartition(":")[2])


if os.environ.get("SCRATCH_HOME"):
    from tests.contracts.deis_api.scratch_platform import (  # noqa: F401
        anonymous,
        builder,
        cluster,
        database,
        port,
        quick_flush,
        sign_in,
        wire_port,
    )
