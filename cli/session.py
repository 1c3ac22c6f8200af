"""One run of a command: who the user is, which controller and app, text or JSON."""

from __future__ import annotations

import os
from functools import cached_property
from typing import Any

from cli import output
from cli import profile as profiles
from cli.client import DEPLOY, Client, path
from cli.errors import CliError, NotFound, UsageError

NEWEST = 20  # releases looked through for the current one
APP_NAME = r"[a-z]([a-z0-9-]*[a-z0-9])?"


class Session:
    def __init__(self, values: dict[str, Any]) -> None:
        self.profile_name: str | None = values.get("config")
        self.json: bool = bool(values.get("json"))
        self.waits: bool = values.get("wait") is not False and not values.get("no_wait")
        self.left_to_itself = False  # whether something was begun that nobody waits for
        self._app: str | None = values.get("app")

    @cached_property
    def profile(self) -> profiles.Profile:
        if os.environ.get("PAAS_TOKEN") and os.environ.get("PAAS_CONTROLLER"):
            return profiles.Profile(profiles.locate(self.profile_name), os.environ["PAAS_CONTROLLER"])
        return profiles.load(self.profile_name)

    @cached_property
    def api(self) -> Client:
        token = os.environ.get("PAAS_TOKEN") or self.profile.token
        return Client(self.profile.controller, token, self.profile.ssl_verify, self.profile.username)

    @cached_property
    def app(self) -> str:
        """The app's name, checked: it becomes part of paths and of git URLs."""
        import re

        from cli import git

        name = self._app or git.app_of_folder(self.api.url, lambda: self.git_ssh_url)
        if not re.fullmatch(APP_NAME, name) or len(name) > 63:
            hint = "name the app with -a APP" if not self._app else "`paas apps` lists yours"
            raise UsageError(f"'{name}' can't be an app's name; {hint}.")
        return name

    @property
    def app_was_named(self) -> bool:
        return self._app is not None

    @cached_property
    def info(self) -> dict[str, Any]:
        """What the platform tells of itself; empty when the controller is a Deis one."""
        try:
            data = self.api.get("/v2/info")
        except NotFound:
            return {}
        return data if isinstance(data, dict) else {}

    @property
    def git_ssh_url(self) -> str:
        """Where the platform takes pushes, as it says itself; empty when it doesn't."""
        return str(self.info.get("git_ssh_url") or "")

    def app_path(self, *segments: str) -> str:
        return path("apps", self.app, *segments)

    def deploy(self, where: str, body: Any = None) -> Any:
        """The answer to a POST that brings something live; Ctrl-C while it waits cancels that."""
        query = {} if self.waits else {"wait": "false"}
        try:
            data = self.api.request("POST", where, body, query=query, timeout=DEPLOY).data
        except KeyboardInterrupt:
            self._cancel()
            raise
        except CliError as exc:
            exc.args = (f"{exc}{self._what_stays(str(exc))}",)
            raise
        self.left_to_itself = not self.waits
        return data

    def _what_stays(self, reason: str) -> str:
        """What a refused change left behind: a release that keeps its number, when it failed for that reason."""
        try:
            releases, _ = self.page(self.app_path("releases", ""), NEWEST)
        except CliError:
            return ""
        newest = releases[0] if releases else {}
        why = (newest.get("exception") or "").removeprefix("error: ").strip()
        if not newest.get("failed") or not why or not reason.startswith(why):
            return ""
        good = next((release["version"] for release in releases if not release.get("failed")), None)
        end = "\n" if "\n" in reason else " "
        kept = f"v{newest['version']} stays in the list as failed"
        return f"{end}{kept}; v{good} is current." if good else f"{end}{kept}."

    def _cancel(self) -> None:
        """Stops what is under way; a second Ctrl-C leaves it to itself."""
        output.note("\nCancelling; Ctrl-C again lets it go on by itself.")
        try:
            answer = self.api.post(self.app_path("deploy", "cancel", ""), timeout=DEPLOY)
        except CliError as exc:
            output.note(str(exc))
            return
        back = f"v{answer['back_to']} goes on" if answer.get("back_to") else "nothing runs"
        output.note(f"v{answer['release']} is cancelled; {back}.")

    def page(self, where: str, limit: int | None, **query: Any) -> tuple[list[Any], int]:
        """The rows of a listing, and how many there are in all."""
        data = self.api.get(where, limit=limit or self.profile.response_limit or 100, **query)
        if not isinstance(data, dict) or not isinstance(data.get("results"), list):
            raise CliError(f"{self.api.controller} answered with something else than a list; is it a controller?")
        return data["results"], int(data.get("count") or len(data["results"]))

    def shown_as_json(self, data: Any) -> bool:
        """True when the user wants JSON, which is then printed."""
        if self.json:
            output.as_json(data)
        return self.json
