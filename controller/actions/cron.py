"""Commands on a schedule: those of `app.json` and those people added, paused, and run at once."""

import secrets

from django.db import transaction

from controller.actions import operations
from controller.actions.carry_out import sync
from controller.actions.events import record
from controller.actions.one_offs import wish_to_run
from controller.cluster.client import cluster
from controller.cluster.cron_runs import Run, runs_of
from controller.cluster.pods import ALPHABET
from controller.cluster.render import render_cron_run
from controller.cluster.wish import cron_of
from controller.cron import NAME, POLICIES, Entry, check_schedule, check_timezone
from controller.errors import BadRequest, Conflict, Invalid, Missing
from controller.models import App, CronEntry, CronPause, User

MOST = 100  # entries of one app
LONGEST_RUN = 24 * 3600  # seconds


def entries(app: App) -> list[Entry]:
    """Those of the current release's build and those added, by name."""
    return list(cron_of(app, app.current_release()))


def entry_named(app: App, name: str) -> Entry:
    """Raises: Missing."""
    found = next((entry for entry in entries(app) if entry.name == name), None)
    if found is None:
        raise Missing("CronEntry")
    return found


def add(*, app: App, by: User, command: str, schedule: str, name: str = "", **options) -> Entry:
    """Raises: Invalid, Conflict, ClusterTrouble."""
    fields = checked({"command": command, "schedule": schedule, **options})
    with transaction.atomic():
        app = operations.lock(app)
        taken = {entry.name for entry in entries(app)}
        name = name or _free_name(taken)
        if not NAME.fullmatch(name):
            raise Invalid(name="A name has up to 30 lowercase letters, digits and hyphens, and begins with a letter")
        if name in taken:
            raise Conflict(f"{app.name} has a cron entry {name}; remove it first, or choose another name")
        if len(taken) >= MOST:
            raise Invalid(name=f"An app has at most {MOST} cron entries")
        CronEntry.objects.create(app=app, by=by, name=name, **fields)
        record(app, f"{by.username} added cron {name}: {fields['schedule']} {command}")
    sync(app)
    return entry_named(app, name)


def checked(fields: dict) -> dict:
    """Raises: Invalid naming the field."""
    known = {key: value for key, value in fields.items() if value is not None}
    for name, check in (("schedule", check_schedule), ("timezone", check_timezone)):
        if name in known:
            try:
                known[name] = check(known[name])
            except ValueError as exc:
                raise Invalid(**{name: str(exc)}) from exc
    if known.get("policy", "forbid") not in POLICIES:
        raise Invalid(policy=f"When the last run isn't over: {', '.join(POLICIES)}")
    if not 1 <= known.get("deadline", 1) <= LONGEST_RUN:
        raise Invalid(deadline=f"A run may take from 1 to {LONGEST_RUN} seconds")
    return known


def _free_name(taken: set[str]) -> str:
    return next(name for number in range(1, MOST + 2) if (name := f"job-{number}") not in taken)


def remove(*, app: App, name: str, by: User) -> None:
    """Raises: Missing, BadRequest for an entry of app.json, ClusterTrouble."""
    entry = entry_named(app, name)
    if entry.declared:
        raise BadRequest(f"{name} stands in app.json; take it out there, or pause it")
    with transaction.atomic():
        app.cron_entries.filter(name=name).delete()
        app.cron_pauses.filter(name=name).delete()
        record(app, f"{by.username} removed cron {name}")
    sync(app)


def pause(*, app: App, name: str, paused: bool, by: User) -> Entry:
    """Raises: Missing, Conflict when it already is so, ClusterTrouble."""
    if entry_named(app, name).paused == paused:
        raise Conflict(f"{name} is {'paused' if paused else 'not paused'} already")
    with transaction.atomic():
        if paused:
            CronPause.objects.get_or_create(app=app, name=name)
        else:
            app.cron_pauses.filter(name=name).delete()
        record(app, f"{by.username} {'paused' if paused else 'resumed'} cron {name}")
    sync(app)
    return entry_named(app, name)


def run_now(*, app: App, name: str, by: User) -> str:
    """The name of the Job that runs the entry once, at once. Raises: Missing, BadRequest, ClusterTrouble."""
    entry, wish = entry_named(app, name), wish_to_run(app)
    suffix = "".join(secrets.choice(ALPHABET) for _ in range(5))
    job = render_cron_run(wish, entry, f"{name}-now-{suffix}")
    cluster().create(job)
    record(app, f"{by.username} runs cron {name}")
    return job["metadata"]["name"]


def history(app: App, name: str) -> list[Run]:
    """Raises: Missing, ClusterTrouble."""
    return runs_of(cluster(), app.name, entry_named(app, name).name)
