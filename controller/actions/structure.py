"""The formation a build gets. Pure."""

from django.conf import settings

from controller.models import Build


def default_structure(build: Build) -> dict[str, int]:
    """The formation of an app that has none yet."""
    if "web" in build.procfile:
        return {"web": 1}
    if build.kind in ("image", "dockerfile"):
        return {"cmd": 1}
    return {} if build.procfile else {"web": 1}


def can_run(build: Build, kind: str) -> bool:
    """Whether `build` says what to run as `kind`: `cmd` is an image's own command, `web` a buildpack's."""
    return kind == "cmd" or kind in build.procfile or kind in default_structure(build)


def plan_structure(structure: dict[str, int], build: Build, previous: Build | None) -> dict[str, int]:
    """The formation when `build` follows `previous`: types it no longer declares stop, the rest stays.

    A build of another kind (image, Dockerfile, buildpack) gets its default on top.
    """
    planned = dict(structure)
    if previous is not None and previous.procfile and (build.procfile or settings.REMOVE_MISSING_TYPES):
        planned = {kind: count if kind in build.procfile else 0 for kind, count in planned.items()}
    if not planned:
        return default_structure(build)
    if any(structure.values()) and not any(planned.values()):
        return planned | default_structure(build)  # a push never stops an app altogether
    if previous is not None and previous.kind != build.kind:
        planned |= {kind: 0 for kind in ("cmd", "web") if kind in planned}
        planned |= default_structure(build)
    return planned
