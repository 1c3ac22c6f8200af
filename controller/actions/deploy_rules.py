"""Changing how an app's releases go live."""

from dataclasses import asdict, fields
from typing import Any

from django.conf import settings
from django.db import transaction

from controller.actions import operations
from controller.actions.events import record
from controller.cluster.rules import LONGEST_BATCH, MOST, DeployRules, number_in
from controller.errors import Conflict, Invalid, Unprocessable
from controller.models import App, AppSettings, User

NAMES = tuple(field.name for field in fields(DeployRules))


def rules_of(app: App) -> dict[str, Any]:
    """The rules that hold for `app`, as Deis' variables and the platform fill them in, and which of them it set."""
    own = app.settings.deploy
    rules = asdict(DeployRules(**own))
    release = app.current_release()
    values = release.config.values if release else {}
    batches = number_in(values.get("DEIS_DEPLOY_BATCHES", ""), MOST)
    if rules["surge"] is None and batches is not None:
        rules["surge"] = max(batches, 1)
    if rules["timeout"] is None:
        timeout = number_in(values.get("DEIS_DEPLOY_TIMEOUT", ""), LONGEST_BATCH)
        rules["timeout"] = timeout or settings.DEPLOY_TIMEOUT
    return {**rules, "set": sorted(own)}


def change_rules(*, app: App, changes: dict[str, Any], by: User) -> dict[str, Any]:
    """The rules after `changes`; null goes back to the default. They hold from the next deploy on.

    Raises: Invalid, Unprocessable for the removal of what isn't set, Conflict when nothing changes.
    """
    with transaction.atomic():
        operations.lock(app)
        row = AppSettings.objects.select_related("owner").get(app=app)
        own = dict(row.deploy)
        for name, value in changes.items():
            if value is not None:
                own[name] = value
            elif own.pop(name, None) is None:
                raise Unprocessable(f"{name} does not exist under deploy")
        if is_nothing(own.get("surge")) and is_nothing(own.get("unavailable", 0)):
            raise Invalid(surge="With a surge of 0, unavailable must be at least 1: else no process could be replaced.")
        if own == row.deploy:
            raise Conflict(f"{by.username} changed nothing")
        row.deploy, row.owner = own, by
        row.save(update_fields=["deploy", "owner", "updated"])
        record(app, f"{by.username} changed how releases go live: {', '.join(sorted(changes))}")
    app.settings.deploy = own
    return rules_of(app)


def is_nothing(share: int | str | None) -> bool:
    return share in (0, "0%")
