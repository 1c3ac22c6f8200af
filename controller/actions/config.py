"""Changing an app's configuration."""

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from controller.actions import operations
from controller.actions.config_refresh import resolve
from controller.actions.config_secrets import merge_secrets, without_masks
from controller.actions.events import record
from controller.actions.release import begin_deploy, create_release, take_structure
from controller.cluster.client import cluster
from controller.errors import BadRequest, Unprocessable
from controller.models import App, Config, Operation, Release, User
from controller.models.config import SECTIONS

LEGACY_CHECKS = {
    "HEALTHCHECK_INITIAL_DELAY": ("initialDelaySeconds", 50),
    "HEALTHCHECK_TIMEOUT": ("timeoutSeconds", 50),
    "HEALTHCHECK_PERIOD_SECONDS": ("periodSeconds", 10),
    "HEALTHCHECK_SUCCESS_THRESHOLD": ("successThreshold", 1),
    "HEALTHCHECK_FAILURE_THRESHOLD": ("failureThreshold", 3),
}

Changes = dict[str, dict[str, Any]]


def change_config(
    *, app: App, changes: Changes, by: User, secrets: Iterable[str] = ()
) -> tuple[Config, Operation | None]:
    """The whole new config, and the deploy that brings it live when there is a build.

    The variables named in `secrets` are write-only from now on.

    Raises: Unprocessable, BadRequest, Conflict (nothing changed, or a deploy is under way).
    """
    busy = None
    with transaction.atomic():
        app = operations.lock(app)
        current = app.current_release()
        hidden = current.config.secret_keys
        if "values" in changes:
            changes = {**changes, "values": without_masks(changes["values"], hidden)}
        sections = merge_sections(current.config.sections(), changes)
        check_sections(sections, current.config.sections())
        config = Config.objects.create(
            app=app,
            owner=by,
            secret_keys=merge_secrets(hidden, secrets, sections["values"]),
            resolved=resolve(app, current.config),
            **sections,
        )
        release = create_release(app=app, by=by, build=current.build, config=config, cause=Release.CONFIG)
        record(app, f"config {app.name}-{str(config.uuid)[:7]} updated")
        if current.build is None:
            return config, None
        before = take_structure(app, current.build, current.build)
        try:
            operation = begin_deploy(app=app, release=release, by=by, structure_before=before)
        except operations.InProgress as exc:
            busy, operation = exc, None
    if busy:
        raise busy
    return config, operation


def merge_sections(current: Changes, changes: Changes) -> Changes:
    """`current` with `changes` merged in, key by key; a null removes.

    Raises: Unprocessable for the removal of what isn't there.
    """
    merged = {}
    for name in SECTIONS:
        merge = merge_checks if name == "healthcheck" else merge_keys
        merged[name] = merge(current[name], changes.get(name) or {}, name)
    return legacy_checks_moved(merged)


def merge_keys(current: dict, changes: dict, section: str) -> dict:
    merged = dict(current)
    for key, value in changes.items():
        if value is not None:
            merged[key] = value
        elif key in merged:
            del merged[key]
        else:
            raise Unprocessable(f"{key} does not exist under {section}")
    return merged


def merge_checks(current: dict, changes: dict, section: str) -> dict:
    """Healthchecks merge probe by probe within a process type."""
    merged = dict(current)
    for kind, probes in changes.items():
        if probes is None:
            merged = merge_keys(merged, {kind: None}, section)
            continue
        own = dict(merged.get(kind) or {})
        for name, probe in probes.items():
            if probe is None and name not in own:
                raise Unprocessable(f"{kind} does not exist under {section}")
            own = {key: value for key, value in own.items() if key != name}
            if probe is not None:
                own[name] = probe
        merged[kind] = own
    return merged


def legacy_checks_moved(sections: Changes) -> Changes:
    """`HEALTHCHECK_URL` and its kin as the healthchecks they mean."""
    values = sections["values"]
    if "HEALTHCHECK_URL" not in values:
        return sections
    probe = {field: int(values.get(name, default)) for name, (field, default) in LEGACY_CHECKS.items()}
    probe["httpGet"] = {"path": values["HEALTHCHECK_URL"]}
    liveness = {**probe, "successThreshold": 1}
    return {
        **sections,
        "values": {key: value for key, value in values.items() if not key.startswith("HEALTHCHECK_")},
        "healthcheck": {
            **sections["healthcheck"],
            "web/cmd": {"livenessProbe": liveness, "readinessProbe": probe},
        },
    }


def check_sections(sections: Changes, before: Changes) -> None:
    """What only holds for the config as a whole. Raises: BadRequest."""
    if sections["registry"] and "PORT" not in sections["values"]:
        raise BadRequest("PORT needs to be set in the config when using a private registry")
    if sections["tags"] and sections["tags"] != before["tags"]:
        check_tags(sections["tags"], before["tags"])


def check_tags(tags: dict[str, str], before: dict[str, str]) -> None:
    """Raises: BadRequest unless some node carries all of `tags`."""
    nodes, _ = cluster().list("Node", None)
    for node in nodes:
        labels = node["metadata"].get("labels") or {}
        if all(labels.get(key) == value for key, value in tags.items()):
            return
    listed = ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))
    causes = ", ".join(f"{key}={value}" for key, value in sorted(tags.items()) if before.get(key) != value)
    text = f"No nodes matched the provided labels: {listed}"
    raise BadRequest(f"{text} - Addition of {causes} is the cause" if causes and before else text)
