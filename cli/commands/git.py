"""The git remote of this folder."""

from __future__ import annotations

from cli import git, output
from cli.commands.apps import remote_url
from cli.errors import CliError, Conflict
from cli.session import Session
from cli.table import APP, Option, command


@command(
    "git:remote",
    "Make the git remote that pushes to an app",
    "paas git:remote -a hello",
    options=(
        Option("--remote", "its name", short="-r", value="NAME", default=git.DEFAULT_REMOTE),
        Option("--force", "replace a remote of that name", short="-f"),
        APP,
    ),
)
def remote(session: Session, remote: str, force: bool | None) -> None:
    if not git.is_repository():
        raise CliError("This folder is no git repository; `git init` makes it one.")
    url = remote_url(session, session.app)
    existing = next((r for r in git.push_remotes() if r.name == remote), None)
    if existing is None:
        git.add_remote(remote, url)
    elif existing.url == url:
        output.line(f"Remote {remote} already exists and is correctly configured for app {session.app}.")
        return
    elif force:
        git.set_remote(remote, url)
    else:
        raise Conflict(f"Remote {remote} already exists and points at {existing.url}, not {url}; --force replaces it.")
    output.line(f"Git remote {remote} successfully created for app {session.app}.")


@command("git:remove", "Remove the git remotes of an app from this folder", "paas git:remove -a hello", options=(APP,))
def remove(session: Session) -> None:
    remotes = git.remotes_of_app(session.app, session.api.url)
    if not remotes:
        raise CliError(f"No git remote here pushes to {session.app}; `git remote -v` lists them.")
    for entry in remotes:
        git.remove_remote(entry.name)
    output.line(f"Git remotes for app {session.app} removed.")
