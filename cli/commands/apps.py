"""Apps: create, look, open, read logs, run one-off commands, destroy."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from cli import git, output, prompts, terminal
from cli.client import DEPLOY, path
from cli.commands import logs  # noqa: F401 - `apps:logs` belongs to this noun
from cli.commands.domains import list_domains
from cli.commands.labels import list_labels
from cli.commands.ps import list_processes
from cli.errors import CliError, NotUpgraded, UsageError
from cli.session import Session
from cli.table import APP, JSON, LIMIT, Arg, Option, command
from cli.terminal import shell_line


@command(
    "apps:create",
    "Make an app, and the git remote to push to",
    "paas create hello",
    args=(Arg("id", "its name; a free one is made up when missing", required=False),),
    options=(
        Option("--no-remote", "make no git remote"),
        Option("--buildpack", "git URL of a buildpack", short="-b", value="URL"),
        Option("--remote", "name of the git remote", short="-r", value="NAME", default=git.DEFAULT_REMOTE),
        APP,
        JSON,
    ),
)
def create(session: Session, id: str | None, no_remote: bool | None, buildpack: str | None, remote: str) -> None:
    name = id or (session.app if session.app_was_named else None)
    with output.progress("Creating Application...", quiet=session.json) as step:
        app = session.api.post("/v2/apps/", {"id": name} if name else None)
        step.result = f"done, created {app['id']}"
    if buildpack:
        session.api.post(path("apps", app["id"], "config", ""), {"values": {"BUILDPACK_URL": buildpack}})
    session.shown_as_json(app)
    if no_remote or not git.is_repository():
        hint = "" if no_remote else "This folder is no git repository (`git init` makes it one). "
        output.note(f"{hint}To push from a repository, run there: paas git:remote -a {app['id']}")
        return
    url = remote_url(session, app["id"])
    existing = next((r for r in git.push_remotes() if r.name == remote), None)
    if existing is not None and existing.url != url:
        which = "" if remote == git.DEFAULT_REMOTE else f" --remote={remote}"
        raise CliError(
            f"The app exists, but the git remote {remote} already points at {existing.url}; "
            f"to change it, run `paas git:remote --force{which} -a {app['id']}`."
        )
    if existing is None:
        git.add_remote(remote, url)
    if not session.json:
        output.line(f"Git remote {remote} successfully created for app {app['id']}.")


def remote_url(session: Session, app: str) -> str:
    """Where `git push` to `app` goes: as the platform says, else as Deis derives it."""
    ssh_url = session.git_ssh_url or git.derived_ssh_url(session.api.url)
    return git.app_url(ssh_url, app)


@command("apps:list", "List the apps you may work on", "paas apps", options=(LIMIT, JSON), bare=True)
def list_apps(session: Session, limit: int | None) -> None:
    apps, total = session.page("/v2/apps/", limit)
    if session.shown_as_json(apps):
        return
    output.heading("Apps", len(apps), total)
    for app in apps:
        output.line(app["id"])
    if not apps:
        output.note("None yet; `paas create hello` makes one.")


@command("apps:info", "Show an app: address, owner, processes, domains", "paas info -a hello", options=(APP, JSON))
def info(session: Session) -> None:
    app = session.api.get(session.app_path(""))
    url = app_address(session)
    if session.json:
        pods = session.api.get(session.app_path("pods", ""))["results"]
        domains, _ = session.page(session.app_path("domains", ""), None)
        output.as_json(app | {"url": url, "processes": pods, "domains": [d["domain"] for d in domains]})
        return
    output.heading(f"{app['id']} Application")
    rows = [(key, app.get(key)) for key in ("updated", "uuid", "created")]
    output.pairs([*rows, ("url", url), ("owner", app["owner"]), ("id", app["id"])], suffix=":")
    output.line()
    list_processes(session)
    output.line()
    list_domains(session, limit=None)
    output.line()
    list_labels(session)


def app_address(session: Session) -> str | None:
    """The address to open: the app's own name on the platform when it has it, else its first domain."""
    domains, _ = session.page(session.app_path("domains", ""), None)
    names = [domain["domain"] for domain in domains]
    if not names:
        return None
    name = session.app if session.app in names else names[0]
    template = session.info.get("app_url_template") or ""
    if "." not in name:
        if template:
            return template.replace("{app}", name)
        host = session.api.url.hostname or ""
        return f"http://{name}.{host.partition('.')[2] or host}"
    port = urlsplit(template.replace("{app}", "app")).port if template else None
    return f"http://{name}:{port}" if port else f"http://{name}"


@command("apps:open", "Open the app in the browser", "paas open", options=(APP,))
def open_app(session: Session) -> None:
    import webbrowser

    url = app_address(session)
    if url is None:
        raise CliError(f"No domain assigned to {session.app}; `paas domains:add NAME` gives it one.")
    if not webbrowser.open(url):
        output.line(url)


@command(
    "apps:run",
    "Run a command in a new container of the app, joined to your terminal",
    "paas run -- python manage.py shell",
    args=(Arg("command", "one quoted shell line, or words that reach the command unchanged", rest=True),),
    options=(
        Option("--no-tty", "plain streams, even when this is a terminal"),
        Option("--quiet", "only what the command prints", short="-q"),
        APP,
    ),
    details="Put -- before a command with options of its own. Standard input is passed on, Ctrl-C too; the exit code "
    "is the command's. When you hang up, the command is stopped; `paas run:detached` goes on without you.",
)
def run(session: Session, command: list[str], no_tty: bool | None, quiet: bool | None) -> int:
    line = shell_line(command)
    if not quiet:
        output.line(f"Running '{line}'...")
    tty = terminal.wanted(no_tty)
    where = session.app_path("run", "attach")
    try:
        stream = session.api.upgrade(where, terminal.PROTOCOLS, command=line, tty="1" if tty else "0")
    except NotUpgraded:
        return run_unjoined(session, line)
    return terminal.joined(stream, tty=tty)


def run_unjoined(session: Session, line: str) -> int:
    """As Deis controllers have it: the output comes as a whole, once the command has ended."""
    answer = session.api.post(session.app_path("run"), {"command": line}, timeout=DEPLOY)
    stream = sys.stdout if answer["exit_code"] == 0 else sys.stderr
    text = answer["output"]
    stream.write(text if not text or text.endswith("\n") else text + "\n")
    stream.flush()
    return int(answer["exit_code"])


@command(
    "apps:destroy",
    "Remove an app, its processes, releases and repository",
    "paas destroy -a hello --confirm=hello",
    options=(Option("--confirm", "the app's name again, instead of being asked", value="APP"), APP),
)
def destroy(session: Session, confirm: str | None) -> None:
    app = session.app
    if confirm is None:
        session.api.get(session.app_path(""))
        output.note(
            f" !    This removes {app} for good: processes, config, releases, code.\n"
            f" !    --confirm={app} does it without asking."
        )
        confirm = prompts.ask(f"Type {app} to go on: ")
    if confirm != app:
        raise UsageError(f"'{confirm}' is not {app}: nothing was destroyed; --confirm={app} would do it.")
    with output.long_step(f"Destroying {app}..."):
        session.api.delete(session.app_path(""), timeout=DEPLOY)
    remotes = git.remotes_of_app(app, session.api.url, session.git_ssh_url)
    for remote in remotes:
        git.remove_remote(remote.name)
    if remotes:
        output.line(f"Git remotes for app {app} removed.")


@command(
    "apps:transfer",
    "Give an app to another user",
    "paas apps:transfer alice -a hello",
    args=(Arg("username", "the new owner"),),
    options=(APP,),
)
def transfer(session: Session, username: str) -> None:
    with output.progress(f"Transferring {session.app} to {username}..."):
        session.api.post(session.app_path(""), {"owner": username})
