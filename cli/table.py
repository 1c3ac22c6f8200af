"""The command table: every command is declared once, beside the function that does it.

Parser, help, completions and docs/cli.md are all drawn from these records.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

# The order in which help shows the nouns: daily work first.
NOUNS: dict[str, str] = {
    "auth": "your login",
    "keys": "the SSH keys you push with",
    "apps": "create, look at and destroy apps; logs and one-off commands",
    "git": "the git remote of this folder, and the git host an app is built from",
    "deploy": "build a folder, an archive or a ref without a push",
    "builds": "what was built or pulled, and how",
    "releases": "the numbered history of an app, and going back in it",
    "deploys": "how releases go live, and stopping one on its way",
    "pipelines": "apps as stages: promote what runs in one to the next",
    "explain": "why anything of an app isn't as you wish",
    "ps": "the processes of an app",
    "logs": "the log of an app: how much is kept, where it also goes",
    "cron": "commands on a schedule",
    "runs": "one-off commands that go on without you",
    "config": "environment variables",
    "domains": "the names an app answers under",
    "certs": "TLS certificates",
    "tls": "redirect to https",
    "limits": "memory and CPU of each process type",
    "healthchecks": "when a process counts as alive and ready",
    "hooks": "commands that run as a process starts and before it stops",
    "autoscale": "process counts that follow the load",
    "timeouts": "seconds a process gets to stop",
    "tags": "which nodes an app may run on",
    "labels": "free key=value notes on an app",
    "registry": "credentials of a private image registry",
    "routing": "whether an app gets traffic at all",
    "services": "paths of an app served by another process type",
    "maintenance": "the 503 page, on purpose",
    "whitelist": "addresses that may reach an app",
    "perms": "who may work on an app",
    "access": "roles of people and teams on an app",
    "teams": "people who get roles together",
    "tokens": "limited keys to your account, for machines",
    "twofactor": "a code of an authenticator app at login",
    "invitations": "links that make an account, or give a role",
    "webhooks": "addresses that hear of what happens to an app",
    "notifications": "mail to you about it",
    "audit": "who did what from where",
    "users": "who has an account",
    "doctor": "is the platform well",
    "backup": "the whole platform in a file, and back",
    "gc": "let go of images and files that nobody needs",
    "shortcuts": "short names of common commands",
    "completion": "completion for your shell",
    "api": "any route of the controller, for scripts",
    "version": "versions of client and controller",
}

SHORTCUTS: dict[str, str] = {
    "create": "apps:create",
    "destroy": "apps:destroy",
    "info": "apps:info",
    "logs": "apps:logs",
    "open": "apps:open",
    "run": "apps:run",
    "run:detached": "runs:start",
    "run:list": "runs:list",
    "run:info": "runs:info",
    "run:logs": "runs:logs",
    "run:stop": "runs:stop",
    "exec": "ps:exec",
    "port-forward": "ps:forward",
    "login": "auth:login",
    "logout": "auth:logout",
    "restore": "backup:restore",
    "passwd": "auth:passwd",
    "register": "auth:register",
    "whoami": "auth:whoami",
    "pull": "builds:create",
    "scale": "ps:scale",
    "restart": "ps:restart",
    "rollback": "releases:rollback",
    "releases:cancel": "deploys:cancel",
    "promote": "pipelines:promote",
    "sharing": "perms:list",
    "sharing:list": "perms:list",
    "sharing:add": "perms:create",
    "sharing:remove": "perms:delete",
}


@dataclass(frozen=True)
class Arg:
    """A positional argument; `rest` takes everything after it untouched, options included."""

    name: str
    help: str = ""
    required: bool = True
    many: bool = False
    rest: bool = False
    dest: str = ""  # the handler's parameter, where the name itself can't be one

    @property
    def usage(self) -> str:
        text = f"<{self.name}>" + ("..." if self.many or self.rest else "")
        return text if self.required else f"[{text}]"

    @property
    def key(self) -> str:
        return self.dest or self.name.replace("-", "_")


@dataclass(frozen=True)
class Option:
    """`--name=VALUE`, or a yes/no flag when `value` is empty."""

    name: str
    help: str
    short: str = ""
    value: str = ""
    default: Any = None
    number: bool = False
    dest: str = ""  # the handler's parameter, where the name itself is taken

    @property
    def key(self) -> str:
        return self.dest or self.name.lstrip("-").replace("-", "_")

    @property
    def usage(self) -> str:
        name = f"{self.short}, {self.name}" if self.short else self.name
        return f"{name}={self.value}" if self.value else name


APP = Option("--app", "the app; default: the one this folder's git remote points at", short="-a", value="APP")
LIMIT = Option("--limit", "at most this many rows", short="-l", value="N", number=True)
JSON = Option("--json", "print JSON instead of text")
WAITING = (
    Option("--wait", "return once it is live, which is the default; Ctrl-C cancels it", default=True),
    Option("--no-wait", "return at once; `paas releases:output -f` tells how it goes"),
)
PROFILE = Option("--config", "profile: a name in ~/.deis, or a path", short="-c", value="PROFILE")
HELP = Option("--help", "show this help", short="-h")


@dataclass(frozen=True)
class Command:
    name: str
    summary: str
    example: str
    handler: Callable[..., int | None]
    args: tuple[Arg, ...]
    options: tuple[Option, ...]
    details: str

    @property
    def noun(self) -> str:
        return self.name.partition(":")[0]

    @property
    def verb(self) -> str:
        return self.name.partition(":")[2]

    @property
    def all_options(self) -> tuple[Option, ...]:
        return (*self.options, PROFILE, HELP)

    @property
    def usage(self) -> str:
        return " ".join(["paas", self.name, *(arg.usage for arg in self.args), "[options]"])


COMMANDS: dict[str, Command] = {}
BARE: dict[str, str] = {}  # noun -> the command that the noun alone means


def command(
    name: str,
    summary: str,
    example: str,
    *,
    args: tuple[Arg, ...] = (),
    options: tuple[Option, ...] = (),
    details: str = "",
    bare: bool = False,
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Put the decorated function into the table; `bare` makes the noun alone mean it."""

    def register(handler: Callable[..., int | None]) -> Callable[..., int | None]:
        COMMANDS[name] = Command(name, summary, example, handler, args, options, details)
        if bare:
            BARE[name.partition(":")[0]] = name
        return handler

    return register


def load(noun: str) -> bool:
    """Import the module of `noun`; False when there is no such noun."""
    if noun not in NOUNS:
        return False
    import_module(f"cli.commands.{noun}")
    return True


def commands_of(noun: str) -> Iterator[Command]:
    load(noun)
    return (entry for entry in COMMANDS.values() if entry.noun == noun)


def every_command() -> Iterator[Command]:
    for noun in NOUNS:
        yield from commands_of(noun)


def find(name: str) -> Command | None:
    """The command called `name`: `noun:verb`, a bare noun or a shortcut."""
    full = SHORTCUTS.get(name, name)
    if not load(full.partition(":")[0]):
        return None
    return COMMANDS.get(BARE.get(full, full))


def nearest(name: str) -> list[str]:
    """Up to three names that look like `name`, best first; of a known topic, those whose verb looks like its verb."""
    from difflib import get_close_matches

    names = [entry.name for entry in every_command()]
    topic, colon, verb = name.replace(" ", ":").partition(":")
    if colon and topic in NOUNS:
        verbs = [known.removeprefix(f"{topic}:") for known in names if known.startswith(f"{topic}:")]
        return [f"{topic}:{close}" for close in get_close_matches(verb, verbs, n=3, cutoff=0.6)]
    return get_close_matches(name, [*names, *SHORTCUTS, *NOUNS], n=3, cutoff=0.6)
