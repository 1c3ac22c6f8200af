"""Whether an object may be stored: Kubernetes' own rules and sentences, every bad field named in one error.

Source: kubernetes pkg/apis/*/validation. Objects must have been decoded and defaulted before.
"""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.objects.kinds import Resource
from orchestrator.objects.meta import Obj
from orchestrator.objects.validation import metadata
from orchestrator.objects.validation.fields import Problems

Create = Callable[[Problems, Obj], None]
Update = Callable[[Problems, Obj, Obj], None]


def validate_create(resource: Resource, obj: Obj) -> None:
    """Raises: Invalid, naming every bad field."""
    problems = Problems()
    metadata.check_create(problems, resource, obj)
    problems.raise_for(resource, obj)


def validate_update(resource: Resource, new: Obj, old: Obj, subresource: str = "") -> None:
    """Raises: Invalid, naming every bad or immutable field."""
    problems = Problems()
    metadata.check_update(problems, resource, new, old)
    problems.raise_for(resource, new)
