"""Settings that change how an app is reached, without a release."""

import ipaddress
import re

from django.db import transaction

from controller.actions import operations
from controller.actions.carry_out import sync
from controller.actions.events import record
from controller.errors import Conflict, Invalid, Missing, Unprocessable
from controller.models import TLS, App, AppSettings, Service, User

LONGEST_SERVICE = 63  # characters of `<app>-<type>`, a label of the DNS
PLAIN = ("maintenance", "routable", "whitelist")
MAPPED = ("autoscale", "label")


def change_settings(*, app: App, changes: dict, by: User) -> AppSettings:
    """Raises: Conflict when nothing changes, Unprocessable, ClusterTrouble."""
    with transaction.atomic():
        operations.lock(app)
        settings = AppSettings.objects.select_related("owner").get(app=app)
        before = {name: getattr(settings, name) for name in (*PLAIN, *MAPPED)}
        for name in PLAIN:
            if changes.get(name) is not None:
                setattr(settings, name, changes[name])
        for name in MAPPED:
            setattr(settings, name, merged(getattr(settings, name), changes.get(name) or {}, name))
        after = {name: getattr(settings, name) for name in (*PLAIN, *MAPPED)}
        if after == before:
            raise Conflict(f"{by.username} changed nothing")
        settings.owner = by
        settings.save()
        record(app, f"appsettings {app.name}-{str(settings.uuid)[:7]} updated")
    sync(app)
    return settings


def merged(current: dict, changes: dict, section: str) -> dict:
    """`current` with `changes`; null removes. Raises: Unprocessable."""
    result = dict(current)
    for key, value in changes.items():
        if value is not None:
            result[key] = value
        elif result.pop(key, None) is None:
            raise Unprocessable(f"{key} does not exist under {section}")
    return result


def checked_address(text: str) -> str:
    """`text` if it is an address or a network. Raises: Invalid."""
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError as exc:
        raise Invalid(addresses=f"{text} is not an IP address or CIDR") from exc
    return text


def allow_addresses(*, app: App, addresses: list[str], by: User) -> list[str]:
    """The whole whitelist after the addition. Raises: Conflict when all were known."""
    known = app.settings.whitelist
    fresh = [address for address in dict.fromkeys(map(checked_address, addresses)) if address not in known]
    return change_settings(app=app, changes={"whitelist": [*known, *fresh]}, by=by).whitelist


def disallow_addresses(*, app: App, addresses: list[str], by: User) -> None:
    """Raises: Unprocessable when one isn't there."""
    kept = list(app.settings.whitelist)
    for address in map(checked_address, addresses):
        if address not in kept:
            raise Unprocessable(f"{address} does not exist in whitelist")
        kept.remove(address)
    change_settings(app=app, changes={"whitelist": kept}, by=by)


def enforce_https(*, app: App, enforced: bool, by: User) -> TLS:
    """Raises: Conflict when it already is so."""
    with transaction.atomic():
        operations.lock(app)
        tls = TLS.objects.select_related("owner").get(app=app)
        if tls.https_enforced == enforced:
            raise Conflict(f"{by.username} changed nothing")
        tls.https_enforced, tls.owner = enforced, by
        tls.save()
        record(app, f"tls {app.name}-{str(tls.uuid)[:7]} updated")
    sync(app)
    return tls


def route_paths(*, app: App, kind: str, patterns: str) -> tuple[Service, bool]:
    """The service of `kind`, and whether anything changed. Raises: Invalid."""
    for pattern in patterns.split(","):
        try:
            re.compile(pattern)
        except re.error as exc:
            raise Invalid(path_pattern=f"{pattern} is not a regular expression: {exc}") from exc
        if not pattern.strip() or not pattern.isprintable():
            raise Invalid(path_pattern="Each pattern needs at least one character, all of them printable")
    if len(f"{app.name}-{kind}") > LONGEST_SERVICE:
        raise Invalid(
            procfile_type=f"{app.name}-{kind} has more than the {LONGEST_SERVICE} characters of a Service's name"
        )
    with transaction.atomic():
        operations.lock(app)
        service, made = Service.objects.get_or_create(app=app, procfile_type=kind, defaults={"path_pattern": patterns})
        changed = made or service.path_pattern != patterns
        if changed:
            service.path_pattern = patterns
            service.save()
            record(app, f"service {kind} ({patterns}) added")
    if changed:
        sync(app)
    return service, changed


def unroute_paths(*, app: App, kind: str) -> None:
    """Raises: Missing."""
    with transaction.atomic():
        deleted, _ = app.services.filter(procfile_type=kind).delete()
        if not deleted:
            raise Missing("Service")
        record(app, f"service {kind} removed")
    sync(app)
