"""Running processes: restarted, asked, joined by one-off commands."""

import re

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from controller.actions import operations
from controller.actions.carry_out import count_nodes
from controller.actions.events import record
from controller.cluster.client import cluster
from controller.cluster.deploy import RolloutFailed, roll_out
from controller.cluster.pods import Process, list_processes, replace_pod
from controller.cluster.processes import routable_type
from controller.cluster.render import render_deployment
from controller.cluster.terminals import exec_query, find_process
from controller.cluster.wish import release_wish, wish_of
from controller.errors import BadRequest, ClusterTrouble
from controller.models import App, Release, User


def processes_of(app: App, kind: str | None = None, name: str | None = None) -> list[Process]:
    """The processes of the app's current release."""
    release = app.current_release()
    if release is None or release.build is None:
        return []
    return list_processes(cluster(), app.name, kind, name, version=release.version)


def restart(*, app: App, kind: str | None, name: str | None, by: User) -> list[Process]:
    """The fresh processes, once they are up. Whole types roll without losing a request; a single one is replaced.

    `name` may be shortened. Raises: ClusterTrouble.
    """
    if name is None:
        chosen = processes_of(app, kind)
    else:
        chosen = processes_of(app, kind, full_pod_name(app.name, name)) or short_named(app, kind, name)
    if not chosen:
        return []
    record(app, f"{by.username} restarted {name or kind or 'all processes'}")
    old = {process.name for process in chosen}
    try:
        if name is not None:
            replace_pod(cluster(), app.name, chosen[0].name, timeout=settings.RESTART_TIMEOUT)
            kind = chosen[0].type
            return [process for process in processes_of(app, kind) if process.name not in old][:1]
        restart_types(app, {process.type for process in chosen})
    except RolloutFailed as exc:
        raise ClusterTrouble(f"(restart): {exc}") from exc
    return [process for process in processes_of(app, kind) if process.name not in old]


def restart_types(app: App, kinds: set[str]) -> None:
    """Rolls the Deployments of `kinds`. Raises: InProgress, RolloutFailed, ClusterTrouble."""
    with transaction.atomic():
        app = operations.lock(app)
        operations.refuse_if_busy(app)
        stamp = timezone.now().isoformat(timespec="milliseconds")
        app.restarts = {**app.restarts, **dict.fromkeys(kinds, stamp)}
        app.save(update_fields=["restarts"])
    api, release = cluster(), app.current_release()
    wish = wish_of(app, release, nodes=count_nodes(api))
    roll_out(
        api,
        app.name,
        release.version,
        [render_deployment(wish, kind, app.structure.get(kind, 1)) for kind in sorted(kinds)],
        timeout=settings.RESTART_TIMEOUT,
        tick=lambda: None,
        report=lambda line: None,
    )


def open_exec(*, app: App, process: str, command: str, tty: bool, offered: dict[str, str], by: User):
    """A tunnel to `command` in a running process. Raises: BadRequest, NotFound, ClusterTrouble."""
    release, api = _running_release(app), cluster()
    pod = find_process(api, app.name, process, release.version)
    name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
    query = exec_query(release_wish(release), container, command, tty=tty)
    tunnel = api.open_tunnel(app.name, name, "exec", query, offered)
    record(app, f"{by.username} on {name} executes '{command}'")
    return tunnel


def open_port(*, app: App, process: str, port: int, offered: dict[str, str]):
    """A tunnel to `port` of a running process. Raises: BadRequest, NotFound, ClusterTrouble."""
    release, api = _running_release(app), cluster()
    pod = find_process(api, app.name, process or routable_type(app.structure), release.version)
    return api.open_tunnel(app.name, pod["metadata"]["name"], "portforward", [("ports", str(port))], offered)


def _running_release(app: App) -> Release:
    release = app.current_release()
    if release is None or release.build is None:
        raise BadRequest("No build associated with this release")
    return release


def short_named(app: App, kind: str | None, name: str) -> list[Process]:
    """The process called `web-7x2kp`, its type and the end of its name."""
    if not kind or not name.startswith(f"{kind}-"):
        return []
    end = name.removeprefix(f"{kind}-")
    return [process for process in processes_of(app, kind) if process.name.rpartition("-")[2] == end]


def full_pod_name(app: str, name: str) -> str:
    """A pod's name as users shorten it: with exactly two dashes the app's name is left out."""
    if name.count("-") == 2 and not re.match(rf"{re.escape(app)}-", name):
        return f"{app}-{name}"
    return name
