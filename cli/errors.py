"""What can go wrong, each with the exit code a script may rely on."""

from __future__ import annotations

# Printed by `paas help exit-codes` and docs/cli.md; a number never changes its meaning.
EXIT_CODES = {
    0: "done",
    1: "failed: the controller or the app says why on standard error",
    2: "wrong usage: an unknown command, option or argument",
    3: "not logged in, or the login is no longer valid",
    4: "not found: no such app, release, domain, key or user",
    5: "not allowed: another user must do this, or grant it",
    6: "conflict: the thing exists, nothing would change, or a deploy is under way",
    7: "the controller can't be reached",
    8: "out of time: what was waited for did not happen within its deadline",
    130: "interrupted with Ctrl-C",
}


class CliError(Exception):
    """One sentence for the reader, with the next command in it where there is one."""

    exit_code = 1


class UsageError(CliError):
    exit_code = 2


class NotLoggedIn(CliError):
    exit_code = 3


class NotFound(CliError):
    exit_code = 4


class UnknownRoute(NotFound):
    """The controller has no such route: it is older than this client, or a Deis one."""


class NotAllowed(CliError):
    exit_code = 5


class Conflict(CliError):
    exit_code = 6


class Unreachable(CliError):
    exit_code = 7


class NotUpgraded(CliError):
    """The controller has no such WebSocket, or can't hand connections over."""


class OutOfTime(CliError):
    exit_code = 8
