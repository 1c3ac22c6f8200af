"""The one place that tells the world beyond the app's log what became of a release.

The operator's addresses (DEPLOY_HOOK_URLS) hear of it when it was live and did badly, as they hear of every new
release; webhooks and mail hear of all that somebody wants to hear of.
"""

from django.conf import settings
from django.db import transaction

from controller.actions.notices import emit
from controller.models import App, Release
from controller.outbox import enqueue

HOOKED = ("release.rolled_back", "release.failing")


def announce(app: App, event: str, *, release: Release, text: str) -> None:
    """Tells of `event` (`models/notice.py`) once it is committed."""
    emit(app, event, text, release=release)
    for url in settings.DEPLOY_HOOK_URLS if event in HOOKED else ():
        transaction.on_commit(lambda url=url: enqueue("controller.send_deploy_hook", str(release.pk), url, event, text))


def failed_text(release: Release, reason: str) -> str:
    return f"v{release.version} did not go live: {reason}"
