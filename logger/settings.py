"""What the environment says, read once at start: the only module here that looks at it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from logger.errors import BadSetting
from logger.places import Address, Door, place_of

MIB = 1024 * 1024


@dataclass(frozen=True)
class Settings:
    data: Path
    listen: Path | Address
    """Where readers ask: a unix socket, `<listen>.intake` takes datagrams; or an address, for both."""
    kubeconfig: str
    """Empty: the service account mounted into the pod."""
    controller_url: str
    builder_key_file: str
    """The key that opens the controller's hooks."""
    router_log: Path | None
    """The router's access.log, on the router's host."""
    days: int
    """How long lines are kept, unless the app says less."""
    bytes: int
    """How much of an app is kept on disk, unless the app says less."""
    rate: int
    """Lines a second of one app; more are dropped and counted."""

    @property
    def intake(self) -> Path | Address:
        if isinstance(self.listen, Address):
            return self.listen
        return self.listen.with_name(self.listen.name + ".intake")

    def door(self) -> Door:
        """Raises: BadSetting when the key that a network needs can't be read."""
        if not isinstance(self.listen, Address):
            return Door()
        try:
            key = Path(self.builder_key_file).read_text().strip()
        except OSError as exc:
            raise BadSetting(f"BUILDER_KEY_FILE={self.builder_key_file!r} can't be read: {exc.strerror}") from exc
        if not key:
            raise BadSetting(f"BUILDER_KEY_FILE={self.builder_key_file!r} is empty: write a random line there")
        return Door(key)


def load_from_environment() -> Settings:
    return load(os.environ)


def load(environ: Mapping[str, str]) -> Settings:
    """Raises: BadSetting naming the variable."""
    for name in ("LOGGER_DATA", "LOGGER_LISTEN", "CONTROLLER_URL", "BUILDER_KEY_FILE"):
        if not environ.get(name):
            raise BadSetting(f"{name} is not set; docs/architecture.md lists what the log store needs")
    router_log = environ.get("ROUTER_ACCESS_LOG", "")
    return Settings(
        data=Path(environ["LOGGER_DATA"]),
        listen=place_of(environ["LOGGER_LISTEN"]),
        kubeconfig=environ.get("KUBECONFIG", ""),
        controller_url=environ["CONTROLLER_URL"],
        builder_key_file=environ["BUILDER_KEY_FILE"],
        router_log=Path(router_log) if router_log else None,
        days=_number(environ, "LOGGER_DAYS", 7),
        bytes=_number(environ, "LOGGER_MEGABYTES", 100) * MIB,
        rate=_number(environ, "LOGGER_LINES_PER_SECOND", 10_000),
    )


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise BadSetting(f"{name}={text!r} is not usable: expected a number of at least 1")
    return int(text)
