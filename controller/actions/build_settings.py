"""How an app's source is built: which folder of the repository, and what of it counts.

root         the folder that is the app, `services/api`; empty: the repository itself
paths        folders and files whose change makes a build; empty: the root, or everything
submodules   whether submodules are fetched
"""

import re
from typing import Any

from django.db import transaction

from controller.actions import operations
from controller.actions.events import record
from controller.errors import Conflict, Invalid
from controller.models import App, AppSettings, User

DEFAULTS: dict[str, Any] = {"root": "", "paths": [], "submodules": False}
PATH = re.compile(r"[^\x00-\x1f\\:*?\[\]\"<>|]{1,1000}")
MOST_PATHS = 50


def build_settings(app: App) -> dict[str, Any]:
    return {**DEFAULTS, **app.settings.build}


def change_build_settings(*, app: App, changes: dict[str, Any], by: User) -> dict[str, Any]:
    """The settings afterwards; None takes one back to its default. Raises: Invalid, Conflict."""
    with transaction.atomic():
        operations.lock(app)
        row = AppSettings.objects.get(app=app)
        before = dict(row.build)
        for name, value in changes.items():
            row.build = {key: held for key, held in row.build.items() if key != name}
            if value is not None and (checked := checked_setting(name, value)) != DEFAULTS[name]:
                row.build[name] = checked
        if row.build == before:
            raise Conflict(f"{by.username} changed nothing")
        row.save(update_fields=["build", "updated"])
        record(app, f"{by.username} changed how the app is built: {', '.join(sorted(changes))}")
    return {**DEFAULTS, **row.build}


def checked_setting(name: str, value: Any) -> Any:
    if name == "submodules":
        if not isinstance(value, bool):
            raise Invalid(submodules="Must be true or false.")
        return value
    if name == "root":
        return checked_path("root", value)
    if not isinstance(value, list) or len(value) > MOST_PATHS:
        raise Invalid(paths=f"A list of at most {MOST_PATHS} paths.")
    return [path for item in value if (path := checked_path("paths", item))]


def checked_path(field: str, value: Any) -> str:
    """`services/api` of `/services/api/`. Raises: Invalid."""
    path = value.strip().strip("/") if isinstance(value, str) else None
    if path in ("", "."):
        return ""
    parts = path.split("/") if path else []
    if not path or not PATH.fullmatch(path) or {"", ".", "..", ".git"} & set(parts):
        raise Invalid(**{field: f"{value!r} is no path within the repository, such as services/api."})
    return path
