"""Profiles: which controller, as whom. The files are Deis's own, so its users are logged in already."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cli.errors import CliError, NotLoggedIn
from cli.system import read_text, write_private

DEFAULT_NAME = "client"


@dataclass
class Profile:
    path: Path
    controller: str = ""
    username: str = ""
    token: str = ""
    ssl_verify: bool = True
    response_limit: int = 0

    def save(self) -> None:
        """Write the file so that only its owner can read it, never half of it."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = {
            "username": self.username,
            "ssl_verify": self.ssl_verify,
            "controller": self.controller,
            "token": self.token,
            "response_limit": self.response_limit,
        }
        scratch = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        write_private(scratch, json.dumps(content))
        os.replace(scratch, self.path)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)


def locate(name: str | None) -> Path:
    """The file of profile `name`; without one, of the environment's, else of the default."""
    name = name or os.environ.get("PAAS_PROFILE") or os.environ.get("DEIS_PROFILE") or DEFAULT_NAME
    if name.endswith(".json") and ("/" in name or os.sep in name):
        return Path(name).expanduser()
    return Path.home() / ".deis" / f"{name.removesuffix('.json')}.json"


def load(name: str | None) -> Profile:
    """The profile called `name`.

    Raises: NotLoggedIn when there is no file; CliError when it can't be understood.
    """
    path = locate(name)
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        raise NotLoggedIn("You are not logged in; log in with `paas login http://CONTROLLER`.") from None
    except (ValueError, OSError) as exc:
        raise CliError(f"The profile {path} can't be read ({exc}); write it anew with `paas login`.") from exc
    if not isinstance(content, dict) or not content.get("controller"):
        raise CliError(f"The profile {path} names no controller; write it anew with `paas login`.")
    return Profile(
        path,
        controller=content["controller"],
        username=content.get("username", ""),
        token=content.get("token", ""),
        ssl_verify=content.get("ssl_verify", True),
        response_limit=int(content.get("response_limit") or 0),
    )
