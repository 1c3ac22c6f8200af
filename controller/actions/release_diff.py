"""What differs between two releases: code, config and formation. Pure; config values never come out of it."""

from typing import Any

from controller.models import Release
from controller.models.config import SECTIONS
from controller.registry_api import split_reference

CODE = ("image", "sha", "stack", "ports", "dockerfile")
MASKED = ("values", "registry")  # sections whose values are nobody's business here
HIDDEN = "…"

Change = dict[str, Any]


def diff_releases(old: Release, new: Release) -> dict[str, list[Change]]:
    """By part of a release, a change for each thing that differs: `{"name", "change", "before", "after"}`.

    `change` is added, changed or removed; a masked value is `…`, and what wasn't there is null.
    """
    return {
        "code": _changes(_code_of(old), _code_of(new)),
        "procfile": _changes(old.build.procfile if old.build else {}, new.build.procfile if new.build else {}),
        "config": [
            {"section": section, **change}
            for section in SECTIONS
            for change in _changes(_section(old, section), _section(new, section), masked=section in MASKED)
        ],
        "formation": _changes(old.structure, new.structure),
    }


def _section(release: Release, name: str) -> dict[str, Any]:
    """A section of the release's config; of the variables all that its processes get, shared ones included."""
    return release.config.environment() if name == "values" else getattr(release.config, name)


def _code_of(release: Release) -> dict[str, Any]:
    """What tells one build from another; the text of a Dockerfile only by its being there."""
    if release.build is None:
        return {}
    build = release.build
    parts = {name: getattr(build, name) for name in CODE}
    parts["dockerfile"] = build.kind == "dockerfile"
    if found := split_reference(build.image):
        parts["image"] = found[1]  # the same image has another name in another app
    return {name: value for name, value in parts.items() if value not in ("", None, False, [])}


def _changes(old: dict, new: dict, *, masked: bool = False) -> list[Change]:
    changes = []
    for name in sorted({*old, *new}):
        if name in old and name in new and old[name] == new[name]:
            continue
        kind = "added" if name not in old else "removed" if name not in new else "changed"
        before, after = (None if name not in side else HIDDEN if masked else side[name] for side in (old, new))
        changes.append({"name": name, "change": kind, "before": before, "after": after})
    return changes
