"""Shared config: groups and links changed, and what they come to in an app."""

from collections.abc import Iterable

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from controller.access import CONFIGURE, app_for
from controller.actions import operations
from controller.actions.config_refresh import mark_stale
from controller.actions.config_secrets import MASK, merge_secrets
from controller.actions.events import record
from controller.actions.teams import team_for
from controller.errors import Conflict, Invalid, Missing, Unprocessable
from controller.models import App, ConfigGroup, ConfigLink, GroupAttachment, User


def visible_groups(user: User) -> QuerySet[ConfigGroup]:
    """The groups that `user` may see and change: their own and their teams'."""
    groups = ConfigGroup.objects.select_related("owner", "team")
    if user.is_superuser:
        return groups
    return groups.filter(Q(owner=user) | Q(team__members__user=user)).distinct()


def group_for(user: User, name: str) -> ConfigGroup:
    """Raises: Missing, for a stranger as well."""
    group = visible_groups(user).filter(name=name).first()
    if group is None:
        raise Missing("ConfigGroup")
    return group


def create_group(*, by: User, name: str, team: str | None = None) -> ConfigGroup:
    """Raises: Invalid, Missing."""
    found = team_for(by, team) if team else None
    try:
        with transaction.atomic():
            return ConfigGroup.objects.create(name=name, owner=by, team=found)
    except IntegrityError as exc:
        raise Invalid(name="A config group with that name already exists.") from exc


def change_group(*, by: User, name: str, values: dict[str, str | None], secrets: Iterable[str] = ()) -> ConfigGroup:
    """Sets and removes (None) variables; every app it is attached to gets a release. Raises: Missing, Unprocessable."""
    with transaction.atomic():
        group = ConfigGroup.objects.select_for_update().get(pk=group_for(by, name).pk)
        merged = dict(group.values)
        for key, value in values.items():
            if value is None and merged.pop(key, None) is None:
                raise Unprocessable(f"{key} does not exist under {name}")
            if value is not None and not (value == MASK and key in group.secret_keys):
                merged[key] = value
        group.secret_keys = merge_secrets(group.secret_keys, secrets, merged)
        group.values = merged
        group.save()
        refresh_apps_of(group, by, f"{by.username} changed config group {name}")
    return group


def refresh_apps_of(group: ConfigGroup, by: User, reason: str) -> None:
    mark_stale(App.objects.filter(config_groups__group=group), by, reason)


def destroy_group(*, by: User, name: str) -> None:
    """Raises: Missing, Conflict while an app has it."""
    group = group_for(by, name)
    apps = sorted(group.attachments.values_list("app__name", flat=True))
    if apps:
        raise Conflict(f"{name} is attached to {', '.join(apps)}; detach it there first (`paas config:groups:detach`)")
    group.delete()


def attach_group(*, app: App, by: User, name: str) -> None:
    """Raises: Missing, Conflict."""
    group = group_for(by, name)
    with transaction.atomic():
        operations.lock(app)
        _, made = GroupAttachment.objects.get_or_create(app=app, group=group)
        if not made:
            raise Conflict(f"{name} is attached to {app.name} already")
        record(app, f"config group {name} attached")
        mark_stale([app], by, f"{by.username} attached config group {name}")


def detach_group(*, app: App, by: User, name: str) -> None:
    """Raises: Missing."""
    with transaction.atomic():
        operations.lock(app)
        deleted, _ = app.config_groups.filter(group__name=name).delete()
        if not deleted:
            raise Missing("ConfigGroup")
        record(app, f"config group {name} detached")
        mark_stale([app], by, f"{by.username} detached config group {name}")


def link(*, app: App, by: User, key: str, source: str, source_key: str) -> ConfigLink:
    """`key` of `app` is `source_key` of `source` from now on; `by` must be let into both configs.

    Raises: Missing, Forbidden, Unprocessable, Conflict for a circle.
    """
    found = app_for(by, source, CONFIGURE)
    with transaction.atomic():
        for pk in sorted({app.pk, found.pk}):
            operations.lock(App(pk=pk))
        refuse_circle(app, key, found, source_key)
        if source_key not in found.current_release().config.environment():
            raise Unprocessable(f"{source_key} does not exist under values of {source}")
        row, _ = ConfigLink.objects.update_or_create(
            app=app, key=key, defaults={"source": found, "source_name": found.name, "source_key": source_key}
        )
        record(app, f"config {key} linked to {source}.{source_key}")
        mark_stale([app], by, f"{by.username} linked {key} to {source}.{source_key}")
    return row


def refuse_circle(app: App, key: str, source: App, source_key: str) -> None:
    """Raises: Conflict when following links from `source` comes back to `app`'s `key`."""
    path, at = [f"{app.name}.{key}"], (source.pk, source.name, source_key)
    while at is not None:
        path.append(f"{at[1]}.{at[2]}")
        if (at[0], at[2]) == (app.pk, key):
            raise Conflict(f"That would be a circle: {' -> '.join(path)}")
        step = ConfigLink.objects.filter(app=at[0], key=at[2]).exclude(source=None).first()
        at = (step.source_id, step.source_name, step.source_key) if step else None


def unlink(*, app: App, by: User, key: str) -> None:
    """Raises: Missing."""
    with transaction.atomic():
        operations.lock(app)
        deleted, _ = app.config_links.filter(key=key).delete()
        if not deleted:
            raise Missing("ConfigLink")
        record(app, f"config {key} unlinked")
        mark_stale([app], by, f"{by.username} unlinked {key}")
