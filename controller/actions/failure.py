"""What remains of a release that failed."""

from controller.models import Release


def mark_failed(release: Release, text: str) -> None:
    """The release keeps its number; "current" skips it from now on."""
    release.failed = True
    release.exception = f"error: {text}"
    release.summary = failed_summary(release)
    release.save(update_fields=["failed", "exception", "summary", "updated"])


def good_before(release: Release) -> Release | None:
    """The newest release before `release` that has a build and didn't fail."""
    older = release.app.releases.filter(failed=False, build__isnull=False, version__lt=release.version)
    return older.select_related("build", "config").order_by("-version").first()


def failed_summary(release: Release) -> str:
    """Deis' words for what a failed release tried."""
    if " rolled back to v" in release.summary:
        current = release.app.current_release()
        owner = current.owner.username if current else release.owner.username
        return f"{owner} performed roll back to a release that failed"
    before = release.app.releases.filter(version__lt=release.version).order_by("-version").first()
    if release.build is not None and (before is None or before.build_id != release.build_id):
        return f"{release.build.owner.username} deployed {str(release.build.uuid)[:7]} which failed"
    return f"{release.owner.username} deployed a config that failed"
