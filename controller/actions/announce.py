"""The one place that tells the world beyond the app's log what became of a release."""

from django.conf import settings
from django.db import transaction

from controller.models import App, Release
from controller.outbox import enqueue


def announce(app: App, event: str, *, release: Release, text: str) -> None:
    """Has the operator's addresses hear of `event` (`release.rolled_back`, `release.failing`) once it is committed."""
    for url in settings.DEPLOY_HOOK_URLS:
        transaction.on_commit(lambda url=url: enqueue("controller.send_deploy_hook", str(release.pk), url, event, text))
