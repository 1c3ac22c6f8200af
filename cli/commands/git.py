"""The git remote of this folder, and the git host an app is built from."""

from __future__ import annotations

import shlex
import shutil
import sys

from cli import git, output
from cli.commands.apps import remote_url
from cli.commands.builds import print_output
from cli.errors import CliError, Conflict
from cli.session import Session
from cli.table import APP, JSON, Arg, Option, command


@command(
    "git:remote",
    "Make the git remote that pushes to an app",
    "paas git:remote -a hello",
    options=(
        Option("--remote", "its name", short="-r", value="NAME", default=git.DEFAULT_REMOTE),
        Option("--force", "replace a remote of that name", short="-f"),
        Option("--http", "push over HTTP with your login's token instead of over SSH with a key"),
        APP,
    ),
    details="With --http, git asks `paas` for the token each time (`git:credential`): it is not written into the "
    "folder. Elsewhere, push to ADDRESS/APP.git with any user name and an API token as the password.",
)
def remote(session: Session, remote: str, force: bool | None, http: bool | None) -> None:
    if not git.is_repository():
        raise CliError("This folder is no git repository; `git init` makes it one.")
    if http:
        url = f"{session.api.controller}/{session.app}.git"
        use_own_login(session)
    else:
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
    remotes = git.remotes_of_app(session.app, session.api.url, session.git_ssh_url)
    if not remotes:
        raise CliError(f"No git remote here pushes to {session.app}; `git remote -v` lists them.")
    for entry in remotes:
        git.remove_remote(entry.name)
    output.line(f"Git remotes for app {session.app} removed.")


def use_own_login(session: Session) -> None:
    """git asks us for the login of this platform, in this folder."""
    profile = f" --config={shlex.quote(session.profile_name)}" if session.profile_name else ""
    git.set_local(f"credential.{session.api.controller}.helper", f"!{own_command()} git:credential{profile}")


def own_command() -> str:
    """How a shell calls this program."""
    program = shutil.which("paas")
    return shlex.quote(program) if program else f"{shlex.quote(sys.executable)} -m cli"


@command(
    "git:credential",
    "Answer git when it asks for the login of this platform",
    "paas git:credential get",
    args=(Arg("action", "get, store or erase, as git says it"),),
    details="A git credential helper: `paas git:remote --http` sets it up for a folder.",
)
def credential(session: Session, action: str) -> None:
    asked = dict(line.rstrip("\n").partition("=")[::2] for line in sys.stdin)
    if action != "get":
        return
    parts = session.api.url
    if asked.get("protocol") == parts.scheme and asked.get("host") == parts.netloc:
        output.line(f"username={session.profile.username or 'paas'}")
        output.line(f"password={session.profile.token}")


@command(
    "git:connect",
    "Build an app from a repository on GitHub, GitLab, Gitea or any git host",
    "paas git:connect git@github.com:team/hello.git --branch=main -a hello",
    args=(Arg("url", "ssh://… or git@host:path for private repositories, https://… for public ones"),),
    options=(
        Option("--branch", "the branch whose pushes are built", short="-b", value="NAME", default="main"),
        APP,
        JSON,
    ),
    details="Prints a deploy key to give to the host, and a webhook with its secret: each push to the branch is built. "
    "Connecting again makes new ones.",
)
def connect(session: Session, url: str, branch: str) -> None:
    made = session.api.post(session.app_path("git", ""), {"url": url, "branch": branch})
    if session.shown_as_json(made):
        return
    show_source(session, made)
    output.line()
    output.line("Next, at the git host:")
    output.line("  1. a private repository: add the deploy key above, with read access")
    output.line("  2. add a webhook for pushes: the address above, content type application/json, and this secret,")
    output.line("     which is not shown again:")
    output.line(f"     {made['secret']}")
    output.line(f"Then push there, or build now: paas git:deploy -a {session.app}")


def show_source(session: Session, source: dict[str, str]) -> None:
    output.heading(f"{session.app} Git Host")
    names = {"url": "repository", "branch": "branch", "owner": "connected by", "webhook": "webhook"}
    output.pairs([(shown, source[name]) for name, shown in names.items()] + [("deploy key", source["public_key"])])


@command("git:info", "Show the git host an app is built from", "paas git:info", options=(APP, JSON))
def info(session: Session) -> None:
    source = session.api.get(session.app_path("git", ""))
    if not session.shown_as_json(source):
        show_source(session, source)


@command("git:disconnect", "Build no longer from the git host", "paas git:disconnect -a hello", options=(APP,))
def disconnect(session: Session) -> None:
    session.api.delete(session.app_path("git", ""))
    output.line(f"{session.app} is built from no git host any more; its deploy key and webhook are void.")


@command(
    "git:deploy",
    "Build and release a branch, tag or commit from the connected git host",
    "paas git:deploy --ref=v1.2",
    options=(
        Option("--ref", "default: the connected branch", value="REF"),
        Option("--no-wait", "return once it is queued"),
        APP,
        JSON,
    ),
)
def deploy(session: Session, ref: str | None) -> int:
    run = session.api.post(session.app_path("build-runs", ""), {"ref": ref} if ref else {})
    if session.shown_as_json(run) or not session.waits:
        if not session.json:
            output.line(f"Build {run['number']} is queued; its output: paas builds:output {run['number']} -f")
        return 0
    return print_output(session, run["number"], follow=True)


@command(
    "git:reset",
    "Drop the history that the platform keeps of an app's repository; what runs stays",
    "paas git:reset -a hello",
    options=(APP,),
    details="For a repository that has reached its quota: the next push brings it anew.",
)
def reset(session: Session) -> None:
    session.api.post(f"/builder/apps/{session.app}/reset")
    output.line(f"The repository of {session.app} is empty now; the next push brings all of its history.")
