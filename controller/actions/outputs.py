"""What was said while releases went live: read again, and forgotten in time."""

from collections.abc import Iterator

from django.conf import settings

from controller.models import App, OutputLine, Release


def output_of(release: Release) -> Iterator[OutputLine]:
    """The kept lines, oldest first; of a failed release the last is its reason."""
    yield from release.output.order_by("pk")
    if release.failed and release.exception:
        yield OutputLine(release=release, time=release.updated, text=release.exception.removeprefix("error: "))


def forget_old_output() -> None:
    """Keeps the output of each app's newest releases."""
    for app in App.objects.all():
        newest = app.releases.order_by("-version").values_list("version", flat=True)
        oldest_kept = newest[settings.OUTPUTS_KEPT - 1 : settings.OUTPUTS_KEPT]
        if oldest_kept:
            OutputLine.objects.filter(release__app=app, release__version__lt=oldest_kept[0]).delete()
