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
    quick_flush,
    sign_in,
)
from tests.controller.receivers import ear, hook, pods  # noqa: F401
