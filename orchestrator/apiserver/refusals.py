"""The refusals that several verbs share, in Kubernetes' own sentences."""

from __future__ import annotations

from orchestrator import errors
from orchestrator.objects.kinds import Resource


def not_found(resource: Resource, name: str) -> errors.NotFound:
    return errors.NotFound(
        f'{resource.group_resource} "{name}" not found', name=name, group=resource.group, kind=resource.plural
    )


def already_exists(resource: Resource, name: str) -> errors.AlreadyExists:
    return errors.AlreadyExists(
        f'{resource.group_resource} "{name}" already exists', name=name, group=resource.group, kind=resource.plural
    )


def conflict(resource: Resource, name: str, why: str) -> errors.Conflict:
    return errors.Conflict(
        f'Operation cannot be fulfilled on {resource.group_resource} "{name}": {why}',
        name=name,
        group=resource.group,
        kind=resource.plural,
    )


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def modified(resource: Resource, name: str) -> errors.Conflict:
    return conflict(resource, name, MODIFIED)


def invalid(resource: Resource, name: str, causes: list[dict[str, str]]) -> errors.Invalid:
    """`causes` rows: field, reason (FieldValueInvalid…) and message."""
    problems = [f"{cause['field']}: {cause['message']}" for cause in causes]
    text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
    return errors.Invalid(
        f'{resource.kind}{"." + resource.group if resource.group else ""} "{name}" is invalid: {text}',
        name=name,
        group=resource.group,
        kind=resource.kind,
        causes=causes,
    )


def forbidden(resource: Resource, name: str, why: str) -> errors.Forbidden:
    return errors.Forbidden(
        f'{resource.group_resource} "{name}" is forbidden: {why}',
        name=name,
        group=resource.group,
        kind=resource.plural,
    )
