"""Promotion: an app's exact image released in other apps. Nothing is built; config stays each app's own."""

import re
from dataclasses import dataclass

from django.conf import settings

from controller.access import DEVELOP, app_for
from controller.actions.build import create_build
from controller.actions.pipelines import next_apps
from controller.errors import BadRequest, PaasError
from controller.models import App, Build, Operation, Release, User
from controller.registry_api import copy_image, split_reference

BUILT = re.compile(r"[0-9a-f]{8}")  # a commit as builds name it: its image's tag makes no release by itself
KEPT = ("sha", "procfile", "dockerfile", "stack", "git_ref", "ports", "app_json")
MOST = 20  # apps at once


@dataclass
class Promotion:
    """What became of one target: its release on its way, or why there is none."""

    app: str
    operation: Operation | None = None
    reason: str = ""


def promote(*, app: App, to: list[str] | None, version: int | None, by: User) -> tuple[Release, list[Promotion]]:
    """The release promoted, and what was begun in each target.

    Every target passes the door before anything is done; one that refuses its release doesn't keep the others back.
    Raises: BadRequest, Missing, Forbidden.
    """
    release = release_to_promote(app, version)
    names = list(dict.fromkeys(to)) if to else next_apps(app)
    if app.name in names:
        raise BadRequest(f"{app.name} can't be promoted to itself")
    if len(names) > MOST:
        raise BadRequest(f"at most {MOST} apps can be promoted to at once")
    targets = [app_for(by, name, DEVELOP) for name in names]
    return release, [begin(release, target, by) for target in targets]


def release_to_promote(app: App, version: int | None) -> Release:
    """Raises: BadRequest."""
    if version is None:
        release = app.current_release()
    else:
        release = app.releases.filter(version=version).select_related("build").first()
    if release is None:
        raise BadRequest(f"{app.name} has no release v{version}")
    if release.build is None:
        raise BadRequest(f"v{release.version} of {app.name} has no image to promote")
    if release.failed:
        raise BadRequest(f"v{release.version} of {app.name} failed; only a release that was live can be promoted")
    return release


def begin(release: Release, target: App, by: User) -> Promotion:
    build = release.build
    summary = f"{by.username} promoted {release.app.name} v{release.version} ({build.sha[:7] or build.image})"
    try:
        _, operation = create_build(
            app=target,
            by=by,
            image=image_for(build, target),
            cause=Release.PROMOTION,
            summary=summary,
            **{name: getattr(build, name) for name in KEPT},
        )
    except PaasError as exc:
        return Promotion(target.name, reason=str(exc))
    return Promotion(target.name, operation)


def image_for(build: Build, target: App) -> str:
    """The image under the target's own name, so that it stays when the app it came from goes.

    Raises: RegistryTrouble.
    """
    found = split_reference(build.image)
    if found is None:
        return build.image
    repository, reference = found
    tag = f"git-{build.sha[:8]}" if BUILT.fullmatch(build.sha[:8]) else ""
    digest = copy_image(reference, repository, target.name, tag)
    return f"{settings.REGISTRY_HOST}/{target.name}@{digest}"
