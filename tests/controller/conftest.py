"""The fixtures of the controller's tests."""

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
    sign_in,
)
