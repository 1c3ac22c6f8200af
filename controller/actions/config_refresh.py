"""What groups and links come to in an app, and the note that an app needs a release because that changed."""

from collections.abc import Iterable

from django.db import transaction

from controller.models import App, Config, ConfigGroup, ConfigRefresh, User
from controller.outbox import enqueue


def mark_stale(apps: Iterable[App], by: User | None, reason: str) -> None:
    """Says that `apps` need a release because of `reason`, which becomes its summary."""
    noted = [ConfigRefresh.objects.update_or_create(app=app, defaults={"by": by, "reason": reason}) for app in apps]
    if noted:
        transaction.on_commit(lambda: enqueue("controller.refresh_configs"))


def mark_dependents_stale(app: App, by: User | None, why: str) -> None:
    """The same for the apps with links to `app`'s variables."""
    dependents = App.objects.filter(config_links__source=app).exclude(pk=app.pk).distinct()
    mark_stale(dependents, by, f"{why} of {app.name}")


def resolve(app: App, before: Config | None) -> dict[str, dict]:
    """What `app`'s groups and links come to now: key -> value, where it is from, whether it is write-only."""
    resolved: dict[str, dict] = {}
    for group in ConfigGroup.objects.filter(attachments__app=app).order_by("attachments__id"):
        for key, value in group.values.items():
            resolved[key] = {"value": value, "from": f"group {group.name}", "secret": key in group.secret_keys}
    for link in app.config_links.select_related("source"):
        seen = link.source.current_release().config.shown_variable(link.source_key) if link.source else None
        kept = before.resolved.get(link.key) if before else None
        origin = f"{link.source_name}.{link.source_key}"
        if seen is not None:
            resolved[link.key] = {"value": seen[0], "from": origin, "secret": seen[1]}
        elif kept is not None and kept["from"].removesuffix(GONE) == origin:
            resolved[link.key] = {**kept, "from": origin + GONE}
    return resolved


GONE = " (gone; the last value stays)"
